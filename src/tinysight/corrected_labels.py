"""Writes a table of an image set with doubtful labels replaced; it can be loaded like the set itself."""

import csv
import io
from pathlib import Path

from .checks import Check
from .data.dataset import SPLITS
from .files import write_whole


def write_corrected(check: Check, path: Path) -> None:
    """Write a manifest of all images, with what wrong labels look like in their place.

    It has the columns ``file``, ``label``, ``split`` and ``label_before``, which is empty where nothing was replaced.
    Files are named as `ImageSet.sources` does, below the folder that the set was loaded from: load it with that as root.

    Raises:
        OutputError: It cannot be written.
    """
    images = check.images
    suggestions = {one.row: one.suggestion for one in check.wrong_labels}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "label", "split", "label_before"])
    columns = zip(images.sources, images.labels.tolist(), images.split.tolist(), strict=True)
    for row, (source, label, split) in enumerate(columns):
        name = images.class_names[label]
        suggestion = suggestions.get(row, name)
        writer.writerow([source, suggestion, SPLITS[split], "" if suggestion == name else name])
    write_whole(path, text.getvalue().encode("utf-8", "surrogateescape"))
