"""Notes how much of an image set has been decoded, so that a run can go on where a killed one was."""

import json
import os
from pathlib import Path

from ..files import read_at_most

MAX_BYTES = 2**28


class Journal:
    """The journal of one image set that is being decoded: a file with one line for each entry.

    Attributes:
        path: The file.
        channels: Of the images that are being decoded; 0 if there is no entry.
        num_done: Number of pictures that are done, from the first one on.
        problems: Why pictures could not be read, by their positions.
        faults: What is wrong with what pictures show, by their positions.
    """

    def __init__(self, path: Path) -> None:
        """Read the entries that an earlier run has left, if any; a line that was cut off ends them."""
        self.path = path
        self.channels, self.num_done = 0, 0
        self.problems: dict[int, str] = {}
        self.faults: dict[int, str] = {}
        try:
            for line in read_at_most(path, MAX_BYTES).splitlines():
                entry = json.loads(line)
                problems, faults = ({int(row): str(text) for row, text in entry[key].items()} for key in ("p", "f"))
                self.channels, self.num_done = int(entry["channels"]), int(entry["done"])
                self.problems |= problems
                self.faults |= faults
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass
        self._noted = (0, 0)  # numbers of problems and faults in the file

    def begin(self, channels: int) -> None:
        """Go on with images of so many channels, or begin anew if those of an earlier run have others."""
        if channels != self.channels:
            self.channels, self.num_done = channels, 0
            self.problems, self.faults = {}, {}
        self._noted = (0, 0)
        self.path.write_bytes(b"")  # without a line that was cut off
        self.add(self.num_done, self.problems, self.faults)

    def add(self, num_done: int, problems: dict[int, str], faults: dict[int, str]) -> None:
        """Note that so many pictures are done; their pixels must be on the disk already."""
        new = (dict(list(problems.items())[self._noted[0] :]), dict(list(faults.items())[self._noted[1] :]))
        self._noted = (len(problems), len(faults))
        entry = {"channels": self.channels, "done": num_done, "p": new[0], "f": new[1]}
        with self.path.open("ab") as file:
            file.write(json.dumps(entry).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def remove(self) -> None:
        """Remove the file: all is done."""
        self.path.unlink(missing_ok=True)
