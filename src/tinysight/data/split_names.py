"""Tells which split a name such as ``training_set``, ``seg_test`` or ``val2017`` stands for."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from ..errors import DataError

# A split by the words for it, as names of folders, files, arrays and columns hold them
WORDS = {
    "train": "train training trn tr trainval fit",
    "validation": "val valid validation validate dev devel va",
    "test": "test testing tst te holdout",
    "eval": "eval evaluation",  # test, unless there is another test split
}
# Words that say nothing about the split
FILLERS = frozenset(
    "set sets data dataset image images img imgs picture pictures photo photos sample samples example examples split "  # noqa: SIM905
    "part file files folder x y".split()
)
OWN_WORDS = {"all": "all", "unused": "unused", "": "all"}  # of the column `split` in splits.csv
_SPLIT_OF_WORD = {word: split for split, words in WORDS.items() for word in words.split()}
_GLUED = re.compile(rf"(?P<word>{'|'.join(_SPLIT_OF_WORD)})(?:{'|'.join(sorted(FILLERS, key=len)[::-1])})")
_WORD = re.compile(r"[^\W\d_]+")
_CAMEL_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")


class SplitName(NamedTuple):
    """What a name says about a split.

    Attributes:
        split: ``train``, ``validation`` or ``test``; empty if it says nothing, or contradicts itself.
        is_whole: Whether the name says nothing else, as ``train_images`` and ``test2`` do.
    """

    split: str
    is_whole: bool


def split_name(name: str) -> SplitName:
    """Return which split a name stands for; ``eval`` is read as test."""
    found, num_others = _words(name)
    if found == {"train", "validation"}:  # as trainval
        found = {"train"}
    split = found.pop() if len(found) == 1 else ""
    return SplitName("test" if split == "eval" else split, bool(split) and not num_others)


def given_split(text: str, where: str) -> str:
    """Return the split that a value in a column of splits stands for; ``all`` for an empty one.

    Raises:
        DataError: It stands for none.
    """
    found = OWN_WORDS.get(text.strip().lower()) or split_name(text).split
    if not found:
        raise DataError(f"{where}: split is {text[:80]!r}; expected train, validation or test, or nothing")
    return found


def says_no_class(name: str) -> bool:
    """Tell whether a name stands for a split, or says nothing, as ``images`` does."""
    return not _words(name)[1]


def splits_of(names: Iterable[str]) -> dict[str, SplitName]:
    """Return which split each of several names stands for; beside a test split, ``eval`` is for validation."""
    splits = {name: split_name(name) for name in names}
    evals = [name for name in splits if _words(name)[0] == {"eval"}]
    if any(one.split == "test" and name not in evals for name, one in splits.items()):
        splits |= {name: SplitName("validation", splits[name].is_whole) for name in evals}
    return splits


def _words(name: str) -> tuple[set[str], int]:
    """Return the splits that a name's words stand for, and how many words say something else."""
    found, num_others = set(), 0
    for word in _WORD.findall(_CAMEL_CASE.sub(" ", name).lower()):
        glued = _GLUED.fullmatch(word)
        if split := _SPLIT_OF_WORD.get(glued["word"] if glued else word):
            found.add(split)
        else:
            num_others += word not in FILLERS
    return found, num_others
