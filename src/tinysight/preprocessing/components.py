"""Finds which pieces of ink make up one character; does not know grey levels, nor where it will be placed.

A piece is a set of pixels that touch, sideways or at a corner.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SPECK = 0.005  # of the largest piece's pixels; less than that is dust
LOOSE = 0.05  # of the largest piece's pixels; less than that must lie close by to belong to the character
CLOSE = 0.05  # of the character's longer side
LINE = 0.06  # of the picture's side: what spans the whole picture and is thinner than that is a ruled line or a border
CHARACTER_HEIGHT, CHARACTER_PIXELS = 0.5, 0.25  # of the tallest and of the largest piece, to be one more character
CHARACTER_GAP = 0.12  # of the height of all; loose strokes of one character are closer


@dataclass(frozen=True)
class Piece:
    """Pixels that touch: how many, and the box around them (ends excluded)."""

    number: int
    pixels: int
    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        """Rows of its box."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Columns of its box."""
        return self.right - self.left

    @property
    def longer_side(self) -> int:
        """Of its box."""
        return max(self.height, self.width)

    def gap_to(self, other: "Piece") -> int:
        """Return how many pixels apart the two boxes are, along the axis on which they are further apart."""
        across = max(other.left - self.right, self.left - other.right, 0)
        return max(other.top - self.bottom, self.top - other.bottom, across)


def find_character(mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], bool]:
    """Keep the pieces of ink that make up a character.

    Ruled lines, a border left by a crop, specks, and what the picture's edge cuts off far from the rest are dropped.

    Args:
        mask: bool ``(rows, columns)``, where there is ink.

    Returns:
        The mask of the character, and whether there is more than one.
    """
    mask = without_lines(mask)
    labels, pieces = label_pieces(mask)
    if not pieces:
        return mask, False
    pieces = [piece for piece in pieces if not _spans(piece, *mask.shape)] or pieces
    inner = [piece for piece in pieces if not _is_cut_off(piece, *mask.shape)]
    largest = max(pieces, key=lambda piece: piece.pixels)
    if _is_cut_off(largest, *mask.shape) and inner:
        candidate = max(inner, key=lambda piece: piece.pixels)
        largest = candidate if candidate.longer_side >= min(mask.shape) / 4 else largest
    kept = [piece for piece in pieces if _belongs(piece, largest, mask.shape)]
    numbers = np.zeros(labels.max() + 1, bool)
    numbers[[piece.number for piece in kept]] = True
    return numbers[labels], _are_several(kept)


def without_lines(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Take out ruled lines, straight from edge to edge, except where a stroke crosses them."""
    return _without_rows(_without_rows(mask).T).T


def _without_rows(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    full = mask.mean(axis=1) > 0.95
    if not full.any() or full.mean() > 0.5:
        return mask
    result = mask.copy()
    for start, end in runs(full):
        if end - start > max(1, LINE * len(mask)):
            continue
        above = mask[start - 1] if start else np.zeros(mask.shape[1], bool)
        below = mask[end] if end < len(mask) else np.zeros(mask.shape[1], bool)
        result[start:end] = above & below
    return result if result.sum() > 0.1 * mask.sum() else mask


def runs(row: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return start and end (excluded) of each run of true values."""
    changes = np.flatnonzero(np.diff(np.pad(row.astype(np.int8), 1)))
    return list(zip(changes[::2].tolist(), changes[1::2].tolist(), strict=True))


def label_pieces(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], list[Piece]]:
    """Number the pieces of a mask.

    Args:
        mask: bool ``(rows, columns)``.

    Returns:
        int32 of the same shape, 0 where the mask is false, else the piece's number, and the pieces.
    """
    found: list[tuple[int, int, int]] = []  # row, start and end of each run
    parents: list[int] = []
    above: list[int] = []
    for row_number, row in enumerate(mask):
        here = []
        for start, end in runs(row):
            run = len(found)
            found.append((row_number, start, end))
            parents.append(run)
            here.append(run)
            for other in above:
                if found[other][1] <= end and start <= found[other][2]:
                    _unite(parents, run, other)
        above = here
    labels = np.zeros(mask.shape, np.int32)
    members: dict[int, list[tuple[int, int, int]]] = {}
    for run, place in enumerate(found):
        members.setdefault(_root(parents, run), []).append(place)
    pieces = []
    for number, places in enumerate(members.values(), 1):
        for row_number, start, end in places:
            labels[row_number, start:end] = number
        rows, starts, ends = zip(*places, strict=True)
        pixels = sum(ends) - sum(starts)
        pieces.append(Piece(number, pixels, min(rows), max(rows) + 1, min(starts), max(ends)))
    return labels, pieces


def _root(parents: list[int], run: int) -> int:
    while parents[run] != run:
        parents[run] = parents[parents[run]]
        run = parents[run]
    return run


def _unite(parents: list[int], run: int, other: int) -> None:
    roots = sorted((_root(parents, run), _root(parents, other)))
    parents[roots[1]] = roots[0]


def _spans(piece: Piece, height: int, width: int) -> bool:
    """Tell whether a piece goes from edge to edge like a line or around like a border."""
    is_wide, is_high = piece.width >= 0.98 * width, piece.height >= 0.98 * height
    is_line = (is_wide and piece.height <= LINE * height) or (is_high and piece.width <= LINE * width)
    return is_line or (is_wide and is_high and piece.pixels < 2 * LINE * height * width)


def _is_cut_off(piece: Piece, height: int, width: int) -> bool:
    return not (piece.top > 0 and piece.bottom < height and piece.left > 0 and piece.right < width)


def _belongs(piece: Piece, largest: Piece, shape: tuple[int, ...]) -> bool:
    if piece is largest:
        return True
    is_close = piece.gap_to(largest) <= CLOSE * largest.longer_side
    if is_close:
        return piece.pixels >= SPECK * largest.pixels
    return piece.pixels >= LOOSE * largest.pixels and not _is_cut_off(piece, shape[0], shape[1])


def _are_several(pieces: list[Piece]) -> bool:
    """Tell whether there are pieces side by side that could each be a character."""
    tallest, most = max(piece.height for piece in pieces), max(piece.pixels for piece in pieces)
    large = [p for p in pieces if p.height >= CHARACTER_HEIGHT * tallest and p.pixels >= CHARACTER_PIXELS * most]
    large.sort(key=lambda piece: piece.left)
    reached = large[0].right
    for piece in large[1:]:
        if piece.left - reached >= CHARACTER_GAP * tallest:
            return True
        reached = max(reached, piece.right)
    return False
