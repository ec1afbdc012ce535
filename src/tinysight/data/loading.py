"""Loads an `ImageSet` by name or path, from the cache if it is there.

Whatever the source, its images are decoded and framed once, into a memory-mapped uint8 array in the cache.
"""

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from math import prod
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, MissingExtraError
from ..preprocessing.decode import read_picture
from ..preprocessing.framing import Framing, frame_pictures
from ..preprocessing.ink import frame_bitmap
from . import cache
from .arrays import SplitArrays, find_idx_files, label_indices, pair_idx_files, read_idx_files, read_npz
from .cache import release_pages, row_slices
from .dataset import SPLITS, ImageSet, Progress, RowSources
from .downloads import check_content, find_named_set
from .framing_choice import (
    NUM_PHOTOGRAPHS,
    are_photographs,
    array_sample,
    choose_framing,
    file_sample,
    leave_out_blank,
)
from .image_folder import decode_files, list_picture_files
from .named_sets import NAMED_SETS, NAMES

CHUNK_ROWS = 1_024  # images handled at a time where all of them may not fit in memory


def load_images(
    source: str | Path,
    framing: str | None = None,
    image_size: tuple[int, int] | None = None,
    like: Framing | None = None,
    progress: Progress | None = None,
    photograph_size: tuple[int, int] | None = None,
) -> ImageSet:
    """Load an image set by name or path.

    Args:
        source: A named set, such as ``digits`` or ``mnist`` (`tinysight.data.named_sets.NAMES` has all). Or a path:
            of a folder with IDX files; of an ``.npz`` with x_train, y_train and perhaps x_test, y_test, x_val, y_val;
            or of a folder with one folder of pictures for each class, perhaps below folders named train and test.
        framing: ``whole`` or ``ink``; by default a named set's own; otherwise ``ink`` where most images show one drawn
            character (see `framing_choice`), else ``whole``.
        image_size: Height and width to which pictures in folders are framed; by default 28×28.
        like: A classifier's framing, applied to all images; replaces the two above.
        progress: Called while pictures are read or files downloaded.
        photograph_size: Height and width instead of 28×28 where most pictures in folders are photographs: in colour, of
            64 pixels or more, and not framed by ``ink``.

    Returns:
        The set. Images of an official test set are marked ``test``, images whose split is open ``all``.

    Raises:
        DataError: There is no such set, or it cannot be read.
    """
    name, path = str(source), Path(source)
    # A named set
    if name == "digits":
        class_names = tuple("0123456789")
        arrays = ArraySource(name, framing or "ink", ("digits",), lambda: [_read_digits()], class_names, is_framed=True)
    elif name in NAMED_SETS:
        arrays = _named_source(name, framing, progress)
    # A file
    elif not path.exists():
        near = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise DataError(f"{name}: neither a path that exists nor one of the named sets {', '.join(NAMES)}{hint}")
    elif path.suffix.lower() == ".npz":
        arrays = ArraySource(name, framing, cache.file_fingerprint(path), lambda: read_npz(path))
    elif not path.is_dir():
        raise DataError(f"{name}: is a file; expected a folder, an .npz archive, or one of: {', '.join(NAMES)}")
    # A folder
    elif idx_files := find_idx_files(path):
        key = [cache.file_fingerprint(file) for pair in idx_files.values() for file in pair.values()]
        arrays = ArraySource(name, framing, key, lambda: read_idx_files(idx_files, name))
    else:
        wanted = like or Framing(framing or "whole", *(image_size or ()))
        size = None if like or image_size or framing == "ink" else photograph_size
        return _load_folder(path, wanted, progress, keep_channels=bool(like), choose=not (like or framing), size=size)
    return _load_arrays(arrays, like, progress)


@dataclass(frozen=True)
class ArraySource:
    """A source that holds arrays of images.

    Attributes:
        name: What messages call it.
        framing: Method of framing, see `Framing`; None: chosen from the images.
        key: What identifies its content, for the cache.
        read: Reads its arrays; called only if they are not in the cache.
        class_names: Names of the labels 0, 1, …; None: classes are named by their labels.
        is_framed: Whether its images have been framed by its authors, as MNIST's are.
    """

    name: str
    framing: str | None
    key: object
    read: Callable[[], list[SplitArrays]]
    class_names: tuple[str, ...] | None = None
    is_framed: bool = False


def _named_source(name: str, framing: str | None, progress: Progress | None) -> ArraySource:
    named_set, files = NAMED_SETS[name], find_named_set(name, progress)

    def read() -> list[SplitArrays]:
        for file, expected in named_set.files.items():
            check_content(files[file], expected)
        return read_idx_files(pair_idx_files(files.values()), name)

    key = tuple(cache.file_fingerprint(path) for path in files.values())
    is_framed = named_set.framing == "ink"
    return ArraySource(name, framing or named_set.framing, key, read, named_set.class_names, is_framed)


def _read_digits() -> SplitArrays:
    """Return scikit-learn's 1,797 handwritten digits, each 8×8 bitmap scaled to the 20×20 box of MNIST's 28×28.

    Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingExtraError("the image set 'digits'", "train") from None
    digits = load_digits()
    bitmaps = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # its grey levels are 0–16
    return SplitArrays("all", np.stack([frame_bitmap(bitmap, 28, 28) for bitmap in bitmaps]), digits.target, "digits")


def _load_arrays(source: ArraySource, like: Framing | None, progress: Progress | None) -> ImageSet:
    """Load arrays, framed as pictures are; images keep their size unless `like` asks for another."""
    key = cache.fingerprint("arrays", source.key, source.framing, like and asdict(like))
    if (cached := _from_cache(key, source.name)) is not None:
        return cached

    # Read and check all splits
    splits = source.read()
    labels, class_names = label_indices(splits, source.class_names, source.name)
    shape = splits[0].images.shape[1:]
    for split in splits:
        if not like and split.images.shape[1:] != shape:
            found = f"images of shape {split.images.shape[1:]} and of {shape}"
            raise DataError(f"{source.name}: {found}; expected all of one shape")
    framing = like or Framing(
        source.framing or choose_framing(array_sample(splits[0].images)),
        shape[0],
        shape[1],
        3 if len(shape) == 3 else 1,
    )

    # Frame them into the cache, then store what belongs to them
    images_shape = (len(labels), *framing.image_shape)
    with cache.building(key, images_shape, _listed_name(source.name)) as entry:
        images = cache.writable_images(entry.folder, images_shape)
        faults = _frame_into(images, splits, framing, source.is_framed, progress)
        del images
        codes = np.repeat([SPLITS.index(split.split) for split in splits], [len(split.images) for split in splits])
        sources = [(split.source, len(split.images)) for split in splits]
        names = RowSources(sources)
        notes = [] if like else leave_out_blank(codes, faults, names)
        _store(entry.folder, labels, codes.astype(np.uint8), class_names, framing, sources, {"notes": notes})
    return _open(entry.folder, source.name)


def _listed_name(name: str) -> str:
    """Return a named set's name, or a path without reference to the current folder."""
    return name if name in NAMES else str(Path(name).absolute())


def _frame_into(
    images: NDArray[np.uint8],
    splits: Sequence[SplitArrays],
    framing: Framing,
    is_framed: bool,
    progress: Progress | None,
) -> dict[int, str]:
    """Write the images of all splits, framed as prediction would frame their pictures, one after the other.

    Returns:
        What is wrong with some, by their positions.
    """
    start, faults = 0, {}
    for split in splits:
        for chunk in row_slices(split.images):
            rows = split.images[chunk]
            if rows.shape[1:] != framing.image_shape or not (is_framed or framing.method == "whole"):
                framed = frame_pictures(map(read_picture, rows), framing)
                faults.update({start + row: one.fault for row, one in enumerate(framed) if one.fault})
                rows = np.stack([one.pixels for one in framed])
            images[start : start + len(rows)] = rows
            start += len(rows)
            if progress:
                progress("framing images", start, len(images))
            release_pages(split.images)
            release_pages(images)
    return faults


def _load_folder(
    path: Path,
    framing: Framing,
    progress: Progress | None,
    *,
    keep_channels: bool,
    choose: bool,
    size: tuple[int, int] | None = None,
) -> ImageSet:
    """Load the pictures in class folders.

    Unless `keep_channels`, they are decoded in colour, and stored in grey where no picture has any colour. With
    `choose`, their framing is chosen from some of them; with `size`, theirs is that if they are photographs.
    """
    # List the pictures; the versions of all files identify the set
    files, skipped = list_picture_files(path)
    if not files:
        raise DataError(f"{path}: holds no pictures in class folders (such as {path / 'CLASS' / 'PICTURE.png'})")
    versions = [[cache.file_fingerprint(file.path), file.class_name, file.split] for file in files]
    key = cache.fingerprint("folder", path.absolute(), versions, asdict(framing), keep_channels, choose, *(size or ()))
    if (cached := _from_cache(key, str(path))) is not None:
        return replace(cached, skipped=(*skipped, *cached.skipped))
    if choose:
        framing = replace(framing, method=choose_framing(file_sample(files)))
    if size and framing.method == "whole" and are_photographs(file_sample(files, NUM_PHOTOGRAPHS)):
        framing = replace(framing, height=size[0], width=size[1])
    in_colour = framing.channels == 3 or not (keep_channels or framing.method == "ink")
    framing = replace(framing, channels=3 if in_colour else 1)

    with cache.building(key, (len(files), *framing.image_shape), str(path.absolute())) as entry:
        # Decode each picture into its row
        images = cache.writable_images(entry.folder, (len(files), *framing.image_shape))
        report = progress or (lambda *_: None)
        problems, faults = decode_files(
            files, framing, images, lambda done: report("reading pictures", done, len(files))
        )

        # Keep the rows that could be read, without channels that are equal
        good = np.flatnonzero([not problem for problem in problems])
        if not len(good):
            raise DataError(f"{path}: none of its {len(files)} pictures can be read; the first: {problems[0]}")
        if in_colour and not keep_channels and not _has_colour(images):
            framing = replace(framing, channels=1)
        _move_to_front(images, good, framing)
        del images

        # Store what belongs to them
        kept = [files[row] for row in good]
        class_names = sorted({file.class_name for file in kept})
        index_of_class = {class_name: index for index, class_name in enumerate(class_names)}
        labels = np.array([index_of_class[file.class_name] for file in kept], np.int64)
        codes = np.array([SPLITS.index(file.split) for file in kept], np.uint8)
        names = [file.path.relative_to(path).as_posix() for file in kept]
        kept_faults = {place: faults[row] for place, row in enumerate(good.tolist()) if row in faults}
        notes = [] if keep_channels else leave_out_blank(codes, kept_faults, names)
        sources, unreadable = [(name, None) for name in names], list(filter(None, problems))
        _store(entry.folder, labels, codes, class_names, framing, sources, {"unreadable": unreadable, "notes": notes})
    opened = _open(entry.folder, str(path))
    return replace(opened, skipped=(*skipped, *opened.skipped))


def _has_colour(images: NDArray[np.uint8]) -> bool:
    """Tell whether red, green and blue differ in any pixel; rows that could not be read are all 0."""
    chunks = (images[start : start + CHUNK_ROWS] for start in range(0, len(images), CHUNK_ROWS))
    return any((chunk[..., :1] != chunk[..., 1:]).any() for chunk in chunks)


def _move_to_front(images: NDArray[np.uint8], rows: NDArray[np.int64], framing: Framing) -> None:
    """Move rows, in rising order, to the beginning of an array's memory, in the shape that `framing` has.

    No row is overwritten before it has been copied, since a row moves forward and never grows.
    """
    shape = (len(rows), *framing.image_shape)
    if shape == images.shape:
        return
    drops_colour = images.shape[1:] != framing.image_shape
    moved = images.reshape(-1)[: prod(shape)].reshape(shape)
    for start in range(0, len(rows), CHUNK_ROWS):
        chunk = images[rows[start : start + CHUNK_ROWS]]
        moved[start : start + CHUNK_ROWS] = chunk[..., 0] if drops_colour else chunk


def _store(
    folder: Path,
    labels: NDArray[np.int64],
    split: NDArray[np.uint8],
    class_names: Sequence[str],
    framing: Framing,
    sources: Sequence[tuple[str, int | None]],
    remarks: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> None:
    """Write what belongs to the images in `folder`.

    Args:
        folder: Where the images are.
        labels: int64 ``(num_images,)``, indices into `class_names`.
        split: uint8 ``(num_images,)``, indices into `SPLITS`.
        class_names: Name of each class.
        framing: The images' framing.
        sources: Each file that images came from, with its number of rows (None: it is one picture).
        remarks: ``unreadable``, a line for each picture that could not be read, and ``notes``, a line for each group
            of images that is left out, or kept in spite of a fault.
    """
    images = cache.finish_images(folder, (len(labels), *framing.image_shape))
    hashes = np.empty((len(labels), 32), np.uint8)
    for chunk in row_slices(images):
        digests = b"".join(sha256(image).digest() for image in images[chunk])
        hashes[chunk] = np.frombuffer(digests, np.uint8).reshape(-1, 32)
        release_pages(images)
    np.save(folder / "labels.npy", labels)
    np.save(folder / "split.npy", split)
    np.save(folder / "hashes.npy", hashes)
    about = {"class_names": class_names, "framing": asdict(framing), "sources": sources}
    about |= {"unreadable": [], "notes": [], **remarks}
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")


def _open(folder: Path, name: str) -> ImageSet:
    """Open what `_store` wrote; its images are mapped, not read."""
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    framing = Framing(**about["framing"])
    labels = np.load(folder / "labels.npy")
    images = cache.open_images(folder, (len(labels), *framing.image_shape))
    stored = about["sources"]
    are_pictures = bool(stored) and stored[0][1] is None
    sources = [file for file, _ in stored] if are_pictures else RowSources(stored)
    split, hashes = np.load(folder / "split.npy"), np.load(folder / "hashes.npy")
    class_names, notes, unreadable = (tuple(about[entry]) for entry in ("class_names", "notes", "unreadable"))
    return ImageSet(name, images, labels, class_names, sources, split, hashes, framing, notes, unreadable)


def _from_cache(key: str, name: str) -> ImageSet | None:
    """Open a cached set; None if it is not there or damaged."""
    folder = cache.checked_folder(key)
    try:
        return _open(folder, name) if folder else None
    except (OSError, EOFError, ValueError, KeyError, TypeError):  # another process may have removed it
        return None
