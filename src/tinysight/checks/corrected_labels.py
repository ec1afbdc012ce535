"""Writes a table of an image set with doubtful labels replaced; it can be loaded like the set itself."""

import csv
import io
from pathlib import Path

from ..data.dataset import SPLITS
from ..data.groups import NO_GROUP
from ..files import write_whole
from .run import Check


def write_corrected(check: Check, path: Path) -> None:
    """Write a manifest of all images, with what wrong labels look like in their place.

    It has the columns ``file``, ``label``, ``split`` and ``label_before``, which is empty where nothing was replaced;
    and ``group`` if there are groups.
    Files are named as `ImageSet.sources` does; give what the set was loaded from as the root when it is loaded.

    Raises:
        OutputError: It cannot be written.
    """
    images = check.images
    suggestions = {one.row: one.suggestion for one in check.wrong_labels}
    groups = None if images.groups is None else images.groups.tolist()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "label", "split", "label_before", *(["group"] if groups else [])])
    columns = zip(images.sources, images.labels.tolist(), images.split.tolist(), strict=True)
    for row, (source, label, split) in enumerate(columns):
        name = images.class_names[label]
        suggestion = suggestions.get(row, name)
        group = [] if groups is None else ["" if groups[row] == NO_GROUP else groups[row]]
        writer.writerow([source, suggestion, SPLITS[split], "" if suggestion == name else name, *group])
    write_whole(path, text.getvalue().encode("utf-8", "surrogateescape"))
