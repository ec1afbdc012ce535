"""The picture formats that are read, and how their files are recognized by name and by content."""

import os
import re
from pathlib import Path

from PIL import features

from ..files import open_without_waiting

# As Pillow calls them; it may be built without AVIF
FORMATS = (*(["AVIF"] if features.check("avif") else []), "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
SUFFIXES = frozenset(
    ".bmp .gif .jpg .jpeg .jpe .jfif .png .apng .pbm .pgm .ppm .pnm .tif .tiff .webp "  # noqa: SIM905
    ".avif .avifs .heic .heics .heif .heifs .hif "
    # Pictures of other formats, which are not read, but named
    ".tga .sgi .j2k .jp2 .jpf .jpx .jxl .ico .icns .pcx .dds .psd .fli .flc .eps .svg .emf .wmf .xcf .exr".split()
)
# Pictures that Pillow does not read, but that are named as what they are
UNREADABLE = {"HEIC": "convert it to JPEG or PNG, for example by exporting it from the program that shows it"}
# Cameras' raw files are TIFF files, but what Pillow reads of them is a thumbnail
RAW_SUFFIXES = frozenset(
    ".3fr .arw .cr2 .dcr .dng .erf .iiq .kdc .mef .mos .nef .nrw .pef .sr2 .srf .srw".split()  # noqa: SIM905
)
# How a file of each format begins; of BMP and PPM with a part of the header, since text may begin with BM or P1
STARTS = {
    "AVIF": rb".{4}ftyp(?:avi[fs]|mi[fs]1.{4,16}avi[fs])",
    "HEIC": rb".{4}ftyp(?:hei[cxms]|hev[cxms]|mi[fs]1)",
    "BMP": rb"BM.{4}\0{4}.{4}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0",
    "GIF": rb"GIF8[79]a",
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "PPM": rb"P[1-6f]\s+[#\d]",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "WEBP": rb"RIFF.{4}WEBP",
}
START = re.compile(b"|".join(b"(?P<%s>%s)" % (kind.encode(), start) for kind, start in STARTS.items()), re.DOTALL)
NUM_START_BYTES = 32  # enough for each of these


def format_of(data: bytes) -> str:
    """Return which of `FORMATS` or `UNREADABLE` a file begins like, or an empty text.

    Args:
        data: Its first `NUM_START_BYTES` bytes, or more.
    """
    found = START.match(data)
    return found.lastgroup or "" if found else ""


def has_suffix(name: str, suffixes: frozenset[str] = SUFFIXES) -> bool:
    """Tell whether a file's name ends in a picture's suffix, or in another of `suffixes`."""
    return name[name.rfind(".") :].lower() in suffixes  # a Path, or os.path.splitext, takes several times as long


def is_picture_content(name: str, start: bytes) -> bool:
    """Tell whether a file under another suffix, such as ``.jpg?v=1`` or none, is a picture by its content.

    Args:
        name: The file's name.
        start: Its first `NUM_START_BYTES` bytes, or more.
    """
    return bool(format_of(start)) and not has_suffix(name, RAW_SUFFIXES)


def is_picture_file(path: str | Path) -> bool:
    """Tell whether a file has a picture's suffix, or else a picture's content. One that cannot be read has none."""
    name = os.fspath(path)
    if has_suffix(name):
        return True
    try:
        with open_without_waiting(name) as file:
            return is_picture_content(name, file.read(NUM_START_BYTES) or b"")
    except OSError:
        return False
