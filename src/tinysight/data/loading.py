"""Loads an `ImageSet` by name, by path or from arrays; from the cache if it is there.

Whatever the source, its images are decoded and framed once, into a memory-mapped uint8 array in the cache.
"""

import difflib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, MissingExtraError
from ..preprocessing.framing import Framing
from ..preprocessing.ink import frame_bitmap
from . import cache
from .archives import is_archive
from .array_forms import SplitArrays
from .array_loading import load_arrays
from .dataset import ImageSet, Progress
from .downloads import check_content, find_named_set
from .idx import pair_idx_files, read_idx_files
from .listing import Listing
from .manifest import NoPictureError, choose_images
from .named_sets import NAMED_SETS, NAMES
from .picture_loading import load_pictures
from .python_arrays import NAME as ARRAYS, arrays_hash, is_arrays, read_arrays
from .sources import Arrays, ArraySource, find_source, list_manifest
from .wanted import Wanted


def load_images(
    source: Any,
    framing: str | None = None,
    image_size: tuple[int, int] | None = None,
    like: Framing | None = None,
    progress: Progress | None = None,
    channels: int | None = None,
    root: str | Path | None = None,
    photograph_size: tuple[int, int] | None = None,
) -> ImageSet:
    """Load an image set by name, by path or from arrays.

    Args:
        source: A named set, such as ``digits`` or ``mnist`` (`tinysight.data.named_sets.NAMES` has all). Or a path, as
            docs/data.md lists them: class folders, perhaps below folders of splits, or an archive of them; a table with
            columns file and label; files of IDX, NumPy, Parquet, CSV or WebDataset. Or arrays: ``(images, labels)``,
            ``((x_train, y_train), (x_test, y_test))``, or a dictionary with names as in an ``.npz``.
        framing: ``whole`` or ``ink``; by default a named set's own; otherwise ``ink`` where most images show one drawn
            character (see `framing_choice`), else ``whole``.
        image_size: Height and width to which images are framed; by default 28×28 for pictures, arrays keep theirs.
        like: A classifier's framing, applied to all images; replaces framing, size and channels.
        progress: Called while pictures are read or files downloaded.
        channels: 1 makes the images grey, 3 colour; by default colour where any picture has some.
        root: Where the files are that a table names: a folder, an archive, or a source whose images it names as
            `ImageSet.sources` does; by default the table's folder.
        photograph_size: Height and width instead of 28×28 where most pictures are photographs: of 64 pixels or more a
            side, and not framed by ``ink``.

    Returns:
        The set. Images of an official test set are marked ``test``, images whose split is open ``all``.

    Raises:
        DataError: There is no such set, or it cannot be read.
        SettingsError: Framing, size or channels are out of range.
    """
    large = None if image_size or framing == "ink" else photograph_size
    wanted = Wanted(like=like) if like else Wanted(framing, image_size, channels, photograph_size=large)
    if is_arrays(source):
        return _load_python_arrays(source, wanted, progress)
    name, path = str(source), Path(source)
    if root is not None:
        return _load_with_root(path, root, wanted, progress)
    if name == "digits" or name in NAMED_SETS:
        return load_arrays(_named_source(name, progress), wanted, name, progress)
    if not path.exists():
        near = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise DataError(f"{name}: neither a path that exists nor one of the named sets {', '.join(NAMES)}{hint}")
    found, listed_name = find_source(path), str(path.absolute())  # a name that means the same from everywhere
    if isinstance(found, Listing):
        return load_pictures(found, name, wanted, listed_name, progress)
    return replace(load_arrays(found, wanted, listed_name, progress), name=name)


def _load_python_arrays(source: object, wanted: Wanted, progress: Progress | None) -> ImageSet:
    splits, class_names, notes = read_arrays(source)
    arrays = ArraySource(ARRAYS, arrays_hash(splits, class_names), lambda: (splits, class_names, notes))
    return load_arrays(arrays, wanted, ARRAYS, progress)


def _named_source(name: str, progress: Progress | None) -> ArraySource:
    if name == "digits":
        return ArraySource(name, "digits", _read_digits, "ink", is_framed=True)
    named_set, files = NAMED_SETS[name], find_named_set(name, progress)

    def read() -> Arrays:
        for file, expected in named_set.files.items():
            check_content(files[file], expected)
        return read_idx_files(pair_idx_files(files.values()), name)[0], named_set.class_names, []

    key = tuple(cache.file_fingerprint(path) for path in files.values())
    return ArraySource(name, key, read, named_set.framing, is_framed=named_set.framing == "ink")


def _read_digits() -> Arrays:
    """Return scikit-learn's 1,797 handwritten digits, each 8×8 bitmap scaled to the 20×20 box of MNIST's 28×28.

    Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingExtraError("the image set 'digits'", "train") from None
    digits = load_digits()
    bitmaps = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # its grey levels are 0–16
    images = np.stack([frame_bitmap(bitmap, 28, 28) for bitmap in bitmaps])
    return [SplitArrays("all", images, digits.target, "digits")], tuple("0123456789"), []


def _load_with_root(path: Path, root: str | Path, wanted: Wanted, progress: Progress | None) -> ImageSet:
    """Load what a manifest names: files in a folder or an archive, or images of another source."""
    if not path.is_file():
        raise DataError(f"{path}: expected a table with columns file and label, since there is a root ({root})")
    folder = Path(root)
    if str(root) not in NAMES and (folder.is_dir() or (folder.is_file() and is_archive(folder))):
        try:
            listing = list_manifest(path, folder)
        except NoPictureError:  # the names may be those of rows in files of arrays
            pass
        else:
            return load_pictures(listing, str(path), wanted, str(path.absolute()), progress)
    size, like = wanted.image_size, wanted.like
    return choose_images(load_images(root, wanted.framing, size, like, progress, wanted.channels), path)
