"""Groups of images, such as those of one person, by their names or by a regular expression on where they came from."""

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from ..errors import SettingsError, check_pattern

NO_GROUP = -1


def group_numbers(names: Iterable[str]) -> NDArray[np.int64]:
    """Return the number of each image's group, int64 ``(num_images,)``, for `ImageSet.groups`.

    It is a hash of the group's name, so that the same name has the same number in every set; `NO_GROUP` for an empty
    name.
    """
    numbers = {"": NO_GROUP}

    def number(name: str) -> int:
        if name not in numbers:
            digest = sha256(name.encode(errors="surrogatepass")).digest()
            numbers[name] = int.from_bytes(digest[:8]) >> 1  # 63 bits: never negative
        return numbers[name]

    return np.fromiter(map(number, names), np.int64)


def groups_by_pattern(sources: Sequence[str], pattern: str) -> NDArray[np.int64]:
    """Return the number of each image's group: what a regular expression finds in its source.

    Args:
        sources: Where each image came from, such as a file's path below the folder.
        pattern: A regular expression. The group's name is what its first pair of parentheses holds, or all that it
            matches if it has none. An image in whose source it finds nothing is in no group.

    Returns:
        As `group_numbers`.

    Raises:
        SettingsError: It is no regular expression, or finds nothing in any source.
    """
    check_pattern("group", pattern)
    search, part = re.compile(pattern).search, min(1, re.compile(pattern).groups)
    found = map(search, sources)
    numbers = group_numbers((match[part] or "") if match else "" for match in found)
    if (numbers == NO_GROUP).all():
        raise SettingsError(f"group is {pattern!r}, which finds nothing in any file name, such as {sources[0]}")
    return numbers
