"""Finds the connected components of ink that make up one character.

The page's `components.js` holds the same functions; `tests/page/test_port.py` keeps both equal.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SPECK = 0.005  # of the largest component's pixels; less than that is dust
DUST = 0.4  # of the square of the strokes' width; less than that inside of a character was not drawn with its pen
LOOSE = 0.05  # of the largest component's pixels; less than that must lie close by to belong to the character
CLOSE = 0.05  # of the character's longer side
LINE = 0.06  # of the picture's side: what spans the whole picture and is thinner than that is a ruled line or a border
CHARACTER_HEIGHT, CHARACTER_PIXELS = 0.5, 0.25  # of the tallest and of the largest component, to be one more character
CHARACTER_GAP = 0.12  # of the height of all; loose strokes of one character are closer


@dataclass(frozen=True)
class Component:
    """Ink pixels that touch, sideways or at a corner.

    Attributes:
        label: Its number in the labelled mask, from 1 on.
        num_pixels: How many pixels it has.
        top: First row of its bounding box.
        bottom: Row after the last.
        left: First column of its bounding box.
        right: Column after the last.
    """

    label: int
    num_pixels: int
    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        """Rows of its bounding box."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Columns of its bounding box."""
        return self.right - self.left

    @property
    def longer_side(self) -> int:
        """Rows or columns of its bounding box, whichever are more."""
        return max(self.height, self.width)

    def is_inside(self, other: "Component") -> bool:
        """Tell whether the bounding box lies within the other's."""
        is_between = other.left <= self.left and self.right <= other.right
        return is_between and other.top <= self.top and self.bottom <= other.bottom

    def gap_to(self, other: "Component") -> int:
        """Return how many pixels apart two bounding boxes are, along the axis on which they are further apart."""
        across = max(other.left - self.right, self.left - other.right, 0)
        return max(other.top - self.bottom, self.top - other.bottom, across)


def find_character(mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], bool]:
    """Keep the components that make up a character.

    Ruled lines, a border left by a crop, specks, and what the picture's edge cuts off far from the rest are dropped.

    Args:
        mask: bool ``(rows, columns)``, where there is ink.

    Returns:
        The mask of the character, and whether there is more than one.
    """
    # Drop ruled lines and borders
    mask = without_lines(mask)
    labels, components = label_components(mask)
    if not components:
        return mask, False
    components = [one for one in components if not _spans(one, *mask.shape)] or components
    # Take the largest component as the character; one that the edge cuts off gives way to a whole one of some size
    largest = max(components, key=lambda component: component.num_pixels)
    inner = [one for one in components if not _is_cut_off(one, *mask.shape)]
    if _is_cut_off(largest, *mask.shape) and inner:
        candidate = max(inner, key=lambda component: component.num_pixels)
        largest = candidate if candidate.longer_side >= min(mask.shape) / 4 else largest
    # Keep what belongs to it
    dust = DUST * stroke_width(labels == largest.label) ** 2
    kept = [one for one in components if _belongs(one, largest, mask.shape, dust)]
    is_kept = np.zeros(labels.max() + 1, bool)
    is_kept[[component.label for component in kept]] = True
    return is_kept[labels], _are_several(kept)


def without_lines(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Take out ruled lines, straight from edge to edge, except where a stroke crosses them.

    In a picture cut to its character, a stroke may go from edge to edge as well. It is kept where the rest of the ink
    meets it and reaches the other edges.

    Args:
        mask: bool ``(rows, columns)``, where there is ink.
    """
    rest = mask & ~(_full_rows(mask)[:, None] | _full_rows(mask.T))
    without_rows = _without_rows(mask, rest)
    return _without_rows(without_rows.T, rest.T).T


def _full_rows(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which rows are ink from edge to edge; a line may have small gaps."""
    full: NDArray[np.bool_] = mask.mean(axis=1) > 0.95
    return full


def _without_rows(mask: NDArray[np.bool_], rest: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Take out full rows, except where there is ink both above and below; `rest` is the ink that is of no line."""
    is_full = _full_rows(mask)
    if not is_full.any() or is_full.mean() > 0.5 or _reaches_both_ends(rest, is_full):
        return mask
    padded = np.pad(mask, ((1, 1), (0, 0)))
    result = mask.copy()
    _, starts, ends = find_runs(is_full[None])
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        if end - start <= LINE * len(mask):
            result[start:end] = padded[start] & padded[end + 1]
    return result if result.sum() > 0.1 * mask.sum() else mask


def _reaches_both_ends(rest: NDArray[np.bool_], is_full: NDArray[np.bool_]) -> bool:
    """Tell whether ink reaches the first and the last row, or full rows that begin there."""
    rows = np.flatnonzero(rest.any(axis=1))
    return bool(len(rows) and is_full[: rows[0]].all() and is_full[rows[-1] + 1 :].all())


def find_runs(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Find the runs of true values in each row.

    Args:
        mask: bool ``(rows, columns)``.

    Returns:
        Row, start and end (excluded) of each run, row by row; int ``(num_runs,)`` each.
    """
    stride = mask.shape[1] + 1
    separated = np.zeros((len(mask), stride), bool)  # a false value behind each row ends its last run
    separated[:, :-1] = mask
    changes = np.flatnonzero(np.diff(separated.ravel(), prepend=False))
    rows, starts = np.divmod(changes[::2], stride)
    return rows, starts, changes[1::2] % stride


def label_components(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], list[Component]]:
    """Label the connected components of a mask: pixels that touch, sideways or at a corner, are of one component.

    Args:
        mask: bool ``(rows, columns)``.

    Returns:
        int32 of the same shape, 0 where the mask is false, else the component's label, and the components in the order
        of their labels.
    """
    rows, starts, ends = find_runs(mask)
    # Find for each run those of the row above that it touches: they follow one another
    stride = mask.shape[1] + 1
    places, place_ends = rows * stride + starts, rows * stride + ends
    first = np.searchsorted(place_ends + stride, places)
    last = np.searchsorted(places + stride, place_ends, side="right")
    # Unite runs that touch
    parents = list(range(len(rows)))
    for run, touched in enumerate(map(range, first.tolist(), last.tolist())):
        for other in touched:
            _unite(parents, run, other)
    # Label components in the order of their first runs
    roots = np.array([_root(parents, run) for run in range(len(parents))], np.intp)
    run_labels = np.unique(roots, return_inverse=True)[1] + 1
    labels = np.zeros(mask.shape, np.int32)
    labels[mask] = np.repeat(run_labels, ends - starts)
    return labels, _measure(run_labels, rows, starts, ends)


def _root(parents: list[int], run: int) -> int:
    while parents[run] != run:
        parents[run] = parents[parents[run]]  # halves the way for the next look-up
        run = parents[run]
    return run


def _unite(parents: list[int], run: int, other: int) -> None:
    one, two = _root(parents, run), _root(parents, other)
    parents[max(one, two)] = min(one, two)


def _measure(
    run_labels: NDArray[np.intp], rows: NDArray[np.intp], starts: NDArray[np.intp], ends: NDArray[np.intp]
) -> list[Component]:
    """Return size and bounding box of the components that runs with these labels make up."""
    num_components = int(run_labels.max(initial=0))
    size = np.zeros(num_components, np.intp)
    top, left = np.full((2, num_components), np.iinfo(np.intp).max)
    bottom, right = np.zeros((2, num_components), np.intp)
    np.add.at(size, run_labels - 1, ends - starts)
    np.minimum.at(top, run_labels - 1, rows)
    np.maximum.at(bottom, run_labels - 1, rows + 1)
    np.minimum.at(left, run_labels - 1, starts)
    np.maximum.at(right, run_labels - 1, ends)
    columns = (measure.tolist() for measure in (size, top, bottom, left, right))
    return [Component(label, *measures) for label, measures in enumerate(zip(*columns, strict=True), 1)]


def stroke_width(mask: NDArray[np.bool_]) -> float:
    """Return the mean width of strokes, in pixels: twice the area divided by the length of the outline.

    The outline is counted in sides of pixels. Averaged over all directions, that count is 4/π times its length.

    Args:
        mask: bool ``(rows, columns)``, where there is ink; not empty.
    """
    padded = np.pad(mask, 1)
    sides = int((padded[1:] != padded[:-1]).sum() + (padded[:, 1:] != padded[:, :-1]).sum())
    return 2 * float(mask.sum()) / (sides * np.pi / 4)


def _spans(component: Component, height: int, width: int) -> bool:
    """Tell whether a component goes from edge to edge like a line or around like a border."""
    is_wide, is_high = component.width >= 0.98 * width, component.height >= 0.98 * height
    is_line = (is_wide and component.height <= LINE * height) or (is_high and component.width <= LINE * width)
    return is_line or (is_wide and is_high and component.num_pixels < 2 * LINE * height * width)


def _is_cut_off(component: Component, height: int, width: int) -> bool:
    """Tell whether a component reaches the picture's edge."""
    return component.top == 0 or component.bottom == height or component.left == 0 or component.right == width


def _belongs(component: Component, largest: Component, shape: tuple[int, ...], dust: float) -> bool:
    """Tell whether a component is a part of the character whose largest component is given.

    Inside of that component's bounding box, up to `dust` pixels are dust. The dots of i and ÷ lie outside.
    """
    if component is largest:
        return True
    if component.is_inside(largest) and component.num_pixels < dust:
        return False
    if component.gap_to(largest) <= CLOSE * largest.longer_side:
        return component.num_pixels >= SPECK * largest.num_pixels
    return component.num_pixels >= LOOSE * largest.num_pixels and not _is_cut_off(component, shape[0], shape[1])


def _are_several(components: list[Component]) -> bool:
    """Tell whether there are components side by side that could each be a character.

    The largest always could, however low it is beside the tallest.
    """
    tallest = max(component.height for component in components)
    most = max(component.num_pixels for component in components)
    min_height, min_pixels = CHARACTER_HEIGHT * tallest, CHARACTER_PIXELS * most
    large = [
        one
        for one in components
        if one.num_pixels == most or (one.height >= min_height and one.num_pixels >= min_pixels)
    ]
    large.sort(key=lambda component: component.left)
    reached = large[0].right
    for component in large[1:]:
        if component.left - reached >= CHARACTER_GAP * tallest:
            return True
        reached = max(reached, component.right)
    return False
