"""Checks an image set before it is believed: what is unreadable, doubled, contradictory, unbalanced or unusual."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..data.dataset import SPLITS, ImageSet, Progress
from ..data.file_facts import hidden_in, listing_of, read_facts
from ..data.listing import Listing
from ..data.loading import load_images
from ..data.picture_loading import load_pictures
from ..data.splits import split_images
from ..data.wanted import Wanted
from ..errors import DataError
from ..wording import plural
from .file_findings import file_findings, hidden_finding, unused_findings
from .findings import Finding
from .image_findings import (
    class_counts,
    class_findings,
    contradiction_finding,
    copies_findings,
    equal_images,
    near_duplicates,
    pixel_findings,
    quick_lines,
)
from .wrong_labels import WrongLabel, find_wrong_labels

MAX_QUICK_IMAGES = 2**18  # of more, `quick` leaves pixels unread


@dataclass(frozen=True)
class Check:
    """What a check of an image set found.

    Attributes:
        images: The set, as it was loaded.
        findings: What was found, the gravest first.
        wrong_labels: Images whose label looks wrong, the surest first.
        class_counts: Number of images of each class by split; splits without any are left out.
        commonest: The class with the most images, and its share of all.
        notes: Lines on how the source was read, and what is hidden in it.
        unusable: Why no classifier can be trained on it; empty if one can.
    """

    images: ImageSet
    findings: tuple[Finding, ...]
    wrong_labels: tuple[WrongLabel, ...]
    class_counts: Mapping[str, Mapping[str, int]]
    commonest: tuple[str, float]
    notes: tuple[str, ...] = ()
    unusable: str = ""

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found."""
        return not self.findings and not self.unusable

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as JSON's types."""
        return {
            "data_name": self.images.name,
            "data_hash": self.images.data_hash,
            "num_images": len(self.images),
            "image_shape": list(self.images.framing.image_shape),
            "framing": self.images.framing.method,
            "class_counts": {name: dict(counts) for name, counts in self.class_counts.items()},
            "commonest_class": {"class_name": self.commonest[0], "share": self.commonest[1]},
            "is_sound": self.is_sound,
            "unusable": self.unusable,
            "findings": [
                {"kind": one.kind, "message": one.message, "count": len(one.items), "items": list(one.items)}
                for one in self.findings
            ],
            "wrong_labels": [asdict(one) for one in self.wrong_labels],
            "notes": list(self.notes),
        }


def check_images(
    source: Any,
    framing: str | None = None,
    image_size: tuple[int, int] | None = None,
    channels: int | None = None,
    root: str | Path | None = None,
    progress: Progress | None = None,
) -> Check:
    """Check an image set: its files, images, labels, classes and splits. Nothing of it is changed.

    Args:
        source: As for `load_images`; or an `ImageSet`, whose files are not looked at then.
        framing: As for `load_images`.
        image_size: Likewise.
        channels: Likewise.
        root: Likewise.
        progress: Called while files are read.

    Raises:
        DataError: There is no such set, or none of it can be read.
        SettingsError: Framing, size or channels are out of range.
    """
    if isinstance(source, ImageSet):
        images, listing = source, None
    else:
        listing = listing_of(source, root)
        if listing:  # it is used twice; for a million pictures it takes seconds to make
            wanted = Wanted(framing, image_size, channels)
            images = load_pictures(listing, str(source), wanted, str(Path(source).absolute()), progress)
        else:
            images = load_images(source, framing, image_size, None, progress, channels, root)
    findings = list(unused_findings(images.unreadable, images.skipped))
    notes = [line for line in images.skipped if not any(line in one.items for one in findings)]
    if listing:
        findings += _findings_on_files(listing, images, progress, notes)
    findings += _findings_on_images(images)
    wrong = find_wrong_labels(images)
    if wrong:
        message = (
            f"{plural(len(wrong), 'label looks', 'labels look')} wrong, by classifiers that were not trained on it"
        )
        items = tuple(f"{one.source}: {one.label}, looks like {one.suggestion}" for one in wrong)
        findings.append(Finding("wrong_labels", message, items, tuple((one.row,) for one in wrong)))
    return Check(
        images, tuple(findings), tuple(wrong), _counts_by_class(images), _commonest(images), tuple(notes),
        _why_unusable(images),
    )  # fmt: skip


def _findings_on_files(
    listing: Listing, images: ImageSet, progress: Progress | None, notes: list[str]
) -> Iterator[Finding]:
    if Path(listing.root).is_dir():
        pictures, others = hidden_in(listing.root)
        notes += [f"{name}: hidden; skipped" for name in others]
        yield from hidden_finding(pictures)
    is_photographs = images.framing.method == "whole"
    yield from file_findings(read_facts(listing, with_sharpness=is_photographs, progress=progress))


def _findings_on_images(images: ImageSet) -> Iterator[Finding]:
    equal = equal_images(images)
    near = near_duplicates(images, images.near_duplicates)
    yield from contradiction_finding(images, equal)
    yield from contradiction_finding(images, near, "two_labels_nearly", "nearly equal and ")
    yield from copies_findings(images, equal, "duplicates", "exact copies")
    yield from copies_findings(images, near, "near_duplicates", "near-duplicates")
    yield from class_findings(images)
    yield from pixel_findings(images)


def quick(images: ImageSet) -> list[str]:
    """Return what a check finds in a second or less, a line each with the first names; `train` prints them.

    Args:
        images: The set, as it was loaded. Its near-duplicates are used if they are known already.
    """
    findings = list(contradiction_finding(images, equal_images(images)))
    if "near_duplicates" in vars(images):
        near = near_duplicates(images, images.near_duplicates)
        findings += contradiction_finding(images, near, "two_labels_nearly", "nearly equal and ")
    findings += class_findings(images)
    if len(images) <= MAX_QUICK_IMAGES:
        findings += pixel_findings(images)
    return quick_lines(findings)


def _counts_by_class(images: ImageSet) -> dict[str, dict[str, int]]:
    counts = class_counts(images)
    splits = [(place, split) for place, split in enumerate(SPLITS) if counts[:, place].any()]
    return {
        name: {split: int(counts[label, place]) for place, split in splits}
        for label, name in enumerate(images.class_names)
    }


def _commonest(images: ImageSet) -> tuple[str, float]:
    totals = class_counts(images).sum(axis=1)
    place = int(totals.argmax())
    return images.class_names[place], float(totals[place] / totals.sum())


def _why_unusable(images: ImageSet) -> str:
    try:
        split_images(images)
    except DataError as error:
        return str(error)
    return ""
