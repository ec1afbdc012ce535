"""Turns a file, bytes or an array into the classifier's uint8 pixels; does not know classes, labels or models.

The one pixel path: training, prediction and serving all come through `read_picture` and `frame_picture`.
"""

import contextlib
import io
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageChops, ImageOps, UnidentifiedImageError

from ..errors import PictureError
from ..files import read_at_most
from ..training.settings import DEFAULT_IMAGE_SIZE, FRAMINGS, MAX_IMAGE_SIDE, check_choice, check_number
from .ink import are_framed, frame_ink
from .png import read_plain_png

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
SUFFIXES = frozenset(
    ".bmp .gif .jpg .jpeg .jpe .jfif .png .apng .pbm .pgm .ppm .pnm .tif .tiff .webp".split()  # noqa: SIM905
)
MAX_PIXELS = 64_000_000  # phones make 12 to 50 megapixels by default
MAX_FILE_BYTES = 256 * 2**20

Picture = str | Path | bytes | NDArray[np.uint8]


@dataclass(frozen=True)
class Framing:
    """How a picture of any size becomes a classifier's input.

    Attributes:
        method: ``whole`` (fit the picture) or ``ink`` (find one drawn character and place it as MNIST does).
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


class Framed(NamedTuple):
    """A picture as a classifier's input.

    Attributes:
        pixels: uint8, of the framing's `image_shape`.
        note: How it was framed; empty where nothing was changed.
        fault: Why it cannot show what the classifier names, such as a blank picture; empty where it may.
    """

    pixels: NDArray[np.uint8]
    note: str = ""
    fault: str = ""


def read_picture(source: Picture, name: str | None = None, max_pixels: int | None = None) -> Image.Image:
    """Make a picture of a file, bytes or an array: upright, without transparency, mode ``L`` or ``RGB`` of 8 bits.

    Of an animation this is the first frame. The file's type is told by its content, never by its name.

    Args:
        source: A path, the bytes of a picture file, or uint8 pixels ``(height, width)`` or ``(height, width, 3)``.
        name: What error messages call the picture; by default its path.
        max_pixels: How large a file's picture may be; by default `MAX_PIXELS`.

    Raises:
        PictureError: The file is missing, empty, damaged, too large, or of a type that is not read; or the array is not
            uint8 or has another number of dimensions.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, bytes):
        data, name = source, name or "the picture"
    else:
        data, name = read_file(source, name), name or str(source)
    max_pixels = max_pixels or MAX_PIXELS
    if not data:
        raise PictureError(f"{name}: the file is empty; expected a picture")
    if (plain := read_plain_png(data, max_pixels)) is not None:
        return plain
    try:
        with without_warnings(), Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            if picture.width * picture.height > max_pixels:
                size = f"{picture.width}×{picture.height}"
                raise PictureError(f"{name}: {size} pixels are too many; make it smaller than {max_pixels:,} pixels")
            picture.load()
            return _plain(_upright(picture))
    except (PictureError, MemoryError):
        raise
    except UnidentifiedImageError:
        kinds = ", ".join(FORMATS)
        raise PictureError(f"{name}: not a picture that can be read; expected one of {kinds}") from None
    except Image.DecompressionBombError:
        raise PictureError(f"{name}: too many pixels; make it smaller than {max_pixels:,} pixels") from None
    except Exception as error:  # Pillow's decoders raise anything, struct.error and IndexError included
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PictureError(f"{name}: the picture is damaged ({reason[:120]})") from error


def frame_picture(picture: Image.Image, framing: Framing) -> Framed:
    """Make a picture the classifier's input.

    Args:
        picture: Mode ``L`` or ``RGB``, as `read_picture` returns it.
        framing: What the classifier wants.
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
            note = "framed anew: its ink was not light on dark, in MNIST's place"
        if framing.channels == 3:
            pixels = np.repeat(pixels[..., None], 3, axis=2)
        return Framed(pixels, note, fault)
    return Framed(_fit_whole(picture.convert(wanted_mode), wanted_size), note)


def frame_pictures(pictures: Iterable[Image.Image], framing: Framing) -> list[Framed]:
    """Make each picture the classifier's input, as `frame_picture` does.

    Those that need no change, MNIST's images for instance, are found and copied all at once, which takes a quarter of
    the time. Of the others one is in memory at a time, if they are only read when they are asked for.
    """
    if framing.method == "ink" and framing.channels == 3:  # of these none goes without a change
        return [frame_picture(picture, framing) for picture in pictures]
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
    if fitting:
        images = _stacked(list(fitting.values()))
        unchanged = are_framed(images) if framing.method == "ink" else np.ones(len(images), bool)
        for (number, picture), image, is_unchanged in zip(fitting.items(), images, unchanged.tolist(), strict=True):
            framed[number] = Framed(image) if is_unchanged else frame_picture(picture, framing)
    return [framed[number] for number in range(len(framed))]


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Keep Pillow's warnings off the terminal: what matters is raised.

    Around many pictures it holds for all of them, on every thread, and what is in it already is not done again.
    """
    if warnings.filters[:1] == [("ignore", None, Warning, None, 0)]:
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _from_array(array: NDArray[np.uint8]) -> Image.Image:
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)) or not array.size:
        received = f"{array.dtype} {array.shape}"
        raise PictureError(f"got an array {received}; expected uint8 of shape (height, width) or (height, width, 3)")
    return Image.fromarray(array)


def read_file(path: str | Path, name: str | None = None) -> bytes:
    """Return what a picture's file holds.

    Args:
        path: Where it is.
        name: What error messages call it; by default its path.

    Raises:
        PictureError: It cannot be read, or is larger than `MAX_FILE_BYTES`.
    """
    name = name or str(path)
    try:
        data = read_at_most(path, MAX_FILE_BYTES)
        if data is None:
            raise PictureError(f"{name}: the file is larger than {MAX_FILE_BYTES // 2**20} MiB")
        return data
    except FileNotFoundError:
        raise PictureError(f"{name}: there is no such file") from None
    except OSError as error:
        if os.path.isdir(path):  # noqa: PTH112
            raise PictureError(f"{name}: is a folder; expected a picture file") from None
        raise PictureError(f"{name}: cannot be read ({error.strerror})") from None


def _upright(picture: Image.Image) -> Image.Image:
    """Turn a photograph as its EXIF orientation says; unreadable EXIF data says nothing."""
    if not picture.info:  # where Pillow keeps EXIF data and what it takes for it
        return picture
    try:
        is_turned = picture.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return ImageOps.exif_transpose(picture) if is_turned else picture
    except Exception:  # damaged EXIF data raises SyntaxError, struct.error, ValueError and more
        return picture


def _plain(picture: Image.Image) -> Image.Image:
    """Reduce any of Pillow's modes to opaque ``L`` or ``RGB`` of 8 bits."""
    if picture.mode.startswith("I") or picture.mode == "F":
        return _eight_bits(picture)
    if "transparency" in picture.info or picture.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        return _on_background(picture.convert("RGBA"))
    if picture.mode in ("L", "RGB"):
        return picture
    if picture.mode == "1":
        return picture.convert("L")
    if picture.mode == "P":
        return _grey_if_without_colour(picture.convert("RGB"))
    return picture.convert("RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Scale 16-bit, 32-bit and floating-point grey to 8 bits."""
    values = np.nan_to_num(np.asarray(picture, dtype=np.float32), posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    if picture.mode == "F":
        low, high = (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
    else:  # 16-bit grey; mode I holds 32 bits but its files rarely use more than 16
        low, high = 0.0, max(65_535.0, high)
    scaled = (values - low) * (255 / (high - low)) if high > low else np.zeros_like(values)
    return Image.fromarray(np.rint(scaled.clip(0, 255)).astype(np.uint8))


def _on_background(picture: Image.Image) -> Image.Image:
    """Lay a picture with transparency on white, or on black where what is visible is itself light."""
    small = picture.reduce(-(-max(picture.size) // 256))  # enough to tell light from dark
    alpha = np.asarray(small.getchannel("A"), dtype=np.float64)
    grey = np.asarray(small.convert("RGB").convert("L"), dtype=np.float64)
    visible = alpha.sum()
    is_light = visible > 0 and (grey * alpha).sum() / visible > 127.5
    has_holes = (np.asarray(picture.getchannel("A")) < 255).any()
    background = Image.new("RGBA", picture.size, "black" if is_light and has_holes else "white")
    flat = Image.alpha_composite(background, picture).convert("RGB")
    return _grey_if_without_colour(flat)


def _grey_if_without_colour(picture: Image.Image) -> Image.Image:
    red, green, blue = picture.split()
    is_colour = ImageChops.difference(red, green).getbbox() or ImageChops.difference(red, blue).getbbox()
    return picture if is_colour else red


def _pixels(picture: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels of a grey picture, as ``numpy.asarray`` does, without its questions."""
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
    """Scale a picture to fit `size` (width, height) with its aspect kept; the rest takes its edge's mean colour."""
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
