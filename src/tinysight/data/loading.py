"""ImageSet, and `load_images` that makes one from a name or a path; does not know models or training.

Whatever the source, its pictures are decoded once into a memory-mapped uint8 array in the cache.
"""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, MissingExtraError, TinysightError
from ..preprocessing.decode import read_picture
from ..preprocessing.framing import Framing, frame_pictures
from ..preprocessing.ink import frame_bitmap
from . import cache
from .arrays import Part, find_idx_files, label_parts, read_idx_files, read_npz, sort_idx_files
from .cache import release_pages, row_slices
from .dataset import SPLITS, ImageSet, RowSources
from .downloads import NAMED_SETS, Progress, check_content, find_named_set
from .image_folder import decode_files, list_picture_files

NAMES = ("digits", *sorted(NAMED_SETS))
CHUNK_ROWS = 1_024  # images handled at a time where all of them may not fit in memory


def load_images(
    source: str | Path,
    framing: str | None = None,
    image_size: tuple[int, int] | None = None,
    like: Framing | None = None,
    progress: Progress | None = None,
) -> ImageSet:
    """Load an image set by name or path.

    Args:
        source: ``digits``, ``mnist`` or ``fashion-mnist``; or the path of a folder with IDX files, of an ``.npz``
            with x_train, y_train and perhaps x_test, y_test, x_val and y_val, or of a folder with one folder of
            pictures for each class (which may lie below folders named train and test).
        framing: ``whole`` or ``ink``; by default ``ink`` for digits and MNIST, else ``whole``.
        image_size: Height and width to which pictures in folders are framed; by default 28×28.
        like: A classifier's framing, to which all images are brought; replaces the two above.
        progress: Called with what is under way, how much of it is done, and how much there is.

    Returns:
        The set; an official test set is marked ``test``, other images ``all`` until `split_images` decides.

    Raises:
        DataError: There is no such set, or it cannot be read.
    """
    name = str(source)
    path = Path(source)
    if name == "digits":
        array_source = ArraySource(
            name, framing or "ink", ("digits",), lambda: [_read_digits()], tuple("0123456789"), True
        )
    elif name in NAMED_SETS:
        array_source = _named_source(name, framing, progress)
    elif not path.exists():
        near = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise DataError(f"{name}: neither a path that exists nor one of the named sets {', '.join(NAMES)}{hint}")
    elif path.suffix.lower() == ".npz":
        array_source = ArraySource(name, framing or "whole", cache.file_fingerprint(path), lambda: read_npz(path))
    elif not path.is_dir():
        raise DataError(f"{name}: is a file; expected a folder, an .npz archive, or one of: {', '.join(NAMES)}")
    elif idx_files := find_idx_files(path):
        key = [cache.file_fingerprint(file) for pair in idx_files.values() for file in pair.values()]
        array_source = ArraySource(name, framing or "whole", key, lambda: read_idx_files(idx_files, name))
    else:
        wanted = like or Framing(framing or "whole", *(image_size or ()))
        return _load_folder(path, wanted, like is not None, progress)
    return _load_arrays(array_source, like)


@dataclass(frozen=True)
class ArraySource:
    """A source whose images are arrays already: what `_load_arrays` needs to know of it."""

    name: str
    framing: str
    key: object
    read: Callable[[], list[Part]]
    class_names: tuple[str, ...] | None = None
    is_placed: bool = False  # its characters, which are where MNIST's authors put them


def _named_source(name: str, framing: str | None, progress: Progress | None) -> ArraySource:
    named_set, files = NAMED_SETS[name], find_named_set(name, progress)

    def read() -> list[Part]:
        for file, expected in named_set.files.items():
            check_content(files[file], expected)
        return read_idx_files(sort_idx_files(files.values()), name)

    key = tuple(cache.file_fingerprint(path) for path in files.values())
    is_placed = named_set.framing == "ink"
    return ArraySource(name, framing or named_set.framing, key, read, named_set.class_names, is_placed)


def _load_arrays(source: ArraySource, like: Framing | None) -> ImageSet:
    """Bring arrays into the cache, framed as pictures are; they keep their size unless `like` asks for another."""

    def fill(folder: Path) -> None:
        parts = source.read()
        labels, class_names = label_parts(parts, source.class_names, source.name)
        shape = parts[0].images.shape[1:]
        framing = like or Framing(source.framing, shape[0], shape[1], 3 if len(shape) == 3 else 1)
        images = cache.create_images(folder, (len(labels), *framing.image_shape))
        start = 0
        for part in parts:
            for rows in row_slices(part.images):
                if not like and part.images.shape[1:] != shape:
                    found = f"images of shape {part.images.shape[1:]} and of {shape}"
                    raise DataError(f"{source.name}: {found}; expected all of one shape")
                brought = _framed(part.images[rows], framing, source.is_placed)
                images[start : start + len(brought)] = brought
                start += len(brought)
                release_pages(part.images)
                release_pages(images)
        split = np.concatenate([np.full(len(part.images), SPLITS.index(part.split), np.uint8) for part in parts])
        _store(folder, labels, split, class_names, framing, [[part.source, len(part.images)] for part in parts])

    fingerprint = cache.fingerprint("arrays", source.key, source.framing, like and asdict(like))
    return _through_cache(fingerprint, fill, source.name)


def _framed(images: NDArray[np.uint8], framing: Framing, is_placed: bool) -> NDArray[np.uint8]:
    """Frame images as prediction would frame their pictures."""
    if images.shape[1:] == framing.image_shape and (is_placed or framing.method == "whole"):
        return images
    return np.stack([framed.pixels for framed in frame_pictures(map(read_picture, images), framing)])


def _load_folder(path: Path, framing: Framing, keep_channels: bool, progress: Progress | None) -> ImageSet:
    """Bring the pictures below `path` into the cache.

    Unless `keep_channels`, they are decoded in colour, and stored in grey where no picture has any.
    """
    files, skipped = list_picture_files(path)
    if not files:
        raise DataError(f"{path}: holds no pictures in class folders (such as {path / 'CLASS' / 'PICTURE.png'})")
    in_colour = framing.channels == 3 or not (keep_channels or framing.method == "ink")
    decoded_as = replace(framing, channels=3 if in_colour else 1)

    def fill(folder: Path) -> None:
        decoded = cache.create_images(folder, (len(files), *decoded_as.image_shape), "decoded.u8")
        problems = decode_files(files, decoded_as, decoded, lambda done: _report(progress, done, len(files)))
        good = np.flatnonzero([not problem for problem in problems])
        if not len(good):
            raise DataError(f"{path}: none of its {len(files)} pictures can be read; the first: {problems[0]}")
        drop_colour = in_colour and not keep_channels and not _has_colour(decoded)
        kept_as = replace(decoded_as, channels=1) if drop_colour else decoded_as
        images = cache.create_images(folder, (len(good), *kept_as.image_shape))
        for start in range(0, len(good), CHUNK_ROWS):
            rows = decoded[good[start : start + CHUNK_ROWS]]
            images[start : start + CHUNK_ROWS] = rows[..., 0] if drop_colour else rows
        (folder / "decoded.u8").unlink()
        kept = [files[row] for row in good]
        class_names = sorted({file.class_name for file in kept})
        index_of_class = {class_name: index for index, class_name in enumerate(class_names)}
        labels = np.array([index_of_class[file.class_name] for file in kept], np.int64)
        split = np.array([SPLITS.index(file.split) for file in kept], np.uint8)
        sources = [[file.path.relative_to(path).as_posix(), None] for file in kept]
        unreadable = [problem for problem in problems if problem]
        _store(folder, labels, split, class_names, kept_as, sources, unreadable)

    key = [[cache.file_fingerprint(file.path), file.class_name, file.split] for file in files]
    fingerprint = cache.fingerprint("folder", path.absolute(), key, asdict(decoded_as), keep_channels)
    return replace(_through_cache(fingerprint, fill, str(path)), skipped=tuple(skipped))


def _has_colour(images: NDArray[np.uint8]) -> bool:
    chunks = (images[start : start + CHUNK_ROWS] for start in range(0, len(images), CHUNK_ROWS))
    return any((chunk[..., :1] != chunk[..., 1:]).any() for chunk in chunks)


def _report(progress: Progress | None, done: int, total: int) -> None:
    if progress:
        progress("reading pictures", done, total)


def _read_digits() -> Part:
    """Return scikit-learn's 1,797 handwritten digits, each 8×8 bitmap scaled to the 20×20 box of MNIST's 28×28.

    Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingExtraError("the image set 'digits'", "train") from None
    digits = load_digits()
    bitmaps = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # its grey levels are 0–16
    return Part("all", np.stack([frame_bitmap(bitmap, 28, 28) for bitmap in bitmaps]), digits.target, "digits")


def _store(
    folder: Path,
    labels: NDArray[np.int64],
    split: NDArray[np.uint8],
    class_names: Sequence[str],
    framing: Framing,
    sources: Sequence[Sequence[object]],
    unreadable: Sequence[str] = (),
) -> None:
    """Write what belongs to the images in `folder`; a source is a file and its number of rows (None: a picture)."""
    images = cache.open_images(folder, (len(labels), *framing.image_shape))
    hashes = np.empty((len(labels), 32), np.uint8)
    for part in row_slices(images):
        digests = b"".join(sha256(image).digest() for image in images[part])
        hashes[part] = np.frombuffer(digests, np.uint8).reshape(-1, 32)
        release_pages(images)
    np.save(folder / "labels.npy", labels)
    np.save(folder / "split.npy", split)
    np.save(folder / "hashes.npy", hashes)
    about = {"class_names": class_names, "framing": asdict(framing), "sources": sources, "unreadable": unreadable}
    cache.write_about(folder, about)


def _through_cache(fingerprint: str, fill: Callable[[Path], None], name: str) -> ImageSet:
    """Open a cached set; have it filled where it is not there, or damaged."""
    try:
        return _open(cache.stored_folder(fingerprint, fill), name)
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, TinysightError):
            raise
        return _open(cache.filled_anew(fingerprint, fill), name)


def _open(folder: Path, name: str) -> ImageSet:
    about = cache.read_about(folder)
    framing = Framing(**about["framing"])
    labels = np.load(folder / "labels.npy")
    images = cache.open_images(folder, (len(labels), *framing.image_shape))
    stored = about["sources"]
    are_pictures = bool(stored) and stored[0][1] is None
    sources = [name for name, _ in stored] if are_pictures else RowSources(stored)
    split, hashes = np.load(folder / "split.npy"), np.load(folder / "hashes.npy")
    class_names, unreadable = tuple(about["class_names"]), tuple(about["unreadable"])
    return ImageSet(name, images, labels, class_names, sources, split, hashes, framing, (), unreadable)
