"""Turns a picture of any size into a classifier's input: the whole picture, or its one drawn character as in MNIST.

The page's `framing.js` holds the same functions; `tests/page/test_port.py` keeps both equal.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import check_choice, check_number
from . import DEFAULT_IMAGE_SIZE, FRAMINGS, MAX_IMAGE_SIDE
from .ink import are_framed, frame_ink

RECENTRED = "re-centred: its ink was not light on dark and centred as in MNIST"


@dataclass(frozen=True)
class Framing:
    """How a picture of any size becomes a classifier's input.

    Attributes:
        method: ``whole`` (fit the picture) or ``ink`` (find one drawn character, scale and centre it as in MNIST).
        height: Rows of the input.
        width: Columns of the input.
        channels: 1 (grey) or 3 (red, green, blue).
    """

    method: str = "whole"
    height: int = DEFAULT_IMAGE_SIZE[0]
    width: int = DEFAULT_IMAGE_SIZE[1]
    channels: int = 1

    def __post_init__(self) -> None:
        check_choice("framing", self.method, FRAMINGS)
        check_number("image height", self.height, 1, MAX_IMAGE_SIDE)
        check_number("image width", self.width, 1, MAX_IMAGE_SIDE)
        check_choice("number of channels", str(self.channels), ("1", "3"))

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one input: ``(height, width)``, or ``(height, width, 3)`` in colour."""
        return (self.height, self.width) if self.channels == 1 else (self.height, self.width, self.channels)

    @property
    def takes_photographs(self) -> bool:
        """Whether people show such a classifier a picture, rather than draw one: in colour, or larger than MNIST's."""
        is_large = min(self.height, self.width) > max(DEFAULT_IMAGE_SIZE)
        return self.method == "whole" and (self.channels == 3 or is_large)


class Framed(NamedTuple):
    """A picture as a classifier's input.

    Attributes:
        pixels: uint8, of the framing's `image_shape`.
        note: How it was framed; empty where nothing was changed.
        fault: Why it cannot show a class, such as a blank picture; empty where it may.
    """

    pixels: NDArray[np.uint8]
    note: str = ""
    fault: str = ""


def frame_picture(picture: Image.Image, framing: Framing) -> Framed:
    """Make a picture the classifier's input.

    Args:
        picture: Mode ``L`` or ``RGB``, as `read_picture` returns it.
        framing: What the classifier expects.
    """
    wanted_mode = "L" if framing.channels == 1 else "RGB"
    wanted_size = (framing.width, framing.height)
    note = ""
    if (picture.size, picture.mode) != (wanted_size, wanted_mode):
        note = f"framed from {picture.width}×{picture.height} {'grey' if picture.mode == 'L' else 'colour'}"
    if framing.method == "ink":
        grey = _pixels(picture if picture.mode == "L" else picture.convert("L"))
        pixels, fault = frame_ink(grey, framing.height, framing.width)
        if not note and pixels is not grey and not np.array_equal(pixels, grey):
            note = RECENTRED
        if framing.channels == 3:
            pixels = np.repeat(pixels[..., None], 3, axis=2)
        return Framed(pixels, note, fault)
    return Framed(_fit_whole(picture.convert(wanted_mode), wanted_size), note)


def frame_pictures(pictures: Iterable[Image.Image], framing: Framing) -> list[Framed]:
    """Make each picture the classifier's input, as `frame_picture` does.

    Pictures that need no change, such as MNIST's, are found and copied all at once, which takes a quarter of the time.
    Of all others only one is in memory at a time, if `pictures` is a generator that reads each when it is asked for it.

    Args:
        pictures: Each of mode ``L`` or ``RGB``, as `read_picture` returns it.
        framing: What the classifier expects.
    """
    if framing.method == "ink" and framing.channels == 3:  # each is changed: from colour to grey
        return [frame_picture(picture, framing) for picture in pictures]
    # Frame what has another size or mode; set aside what may need no change
    wanted = ((framing.width, framing.height), "L" if framing.channels == 1 else "RGB")
    framed: dict[int, Framed] = {}
    fitting: dict[int, Image.Image] = {}
    for picture in pictures:
        number = len(framed) + len(fitting)
        if (picture.size, picture.mode) == wanted:
            fitting[number] = picture
        else:
            framed[number] = frame_picture(picture, framing)
        del picture  # before the next is read
    # Frame those of the rest that need it
    if fitting:
        images = _stacked(list(fitting.values()))
        unchanged = are_framed(images) if framing.method == "ink" else np.ones(len(images), bool)
        for (number, picture), image, is_unchanged in zip(fitting.items(), images, unchanged.tolist(), strict=True):
            framed[number] = Framed(image) if is_unchanged else frame_picture(picture, framing)
    return [framed[number] for number in range(len(framed))]


def _pixels(picture: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels of a grey picture, as ``numpy.asarray`` does, in two thirds of the time."""
    return np.frombuffer(picture.tobytes(), np.uint8).reshape(picture.height, picture.width)


def _stacked(pictures: Sequence[Image.Image]) -> NDArray[np.uint8]:
    """Return the pixels of pictures of one size and mode, ``(num_pictures, height, width)`` or with 3 channels."""
    width, height = pictures[0].size
    strip = Image.new(pictures[0].mode, (width, height * len(pictures)))
    for number, picture in enumerate(pictures):
        strip.paste(picture, (0, height * number))
    pixels = np.asarray(strip)
    return pixels.reshape(len(pictures), height, *pixels.shape[1:])


def _fit_whole(picture: Image.Image, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Scale a picture to fit `size` (width, height) with its aspect kept; fill the rest with its edge's mean colour."""
    if picture.size == size:
        return np.asarray(picture)
    scale = min(size[0] / picture.width, size[1] / picture.height)
    fitted_size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    fitted = np.asarray(picture.resize(fitted_size, Image.Resampling.BILINEAR))
    edge = np.concatenate([fitted[0], fitted[-1], fitted[:, 0], fitted[:, -1]])
    framed = np.empty((size[1], size[0], *fitted.shape[2:]), np.uint8)
    framed[:] = np.rint(edge.mean(axis=0)).astype(np.uint8)
    top, left = (size[1] - fitted_size[1]) // 2, (size[0] - fitted_size[0]) // 2
    framed[top : top + fitted_size[1], left : left + fitted_size[0]] = fitted
    return framed
