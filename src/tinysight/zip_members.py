"""Reads single files of a ZIP archive into memory, within limits."""

import stat
import zipfile
import zlib

from .errors import PictureError
from .preprocessing.formats import NUM_START_BYTES, is_picture_content
from .preprocessing.inputs import MAX_FILE_BYTES

ARCHIVE_ERRORS = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError, EOFError, ValueError)
# How members of an archive may be compressed. Python unpacks the other methods without a limit: 9 KB of BZIP2 became
# 12 GiB in memory.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
METHOD_NAMES = {9: "Deflate64", 12: "BZIP2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 98: "PPMd"}


def is_folder(member: zipfile.ZipInfo) -> bool:
    """Tell whether a member is a folder; Python's own test fails where a damaged archive has a file without a name."""
    return member.filename.endswith("/")


def is_link(member: zipfile.ZipInfo) -> bool:
    """Tell whether a member is a symbolic link, as archives made on Unix may hold."""
    return stat.S_ISLNK(member.external_attr >> 16)


def is_picture_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    """Tell whether a file in an archive is a picture under another suffix; one that cannot be read is none."""
    if member.compress_type not in METHODS:
        return False
    try:
        with archive.open(member) as file:
            return is_picture_content(member.filename, file.read(NUM_START_BYTES))
    except ARCHIVE_ERRORS:
        return False


def member_fault(member: zipfile.ZipInfo) -> str:
    """Return why a file in an archive is not unpacked; empty if it is."""
    if member.compress_type not in METHODS:
        method = METHOD_NAMES.get(member.compress_type, f"method {member.compress_type}")
        return f"is compressed with {method}; expected deflate: make the archive anew with any ZIP program"
    if member.file_size > MAX_FILE_BYTES:
        return f"the file is larger than {MAX_FILE_BYTES // 2**20} MiB"
    return ""


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> bytes | PictureError:
    """Return a file in an archive, or why it cannot be read; the size that its entry tells is the most unpacked."""
    if fault := member_fault(member):
        return PictureError(f"{name}: {fault}")
    try:
        with archive.open(member) as file:
            return file.read(member.file_size)
    except MemoryError:
        return PictureError(f"{name}: there is not enough memory for the file")
    except ARCHIVE_ERRORS as error:
        return PictureError(f"{name}: cannot be read from the archive ({error})")
