"""Finds images and labels among named arrays, such as ``x_train``, ``trainY``, ``train_images``, ``images``."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from ..errors import DataError
from .array_headers import Header
from .split_names import split_name

IMAGE_WORDS = frozenset(
    "x image images img imgs picture pictures data feature features pixel pixels input inputs".split()  # noqa: SIM905
)
LABEL_WORDS = frozenset(
    "y label labels lbl lbls target targets class classes category categories".split()  # noqa: SIM905
)
NAME_WORDS = frozenset(("name", "names"))
EXPECTED = "expected arrays x_train and y_train, or images and labels; perhaps also x_test, y_test, x_val, y_val"
MAX_LISTED = 12  # arrays in a message
_GLUED = re.compile(r"([xy])(train|tr|val|valid|test|te)|(train|val|valid|test)([xy])")
_CAMEL_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WORD = re.compile(r"[^\W\d_]+")


class Pair(NamedTuple):
    """Images and their labels.

    Attributes:
        split: ``train``, ``validation``, ``test``, or ``all`` where the names do not say.
        images: Name of the array of images.
        labels: Name of the array of labels.
    """

    split: str
    images: str
    labels: str


class Pairs(NamedTuple):
    """Which of several arrays belong together.

    Attributes:
        pairs: Those of each split.
        class_names: Name of the array with the classes' names; empty if there is none.
        notes: A line on each array that is not used, and on what was guessed.
    """

    pairs: list[Pair]
    class_names: str
    notes: list[str]


def pair_arrays(headers: Mapping[str, Header], name: str) -> Pairs:
    """Find the images and labels of each split.

    Args:
        headers: Each array's type and shape, by its name.
        name: What error messages call them together.

    Raises:
        DataError: There are none, or it is not certain which belong together.
    """
    roles = {key: _role(key, header) for key, header in headers.items()}
    class_names = [key for key, (role, _) in roles.items() if role == "names"]
    found: dict[str, dict[str, list[str]]] = {}
    for key, (role, split) in roles.items():
        if role in ("images", "labels"):
            found.setdefault(split, {"images": [], "labels": []})[role].append(key)
    complete = {split: one for split, one in found.items() if len(one["images"]) == len(one["labels"]) == 1}
    unclear = {split: one for split, one in found.items() if split not in complete}
    if set(unclear) == {"all"} and complete and "all" not in complete and not unclear["all"]["labels"]:
        unclear = {}  # such as x_unlabeled beside x_train and y_train
    if not complete and (guessed := _guess(headers, name)):
        return guessed
    if unclear or not complete or len(class_names) > 1:
        raise DataError(f"{name}: {EXPECTED}; it holds {describe(headers)}")
    order = [split for split in ("train", "validation", "test", "all") if split in complete]
    pairs = [Pair(split, complete[split]["images"][0], complete[split]["labels"][0]) for split in order]
    used = {key for pair in pairs for key in pair[1:]} | set(class_names)
    notes = [f"{name}: array {key} is not used" for key in headers if key not in used]
    return Pairs(pairs, class_names[0] if class_names else "", notes)


def describe(headers: Mapping[str, Header]) -> str:
    """List arrays with their types and shapes."""
    listed = [f"{key} {header}" for key, header in list(headers.items())[:MAX_LISTED]]
    more = [f"{len(headers) - MAX_LISTED} more"] if len(headers) > MAX_LISTED else []
    return ", ".join([*listed, *more]) or "no arrays"


def _role(key: str, header: Header) -> tuple[str, str]:
    """Return whether an array's name is that of ``images``, ``labels`` or ``names``, and of which split."""
    spaced = _CAMEL_CASE.sub(" ", key).lower()
    if glued := _GLUED.fullmatch(spaced.replace(" ", "")):
        spaced = " ".join(filter(None, glued.groups()))
    words = set(_WORD.findall(spaced))
    split = split_name(spaced).split or "all"
    if words & NAME_WORDS or (header.dtype.kind in "US" and words == {"classes"}):
        return "names", split
    if words & LABEL_WORDS:
        return "labels", split
    return ("images" if words & IMAGE_WORDS else ""), split


def _guess(headers: Mapping[str, Header], name: str) -> Pairs | None:
    """Take two arrays of equal length for images and labels, where only one of them can be either."""
    if len(headers) != 2:
        return None
    for images, labels in (tuple(headers), tuple(headers)[::-1]):
        one, other = headers[images], headers[labels]
        if _may_be_images(one) and _may_be_labels(other, one) and one.shape[0] == other.shape[0]:
            note = f"{name}: {images} is taken for the images, {labels} for their labels"
            return Pairs([Pair("all", images, labels)], "", [note])
    return None


def _may_be_images(header: Header) -> bool:
    return len(header.shape) in (3, 4) or (len(header.shape) == 2 and header.shape[1] >= 16)


def _may_be_labels(header: Header, images: Header) -> bool:
    """Tell whether an array may be labels: one for each image, or one-hot rows beside images that are not flat."""
    is_one_hot = len(header.shape) == 2 and len(images.shape) > 2
    return len(header.shape) == 1 or header.shape[1:] == (1,) or is_one_hot
