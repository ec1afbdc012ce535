"""Findings on picture files: those left out, and those of another size, orientation or kind than most."""

import os
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..data.file_facts import FileFacts
from ..wording import plural
from .findings import Finding

# The formats that a suffix may stand for
SUFFIX_FORMATS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), ("JPEG",)),
    **dict.fromkeys((".png", ".apng"), ("PNG",)),
    **dict.fromkeys((".tif", ".tiff"), ("TIFF",)),
    **dict.fromkeys((".pbm", ".pgm", ".ppm", ".pnm"), ("PPM",)),
    **dict.fromkeys((".heic", ".heics", ".heif", ".heifs", ".hif", ".avif", ".avifs"), ("AVIF", "HEIC")),
    ".bmp": ("BMP",), ".gif": ("GIF",), ".webp": ("WEBP",),
}  # fmt: skip
FAR_IN_AREA, FAR_IN_SHAPE = 8.0, 2.0  # times the usual area, and the usual ratio of width to height
BLURRED = 0.05  # of the usual sharpness; a Gaussian blur of 2 pixels at 256 leaves less
MIN_TO_COMPARE = 10  # pictures; of fewer, none is usual
LEFT_OUT = ("skipped", "left out", "not a class", "leads nowhere")  # what notes on something unused say


def unused_findings(unreadable: Sequence[str], skipped: Sequence[str]) -> Iterator[Finding]:
    """Yield what a source holds that is not used.

    Args:
        unreadable: A line for each picture that cannot be read, as `ImageSet` has them.
        skipped: A line for each folder or group of files that is not part of the set.
    """
    if unreadable:
        yield Finding(
            "unreadable", f"{plural(len(unreadable), 'picture')} cannot be used; repair or remove", tuple(unreadable)
        )
    empty = tuple(line for line in skipped if "not a class" in line)
    if empty:
        yield Finding("empty_class", f"{plural(len(empty), 'folder')} without pictures: no class", empty)
    others = tuple(line for line in skipped if line not in empty and any(word in line for word in LEFT_OUT))
    if others:
        yield Finding("skipped", f"{plural(len(others), 'thing')} left out", others)


def hidden_finding(pictures: Sequence[str]) -> Iterator[Finding]:
    """Yield a finding if hidden files or folders hold pictures."""
    if pictures:
        message = f"{plural(len(pictures), 'hidden file or folder', 'hidden files or folders')} with pictures not read"
        yield Finding("hidden", message, tuple(pictures))


def file_findings(files: FileFacts) -> Iterator[Finding]:
    """Yield what the headers of picture files say."""
    known = [number for number, one in enumerate(files.facts) if one.format]
    names, facts = [files.names[number] for number in known], [files.facts[number] for number in known]

    def finding(kind: str, chosen: Sequence[bool], what: str, details: Sequence[str] = ()) -> Iterator[Finding]:
        texts = details or names
        if items := tuple(text for text, is_chosen in zip(texts, chosen, strict=True) if is_chosen):
            yield Finding(kind, f"{plural(len(items), 'picture')} {what}", items)

    suffixes = [os.path.splitext(name)[1].lower() for name in names]  # noqa: PTH122
    is_disguised = [
        suffix in SUFFIX_FORMATS and one.format not in SUFFIX_FORMATS[suffix]
        for suffix, one in zip(suffixes, facts, strict=True)
    ]
    what = "of another format than the name says; the content counts"
    yield from finding("disguised", is_disguised, what, [f"{a}: {b.format}" for a, b in zip(names, facts, strict=True)])
    yield from finding(
        "turned", [one.is_turned for one in facts], "stored lying, with EXIF orientation; turned upright"
    )
    what = "with transparency; laid on a background"
    yield from finding("transparent", [one.has_alpha for one in facts], what)
    if len(facts) >= MIN_TO_COMPARE:
        sizes = [f"{name}: {one.width}×{one.height}" for name, one in zip(names, facts, strict=True)]
        shape = np.array([(one.width, one.height) for one in facts], np.float64)
        is_far, usual = _far_from_usual(np.maximum(shape, 1))
        yield from finding("size", is_far.tolist(), f"far from the usual size, {usual}", sizes)
        sharpness = np.array([one.sharpness for one in facts])
        measured = sharpness[~np.isnan(sharpness)]
        if len(measured) >= MIN_TO_COMPARE:
            is_blurred = np.nan_to_num(sharpness, nan=np.inf) < BLURRED * np.median(measured)
            yield from finding("blurred", is_blurred.tolist(), "much less sharp than the others")


def _far_from_usual(sizes: NDArray[np.float64]) -> tuple[NDArray[np.bool_], str]:
    """Tell which sizes, float64 ``(num_pictures, 2)``, are far from the median; and return that in words."""
    usual = np.median(sizes, axis=0)
    area = np.abs(np.log(sizes.prod(axis=1) / usual.prod()))
    shape = np.abs(np.log(sizes[:, 0] / sizes[:, 1]) - np.median(np.log(sizes[:, 0] / sizes[:, 1])))
    # Where sizes differ widely anyway, only what is outside their spread
    far_area = max(np.log(FAR_IN_AREA), 4 * float(np.median(area)))
    far_shape = max(np.log(FAR_IN_SHAPE), 4 * float(np.median(shape)))
    return (area > far_area) | (shape > far_shape), f"{usual[0]:.0f}×{usual[1]:.0f}"
