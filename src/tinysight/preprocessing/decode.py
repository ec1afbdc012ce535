"""Decodes a file, bytes, an array or a Pillow image to an upright picture, grey or RGB, without transparency.

Training, prediction and serving all read pictures by `read_picture`. Formats are added in `formats.py`.
"""

import contextlib
import ctypes
import io
import logging
import re
import warnings
from collections.abc import Iterator
from functools import cache
from struct import Struct

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageChops, ImageOps, UnidentifiedImageError, _imaging

from ..errors import PictureError
from .bands import row_bands
from .formats import FORMATS, NUM_START_BYTES, UNREADABLE, format_of
from .inputs import Picture, array_image, as_array, file_content, is_array, name_of
from .jpeg import num_scans, with_end_marker
from .plain_png import PNG_START, read_plain_png
from .transparency import on_background
from .turns import LARGE_PICTURES

MAX_PIXELS = 64_000_000  # phones make 12 to 50 megapixels by default
MAX_WEBP_PIXELS = 32_000_000  # its decoder needs up to 28 bytes for each, other formats' up to 8
LARGE_PIXELS = 16_000_000  # from here on pictures are decoded one at a time
MAX_SIDE = 32_768  # of a picture of one row, each pixel takes Pillow up to 80 bytes
MAX_SCANS = 100  # of a JPEG file; each takes as long as the whole picture may. Cameras and programs write up to 20
BIT_DEPTHS = (8, 10, 12, 16)  # of grey levels
PNG_SIZE = Struct(">II")
# How Pillow says that a file may be whole, but is of a kind that it does not read
UNSUPPORTED = re.compile("unsupported|not supported|unknown raw mode|cannot handle|not available", re.IGNORECASE)
SAVE_ANEW = "save it anew, for example as PNG"

logging.getLogger("PIL").addHandler(logging.NullHandler())  # what matters is raised; without it Python prints the rest


def read_picture(source: Picture, name: str | None = None, max_pixels: int | None = None) -> Image.Image:
    """Decode a file, bytes, an array or a Pillow image to an upright picture of mode ``L`` or ``RGB``, 8 bits, opaque.

    An animation gives its first frame. The content of a file tells its type; its name does not matter.

    Args:
        source: A path; the bytes of a picture file; an open file, which is read from its start; a Pillow image; or an
            array, uint8 or bool, ``(height, width)`` or ``(height, width, channels)`` with 1 to 4 channels.
        name: What error messages call the picture; by default its path.
        max_pixels: The most pixels that a file's picture may have; by default `MAX_PIXELS`.

    Raises:
        PictureError: The file is missing, empty, damaged, too large, or of a type that is not read; or the array has
            another type or shape.
    """
    name = name or name_of(source) or "the picture"
    if is_array(source):
        return _to_grey_or_rgb(array_image(as_array(source, name), name))
    if isinstance(source, Image.Image):
        return _converted(source, name)
    data, max_pixels = file_content(source, name), max_pixels or MAX_PIXELS
    if not data:
        raise PictureError(f"{name}: the file is empty; expected a picture")
    # Decode a small plain PNG here, all else with Pillow
    if (plain := read_plain_png(data, max_pixels)) is not None:
        return plain
    return _decode(data, name, max_pixels)


def num_pixels(data: bytes, max_pixels: int) -> int:
    """Return how many pixels of a file would be decoded; 0 if it cannot be read, or its picture is too large."""
    if data.startswith(PNG_START):
        width, height = PNG_SIZE.unpack_from(data, len(PNG_START)) if len(data) >= NUM_START_BYTES else (0, 0)
    else:
        try:
            with without_warnings(), Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                width, height = picture.size
        except Exception:  # as below; `read_picture` says what is wrong
            return 0
    return width * height if width * height <= max_pixels and max(width, height) <= MAX_SIDE else 0


def _check_size(picture: Image.Image, data: bytes, name: str, max_pixels: int) -> None:
    """Raise `PictureError` if a picture is too large, or takes too long to decode."""
    size = f"{picture.width}×{picture.height}"
    if picture.format == "WEBP":
        max_pixels = min(max_pixels, MAX_WEBP_PIXELS)
    if picture.width * picture.height > max_pixels:
        raise PictureError(f"{name}: {size} pixels are too many; make it smaller than {max_pixels:,} pixels")
    if max(picture.size) > MAX_SIDE:
        raise PictureError(f"{name}: {size} pixels are too long; make no side longer than {MAX_SIDE:,} pixels")
    if picture.format == "JPEG" and (scans := num_scans(data)) > MAX_SCANS:
        raise PictureError(f"{name}: the JPEG file has {scans:,} scans, more than {MAX_SCANS}; {SAVE_ANEW}")


def _decode(data: bytes, name: str, max_pixels: int) -> Image.Image:
    try:
        with without_warnings(), Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            _check_size(picture, data, name, max_pixels)
            with LARGE_PICTURES if picture.width * picture.height > LARGE_PIXELS else contextlib.nullcontext():
                return _loaded(picture)
    except (PictureError, MemoryError):
        raise
    except Image.DecompressionBombError:
        raise PictureError(f"{name}: too many pixels; make it smaller than {max_pixels:,} pixels") from None
    except Exception as error:  # Pillow's decoders raise anything, struct.error and IndexError included
        kind = format_of(data)
        if kind == "JPEG" and isinstance(error, OSError) and (whole := with_end_marker(data)):
            return _decode(whole, name, max_pixels)
        raise PictureError(f"{name}: {_reason(error, kind)}") from error


def _loaded(picture: Image.Image) -> Image.Image:
    """Decode a picture that has been opened, and convert it."""
    if picture.format == "TIFF":
        _silence_libtiff()
    picture.load()
    return _to_grey_or_rgb(_upright(picture))


def _converted(picture: Image.Image, name: str) -> Image.Image:
    """Convert a picture that Pillow has opened, perhaps without having decoded it yet."""
    try:
        with without_warnings():
            return _loaded(picture)
    except MemoryError:
        raise
    except Exception as error:
        raise PictureError(f"{name}: {_reason(error, picture.format or '')}") from error


def _reason(error: Exception, kind: str) -> str:
    """Explain in one line why a file of a kind, empty if it is none of `FORMATS`, cannot be decoded."""
    if isinstance(error, UnidentifiedImageError):
        return _unidentified(kind)
    text = (" ".join(str(error).split()) or type(error).__name__)[:120]
    if UNSUPPORTED.search(text):
        return f"an unsupported kind of {kind or 'picture'} ({text}); {SAVE_ANEW}"
    if text.startswith("decoder error") and kind == "TIFF":  # all that Pillow tells of libtiff's errors
        return f"damaged, or an unsupported kind of TIFF ({text}); {SAVE_ANEW}"
    return f"damaged ({text})"


def _unidentified(kind: str) -> str:
    if kind in UNREADABLE:
        return f"a {kind} picture, which is not read; {UNREADABLE[kind]}"
    if kind and kind not in FORMATS:
        return f"a picture of type {kind}, which this Pillow was built without; {SAVE_ANEW}"
    if kind:
        return f"an unsupported kind of {kind}, or damaged; {SAVE_ANEW}"
    return f"not a picture that can be read; expected one of {', '.join(FORMATS)}"


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Ignore Pillow's warnings: what matters is raised as an error.

    Entered once around many pictures, it covers them all, on every thread; `read_picture` then skips it.
    """
    if warnings.filters[:1] == [("ignore", None, Warning, None, 0)]:
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def _silence_libtiff() -> None:
    """Keep libtiff from writing on standard error, for the rest of the process: Pillow raises what matters.

    Where Pillow has libtiff inside, as on Windows, it cannot be reached, and goes on writing.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        set_handler = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
        set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
        set_handler(None)


def _upright(picture: Image.Image) -> Image.Image:
    """Turn a photograph as its EXIF orientation says; ignore EXIF data that cannot be read."""
    if not picture.info:  # Pillow keeps EXIF data there
        return picture
    try:
        is_turned = picture.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return ImageOps.exif_transpose(picture) if is_turned else picture
    except Exception:  # damaged EXIF data raises SyntaxError, struct.error, ValueError and more
        return picture


def _to_grey_or_rgb(picture: Image.Image) -> Image.Image:
    """Convert any of Pillow's modes to opaque ``L`` or ``RGB`` of 8 bits."""
    if picture.mode.startswith("I") or picture.mode == "F":
        return _eight_bits(picture)
    if "transparency" in picture.info or picture.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        is_rgba = picture.mode == "RGBA" and "transparency" not in picture.info
        return _grey_if_without_colour(on_background(picture if is_rgba else picture.convert("RGBA")))
    if picture.mode in ("L", "RGB"):
        return picture
    if picture.mode == "1":
        return picture.convert("L")
    if picture.mode == "P":
        return _grey_if_without_colour(picture.convert("RGB"))
    return picture.convert("RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Scale 16-bit, 32-bit and floating-point grey to 8 bits: whole numbers by the least depth that holds them."""
    extremes = [(float(values.min()), float(values.max())) for _, values in _float_bands(picture)]
    low, high = min(lowest for lowest, _ in extremes), max(highest for _, highest in extremes)
    if picture.mode == "F":
        low, high = (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
    else:  # 16-bit grey, of which cameras and microscopes may use fewer; mode I holds 32 bits
        low, high = 0.0, next((2.0**bits - 1 for bits in BIT_DEPTHS if high < 2**bits), high)
    scale = 255 / (high - low) if high > low else 0.0
    scaled = Image.new("L", picture.size)
    for top, values in _float_bands(picture):
        scaled.paste(Image.fromarray(np.rint(((values - low) * scale).clip(0, 255)).astype(np.uint8)), (0, top))
    return scaled


def _float_bands(picture: Image.Image) -> Iterator[tuple[int, NDArray[np.float32]]]:
    for top, band in row_bands(picture):
        yield top, np.nan_to_num(np.asarray(band, dtype=np.float32), posinf=0, neginf=0)


def _grey_if_without_colour(picture: Image.Image) -> Image.Image:
    return picture if any(_has_colour(band) for _, band in row_bands(picture)) else picture.getchannel("R")


def _has_colour(band: Image.Image) -> bool:
    red, green, blue = band.split()
    return bool(ImageChops.difference(red, green).getbbox() or ImageChops.difference(red, blue).getbbox())
