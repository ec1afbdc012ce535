"""Keeps the state of a training in a file, so that it goes on where it was after its process was killed."""

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.dataset import ImageSet
from ..errors import SettingsError
from .settings import ResolvedSettings
from .versions import DECISIVE, installed_versions

SECONDS_BETWEEN = 5.0  # writing one takes about a tenth of a second for 1,022,490 weights


class Checkpoint:
    """The file that holds a training's state after one of its last epochs.

    It is written at most every `SECONDS_BETWEEN` seconds. One that cannot be written is left out: training goes on.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, resume: bool = False) -> None:
        """Take the file, and whether a training goes on from it."""
        self.path, self._resume, self._written = path, resume, monotonic()

    def is_due(self) -> bool:
        """Tell whether it is time to write."""
        return monotonic() - self._written >= SECONDS_BETWEEN

    def write(self, state: Mapping[str, NDArray[Any]], settings: ResolvedSettings, images: ImageSet) -> None:
        """Write a state, whole or not at all."""
        temporary = self.path.with_name(f"{self.path.name}.new")
        key = np.frombuffer(json.dumps(_key(settings, images)).encode(), np.uint8)
        try:
            with temporary.open("wb") as file:
                np.savez(file, allow_pickle=False, key=key, **state)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
        except OSError:
            temporary.unlink(missing_ok=True)
        self._written = monotonic()

    def read(self, settings: ResolvedSettings, images: ImageSet) -> dict[str, NDArray[Any]] | None:
        """Return the state to go on from; None if there is none, or if the training should start anew.

        Raises:
            SettingsError: The file is of a training with other settings, images or versions, or is damaged.
        """
        if not (self._resume and self.path.exists()):
            return None
        anew = "repeat that command with --resume, or leave out --resume to start anew"
        try:
            with self.path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                state = {name: file[name] for name in file.files}
            stored = json.loads(state.pop("key").tobytes())
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise SettingsError(f"{self.path}: is damaged ({error}); leave out --resume to start anew") from None
        expected = json.loads(json.dumps(_key(settings, images)))
        for name in expected:
            if stored.get(name) != expected[name]:
                found = f"{name.replace('_', ' ')} {stored.get(name)} instead of {expected[name]}"
                raise SettingsError(f"{self.path}: the training that was interrupted has {found}; {anew}")
        return state

    def remove(self) -> None:
        """Remove the file, when it is not needed any more."""
        self.path.unlink(missing_ok=True)


def _key(settings: ResolvedSettings, images: ImageSet) -> dict[str, Any]:
    """Return all that a training's result depends on, but for the kind of processor."""
    return {**asdict(settings), "images": images.split_hash, **installed_versions(*DECISIVE)}
