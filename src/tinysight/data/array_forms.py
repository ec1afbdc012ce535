"""Turns arrays as people store them into uint8 images and labels.

Images may have channels first or last, or be laid flat; their levels may be whole numbers, bool, or floats in 0…1, −1…1
or 0…255. Labels may be numbers, texts or one-hot rows. What is ambiguous is refused.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..preprocessing.decode import BIT_DEPTHS, read_picture
from .array_headers import Header
from .cache import MAX_BYTES_IN_MEMORY, release_pages
from .class_names import in_order

CHANNELS = (1, 2, 3, 4)  # grey, grey with alpha, RGB, RGB with alpha
MIN_FLOAT_MAXIMUM = 128  # of floats in 0…255: where the largest is less, they may have any other scale
RESHAPE = "reshape them to (images, height, width) or (images, height, width, channels)"


@dataclass(frozen=True)
class SplitArrays:
    """The images and labels of one split, as they are stored.

    Attributes:
        split: ``train``, ``validation``, ``test``, or ``all`` where the source does not say.
        images: The images, of any form.
        labels: The labels, of any form.
        source: Name of the file that the images are from.
    """

    split: str
    images: NDArray[Any]
    labels: NDArray[Any]
    source: str


class ImageForm(NamedTuple):
    """How the images of an array are laid out.

    Attributes:
        layout: Returns some of them as ``(num_images, height, width)`` or ``(…, channels)``.
        image_shape: Shape of one image as uint8: ``(height, width)`` or ``(height, width, 3)``.
        has_alpha: Whether the last channel is alpha.
    """

    layout: Callable[[NDArray[Any]], NDArray[Any]]
    image_shape: tuple[int, ...]
    has_alpha: bool


class Levels(NamedTuple):
    """How the numbers of images become levels of 0…255: `low` becomes 0, `high` 255."""

    low: float
    high: float
    note: str


class ReadyImages:
    """The images of one split, made uint8 when they are read.

    Attributes:
        image_shape: ``(height, width)`` or ``(height, width, 3)``.
    """

    def __init__(self, images: NDArray[Any], form: ImageForm, levels: Levels) -> None:
        """Take the images as they are stored, their form and their levels."""
        self._images, self._form, self._levels = images, form, levels
        self.image_shape = form.image_shape

    def __len__(self) -> int:
        return len(self._images)

    def rows(self, chosen: slice | Sequence[int]) -> NDArray[np.uint8]:
        """Return some images, uint8 ``(num_images, *image_shape)``."""
        stored = self._images[chosen] if isinstance(chosen, slice) else self._images[list(chosen)]
        images = _to_bytes(self._form.layout(stored), self._levels)
        if not self._form.has_alpha:
            return images
        mode = "L" if len(self.image_shape) == 2 else "RGB"
        return np.stack([np.asarray(read_picture(image).convert(mode)) for image in images])

    def slices(self) -> Iterator[slice]:
        """Yield slices that cover all images, each of a bounded size in memory."""
        return _slices(self._images)

    def release(self) -> None:
        """Take what was read of a mapped file out of memory."""
        release_pages(self._images)


def _slices(images: NDArray[Any]) -> Iterator[slice]:
    bytes_per_row = max(1, images[0].size * max(8, images.itemsize)) if len(images) else 1  # floats are made float64
    step = max(1, MAX_BYTES_IN_MEMORY // bytes_per_row)
    return (slice(start, min(start + step, len(images))) for start in range(0, len(images), step))


def _to_bytes(images: NDArray[Any], levels: Levels) -> NDArray[np.uint8]:
    if images.dtype == np.uint8 and (levels.low, levels.high) == (0, 255):
        return images
    if images.dtype.kind in "biu" and levels == (0, 255, levels.note):
        return images.astype(np.uint8)
    scaled = (images.astype(np.float64) - levels.low) * (255 / (levels.high - levels.low))
    return np.rint(scaled).clip(0, 255).astype(np.uint8)


def ready_images(splits: Sequence[SplitArrays], name: str) -> tuple[list[ReadyImages], list[str]]:
    """Find out the form and the levels of the images of all splits.

    Returns:
        The images of each split, and a line on what was done to them, if anything.

    Raises:
        DataError: They are no images, not all of one shape, or their form or levels are ambiguous.
    """
    forms = [image_form(Header(one.images.dtype, one.images.shape), name) for one in splits]
    for form in forms:
        if form.image_shape != forms[0].image_shape:
            found = f"images of shape {form.image_shape} and of {forms[0].image_shape}"
            raise DataError(f"{name}: {found}; expected all of one shape")
    levels = find_levels([one.images for one in splits], name)
    notes = [f"{name}: {levels.note}"] if levels.note else []
    return [ReadyImages(one.images, form, levels) for one, form in zip(splits, forms, strict=True)], notes


def image_form(header: Header, name: str) -> ImageForm:
    """Return how images of a type and shape are laid out.

    Raises:
        DataError: They are no images, or may be laid out in two ways.
    """
    shape = header.shape
    if header.dtype.kind not in "biuf" or header.dtype.itemsize > 8 or not 2 <= len(shape) <= 4 or 0 in shape[1:]:
        raise _not_images(header, name)
    if len(shape) == 2:
        side = isqrt(shape[1])
        if side * side != shape[1] or side < 4:
            raise DataError(f"{name}: images are {header}, laid flat, but not square; {RESHAPE}")
        return ImageForm(lambda rows: rows.reshape(len(rows), side, side), (side, side), False)
    if len(shape) == 3:
        return ImageForm(lambda rows: rows, shape[1:], False)
    is_first, is_last = shape[1] in CHANNELS, shape[3] in CHANNELS
    if is_first == is_last:
        reason = "channels may be first or last" if is_first else "no axis has 1 to 4 channels"
        raise DataError(f"{name}: images are {header}; {reason}; {RESHAPE}")
    channels = shape[1] if is_first else shape[3]
    size = shape[2:] if is_first else shape[1:3]

    def layout(rows: NDArray[Any]) -> NDArray[Any]:
        last = rows.transpose(0, 2, 3, 1) if is_first else rows
        return last[..., 0] if channels == 1 else last

    return ImageForm(layout, size if channels <= 2 else (*size, 3), channels in (2, 4))


def _not_images(header: Header, name: str) -> DataError:
    expected = "numbers of shape (images, height, width), perhaps with channels, or (images, pixels)"
    return DataError(f"{name}: images are {header}; expected {expected}")


def find_levels(arrays: Sequence[NDArray[Any]], name: str) -> Levels:
    """Return which numbers are black and white.

    Raises:
        DataError: The numbers are negative or NaN, or their scale is ambiguous.
    """
    low, high = _extremes(arrays)
    dtype = np.result_type(*arrays)
    spread = f"numbers from {low:g} to {high:g}"
    if not (np.isfinite(low) and np.isfinite(high)):
        raise DataError(f"{name}: the images hold NaN or infinity; expected levels of 0…255 or 0…1")
    if dtype.kind == "b" or (dtype.kind in "iu" and low >= 0 and high == 1):
        return Levels(0, 1, "images of 0 and 1 are made black and white")
    if dtype.kind in "iu":
        if low >= 0 and high <= 65_535:
            most = next(2**bits - 1 for bits in BIT_DEPTHS if high < 2**bits)
            return Levels(0, most, f"levels of 0…{most:,} are scaled to 0…255" if most > 255 else "")
        raise DataError(f"{name}: the images are {spread}; expected whole levels from 0 to 255, or to 65,535")
    if low >= 0 and high <= 1:
        return Levels(0, 1, "levels of 0…1 are scaled to 0…255")
    if low >= -1 and high <= 1:
        return Levels(-1, 1, "levels of −1…1 are scaled to 0…255")
    if low >= 0 and MIN_FLOAT_MAXIMUM <= high <= 255:
        return Levels(0, 255, "levels of 0…255 are rounded")
    raise DataError(f"{name}: the images are {spread}; expected floats in 0…1, −1…1 or 0…255; scale them to 0…1")


def _extremes(arrays: Sequence[NDArray[Any]]) -> tuple[float, float]:
    """Return the least and the largest number; of bytes, no more are read than tell whether any is above 1."""
    low, high = np.inf, -np.inf
    for array in arrays:
        for chunk in _slices(array):
            part = array[chunk]
            if part.size:
                low, high = np.minimum(low, part.min()), np.maximum(high, part.max())  # NaN stays
            if array.dtype == np.uint8 and high > 1:
                return 0, 255
            release_pages(array)
    return (float(low), float(high)) if high >= low or np.isnan(high) else (0, 0)


def label_values(labels: NDArray[Any], num_images: int, name: str) -> NDArray[Any]:
    """Return one label for each image, int64 or text ``(num_images,)``.

    Args:
        labels: Whole numbers, of any type; texts; or one-hot rows, ``(num_images, num_classes)``.
        num_images: Number of images.
        name: What error messages call the set and the split.

    Raises:
        DataError: They are something else, or their number is another.
    """
    header = Header(labels.dtype, labels.shape)
    expected = "expected one whole number or text for each image, or one-hot rows"
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if (
        labels.ndim not in (1, 2)
        or labels.dtype.kind not in "biufUS"
        or (labels.ndim == 2 and labels.dtype.kind in "US")
    ):
        raise DataError(f"{name}: labels are {header}; {expected}")
    if len(labels) != num_images:
        counts = f"{num_images:,} images but {len(labels):,} labels"
        raise DataError(f"{name}: {counts}; expected equal numbers")
    if labels.dtype.kind == "S":
        return np.char.decode(labels, "utf-8", "backslashreplace")
    if labels.dtype.kind == "U":
        return labels
    if labels.ndim == 2:
        return _one_hot(labels, name)
    whole = labels.astype(np.int64) if labels.dtype.kind != "f" or np.isfinite(labels).all() else None
    if whole is None or (whole != labels).any():
        raise DataError(f"{name}: labels are {header} with parts of numbers or NaN; {expected}")
    return whole


def _one_hot(labels: NDArray[Any], name: str) -> NDArray[np.int64]:
    is_one_hot = ((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1, dtype=np.float64) == 1).all()
    if not is_one_hot:
        raise DataError(
            f"{name}: labels are {labels.dtype} {labels.shape}, but not one-hot: each row must hold a single 1, else "
            f"0; give one whole number for each image"
        )
    return np.asarray(labels.argmax(axis=1), np.int64)


def label_indices(
    labels: Sequence[NDArray[Any]], class_names: Sequence[str] | None, name: str
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Turn the labels of all splits into indices of classes.

    Args:
        labels: Those of each split, as `label_values` returns them.
        class_names: Names of the labels 0, 1, …; None: each label that occurs is a class named by it.
        name: What error messages call the set.

    Returns:
        Indices into the class names, int64 ``(num_images,)`` for all splits one after the other; and the class names.

    Raises:
        DataError: There are no images, a label has no name, or some labels are numbers and others texts.
    """
    if len({one.dtype.kind for one in labels if len(one)}) > 1:
        raise DataError(f"{name}: labels of one split are numbers, of another texts; expected all of one kind")
    values = np.concatenate([one for one in labels if len(one)]) if any(map(len, labels)) else np.zeros(0)
    if not len(values):
        raise DataError(f"{name}: holds no images")
    if class_names is None or values.dtype.kind == "U":
        occurring, indices = np.unique(values, return_inverse=True)
        names = [str(value) for value in occurring]
        ordered = in_order(names)
        place = {one: index for index, one in enumerate(ordered)}
        return np.array([place[one] for one in names], np.int64)[indices], ordered
    if values.min() < 0 or values.max() >= len(class_names):
        worst = values.min() if values.min() < 0 else values.max()
        raise DataError(f"{name}: label {worst} is outside 0–{len(class_names) - 1}, the set's classes")
    return values.astype(np.int64), tuple(class_names)
