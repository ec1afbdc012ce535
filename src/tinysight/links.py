"""Decides which links to folders are followed: each that leads outside, once, so that loops end."""

import os


class FollowedLinks:
    """The folders that have been reached: the topmost one, and those that links lead to."""

    def __init__(self, top: str) -> None:
        """Take the path of the topmost folder."""
        self._reached = [os.path.realpath(top)]

    def follow(self, path: str) -> bool:
        """Tell whether the folder behind a link is still to be read, and remember that it is.

        Args:
            path: The link.

        Returns:
            False where it lies in a folder that is read anyway, or holds one.
        """
        target = os.path.realpath(path)
        if any(_is_within(target, reached) or _is_within(reached, target) for reached in self._reached):
            return False
        self._reached.append(target)
        return True


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))  # noqa: PTH118
