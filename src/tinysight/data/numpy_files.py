"""Reads NumPy's ``.npz`` archives and ``.npy`` files; never unpickles.

All arrays are checked by their headers before one is unpacked; a large one is unpacked to a temporary file, or mapped.
"""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .array_forms import SplitArrays
from .array_headers import Header, read_data
from .array_names import pair_arrays
from .cache import map_array

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read_npz(path: Path) -> tuple[list[SplitArrays], list[str] | None, list[str]]:
    """Read the images and labels in an ``.npz`` archive, see `array_names.pair_arrays`.

    Returns:
        The arrays of each split, the names of the labels 0, 1, … if there are any, and notes.

    Raises:
        DataError: The file is damaged, or it is not certain which arrays are images and labels.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            headers = {key: _npz_header(archive, key, path) for key in _npz_keys(archive)}
            return arrays_by_name(headers, lambda key: _npz_array(archive, key, headers[key], path), str(path))
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (DataError, MemoryError):
        raise
    except OSError as error:
        if error.errno is None:  # zipfile's own
            raise DataError(f"{path}: not a readable .npz archive") from None
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except Exception:  # zipfile and NumPy raise anything on damaged archives, RuntimeError and TypeError included
        raise DataError(f"{path}: not a readable .npz archive") from None


def read_npy_files(paths: list[Path], name: str) -> tuple[list[SplitArrays], list[str] | None, list[str]]:
    """Read images and labels from ``.npy`` files, such as ``x_train.npy`` and ``y_train.npy``; large ones are mapped.

    An ``.npz`` among them that holds a single array counts as such a file.

    Returns:
        As `read_npz`.

    Raises:
        DataError: A file is damaged, or it is not certain which arrays are images and labels.
    """
    files = {path.stem: path for path in paths}
    headers = {key: _file_header(path) for key, path in files.items()}
    return arrays_by_name(headers, lambda key: _file_array(files[key], headers[key]), name)


def arrays_by_name(
    headers: Mapping[str, Header], read: Callable[[str], NDArray[Any]], name: str
) -> tuple[list[SplitArrays], list[str] | None, list[str]]:
    """Read the images and labels among named arrays.

    Args:
        headers: Each array's type and shape, by its name.
        read: Returns an array.
        name: What messages call them together.

    Returns:
        As `read_npz`.

    Raises:
        DataError: It is not certain which arrays are images and labels, or one holds Python objects.
    """
    pairs = pair_arrays(headers, name)
    for key in [*(key for pair in pairs.pairs for key in pair[1:]), *filter(None, [pairs.class_names])]:
        if headers[key].dtype.hasobject:
            raise DataError(
                f"{name}: {key} holds pickled Python objects, which are never loaded; save numbers, or texts with "
                f"array.astype(str)"
            )
    for pair in pairs.pairs:
        _check_counts(headers[pair.images], headers[pair.labels], pair.images, pair.labels, name)
    short = Path(name).name
    splits = [
        SplitArrays(one.split, read(one.images), read(one.labels), f"{short}/{one.images}") for one in pairs.pairs
    ]
    class_names = [str(one) for one in read(pairs.class_names).ravel()] if pairs.class_names else None
    return splits, class_names, pairs.notes


def _check_counts(images: Header, labels: Header, images_key: str, labels_key: str, name: str) -> None:
    """Compare the number of images and labels before either is read."""
    if not images.shape or not labels.shape:
        raise DataError(f"{name}: {images_key} is {images} and {labels_key} is {labels}; expected one entry an image")
    if images.shape[0] != labels.shape[0]:
        raise DataError(
            f"{name}: {images.shape[0]:,} images in {images_key} but {labels.shape[0]:,} labels in {labels_key}; "
            f"expected equal numbers"
        )


def _npz_keys(archive: zipfile.ZipFile) -> list[str]:
    return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def _npz_header(archive: zipfile.ZipFile, key: str, path: Path) -> Header:
    """Return what an array's header announces, checked against the size of its file in the archive."""
    member = archive.getinfo(f"{key}.npy")
    if member.compress_type not in METHODS:
        raise DataError(f"{path}: {key} is compressed in an unusual way; save it with numpy.savez_compressed")
    with archive.open(member) as stream:
        header = _npy_header(stream)
        if not header.dtype.hasobject and stream.tell() + header.num_bytes != member.file_size:
            raise DataError(f"{path}: {key} announces {header.num_bytes:,} bytes, but has others; the file is damaged")
    return header


def _npy_header(stream: IO[bytes]) -> Header:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read(stream)
    return Header(dtype, shape, is_fortran)


def _npz_array(archive: zipfile.ZipFile, key: str, header: Header, path: Path) -> NDArray[Any]:
    with archive.open(f"{key}.npy") as stream:
        _npy_header(stream)
        data = read_data(stream, header.num_bytes)
        if len(data) < header.num_bytes or stream.read(1):  # which checks the checksum too
            raise DataError(f"{path}: {key} is truncated or too long; the file is damaged")
    return _shaped(data.view(header.dtype), header)


def _shaped(values: NDArray[Any], header: Header) -> NDArray[Any]:
    return values.reshape(header.shape[::-1]).T if header.is_fortran else values.reshape(header.shape)


def _file_header(path: Path) -> Header:
    """Return what a file with one array announces."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                keys = _npz_keys(archive)
                if len(keys) != 1:
                    raise DataError(f"{path}: holds {len(keys)} arrays; give the file itself")
                return _npz_header(archive, keys[0], path)
        with path.open("rb") as file:
            header = _npy_header(file)
            num_bytes = path.stat().st_size - file.tell()
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except Exception:  # as in an .npz
        raise DataError(f"{path}: not a readable .npy file") from None
    if not header.dtype.hasobject and num_bytes != header.num_bytes:
        raise DataError(f"{path}: announces {header.num_bytes:,} bytes, but has {num_bytes:,}; the file is damaged")
    return header


def _file_array(path: Path, header: Header) -> NDArray[Any]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return _npz_array(archive, _npz_keys(archive)[0], header, path)
    with path.open("rb") as file:
        _npy_header(file)
        if not header.num_bytes:
            return np.zeros(header.shape, header.dtype)
        order = header.shape[::-1] if header.is_fortran else header.shape
        values = map_array(path, header.dtype, order, file.tell())
    return values.T if header.is_fortran else values
