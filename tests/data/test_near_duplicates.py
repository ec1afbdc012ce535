"""Near-duplicates: which copies are found, and that other images are not."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from tinysight.data.near_duplicates import near_duplicate_pairs

Pixels = NDArray[np.uint8]


def drawings(count: int, side: int = 28, channels: int = 1, seed: int = 0) -> Pixels:
    """Images that all differ: smooth noise, uint8 ``(count, side, side)`` or, with a little colour, ``(…, 3)``."""
    rng = np.random.default_rng(seed)
    small = rng.integers(20, 236, (count, 5, 5, 1)) + rng.integers(-20, 21, (count, 5, 5, 3))
    large = [Image.fromarray(one).resize((side, side), Image.Resampling.BICUBIC) for one in small.astype(np.uint8)]
    return np.stack([np.asarray(one if channels == 3 else one.convert("L")) for one in large])


def recompressed(picture: Image.Image, quality: int = 75) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def resized_and_recompressed(picture: Image.Image) -> Image.Image:
    larger = picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.BICUBIC)
    return recompressed(larger).resize(picture.size, Image.Resampling.BILINEAR)


def made_smaller(picture: Image.Image) -> Image.Image:
    smaller = picture.resize((picture.width * 3 // 4, picture.height * 3 // 4), Image.Resampling.BILINEAR)
    return smaller.resize(picture.size, Image.Resampling.BILINEAR)


def shifted(down: int, across: int) -> Callable[[Image.Image], Image.Image]:
    return lambda picture: Image.fromarray(
        np.pad(np.asarray(picture), [(1, 1), (1, 1), (0, 0)][: np.asarray(picture).ndim], "edge")[
            1 - down : 1 - down + picture.height, 1 - across : 1 - across + picture.width
        ]
    )


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "none": lambda picture: picture,
    "resized and as JPEG": resized_and_recompressed,
    "made smaller": made_smaller,
    "as JPEG": recompressed,
    "shifted down": shifted(1, 0),
    "shifted up": shifted(-1, 0),
    "shifted left": shifted(0, -1),
    "shifted diagonally": shifted(1, -1),
    "darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.7),
    "brighter": lambda picture: picture.point(lambda level: min(255, level + 20)),
    "less contrast": lambda picture: ImageEnhance.Contrast(picture).enhance(0.7),
}


@pytest.mark.parametrize(("side", "channels"), [(16, 1), (28, 1), (28, 3), (48, 3)])
def test_copies_are_found_and_nothing_else(side: int, channels: int) -> None:
    images = drawings(20 * len(CHANGES), side, channels)
    originals = images.reshape(len(CHANGES), 20, *images.shape[1:])
    copies = np.stack([
        np.asarray(change(Image.fromarray(image)))
        for change, some in zip(CHANGES.values(), originals, strict=True)
        for image in some
    ])  # fmt: skip

    pairs = near_duplicate_pairs(np.concatenate([images, copies]))

    assert pairs.dtype == np.int64
    found = {tuple(pair) for pair in pairs.tolist()}
    for number, change in enumerate(CHANGES):
        rows = range(20 * number, 20 * number + 20)
        assert {row for row in rows if (row, len(images) + row) not in found} == set(), change
    assert len(found) == len(images)


def test_images_that_all_differ_have_no_pairs() -> None:
    assert near_duplicate_pairs(drawings(2_000)).shape == (0, 2)
    assert near_duplicate_pairs(drawings(1)).shape == (0, 2)
    assert near_duplicate_pairs(drawings(2)[:0]).shape == (0, 2)


def test_equal_images_are_joined_without_a_pair_for_each_two() -> None:
    one, two, three = drawings(3)
    blank = np.zeros_like(one)
    images = np.stack([one, blank, two, one, blank, three, one, blank])

    assert near_duplicate_pairs(images).tolist() == [[0, 3], [0, 6], [1, 4], [1, 7]]


def test_tiny_images_are_compared_for_equality_only() -> None:
    images = np.array([[[0, 1], [2, 3]], [[0, 1], [2, 4]], [[0, 1], [2, 3]]], np.uint8)
    assert near_duplicate_pairs(images).tolist() == [[0, 2]]


def test_the_order_of_images_does_not_matter() -> None:
    images = drawings(400)
    images = np.concatenate([images, np.stack([np.asarray(made_smaller(Image.fromarray(one))) for one in images[:99]])])
    order = np.random.default_rng(1).permutation(len(images))

    found = {tuple(sorted(order[pair])) for pair in near_duplicate_pairs(images[order])}

    assert found == {tuple(pair) for pair in near_duplicate_pairs(images).tolist()}


def test_the_same_shape_in_another_colour_is_another_image() -> None:
    shape = drawings(1)[0]
    images = np.zeros((3, *shape.shape, 3), np.uint8)
    images[[0, 1, 2], ..., [0, 1, 2]] = shape
    assert near_duplicate_pairs(images).shape == (0, 2)


def test_an_even_colour_is_like_no_other() -> None:
    images = np.stack([np.full((28, 28, 3), colour, np.uint8) for colour in ((9, 9, 9), (200, 0, 0), (0, 0, 200))])
    assert near_duplicate_pairs(images).shape == (0, 2)
