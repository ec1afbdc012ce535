"""The results of a study: figures with intervals, comparisons, learning curves, verdicts; as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..data.dataset import ImageSet, hash_numbers
from ..learning_curve import LearningCurve, fit_learning_curve
from ..overfitting import (
    TOO_FEW_IMAGES,
    Comparison,
    Figure,
    JudgedCell,
    SeedScores,
    Verdict,
    corrected_confidence,
    describe_fit,
    judge_difference,
    judge_remedy,
)
from .settings import Cell, StudySettings
from .trainings import Scores, Task

CURVES = tuple(f"{split}_{figure}" for figure in ("accuracy", "loss") for split in ("train", "validation", "test"))


@dataclass(frozen=True)
class CellResult:
    """What the trainings of a cell gave.

    Attributes:
        cell: The cell.
        name: What tells it from the other cells of its size.
        epochs: The epochs that were scored, the last one last.
        scores: For each of `CURVES` the scores, float64 ``(num_seeds, num_epochs)``.
        judged: The figures of the last epoch, as the rules see them.
    """

    cell: Cell
    name: str
    epochs: tuple[int, ...]
    scores: dict[str, NDArray[np.float64]]
    judged: JudgedCell

    def last(self, curve: str) -> Figure:
        """Return one of `CURVES` after the last epoch, with the interval over seeds."""
        return Figure.of(self.scores[curve][:, -1])

    def curve(self, curve: str) -> list[Figure]:
        """Return one of `CURVES` with the interval over seeds after each scored epoch."""
        return [Figure.of(of_epoch) for of_epoch in self.scores[curve].T]

    def to_dict(self) -> dict[str, Any]:
        """Return the results for JSON."""
        settings = self.cell.settings
        return {
            "name": self.name,
            "num_train": self.cell.num_train,
            "dropout": settings.dropout,
            "dropout_position": settings.dropout_position if settings.dropout else None,
            "api": settings.api,
            "augment": settings.augment,
            "num_epochs": settings.epochs,
            "batch_size": settings.batch_size,
            "fit": self.judged.kind,
            "last_epoch": {curve: asdict(self.last(curve)) for curve in CURVES}
            | {"accuracy_gap": asdict(self.judged.gap), "loss_gap": asdict(self.judged.loss_gap)},
            "last_epoch_by_seed": {curve: self.scores[curve][:, -1].tolist() for curve in CURVES},
            "epochs": list(self.epochs),
            "curves": {
                curve: {
                    part: [getattr(figure, part) for figure in self.curve(curve)] for part in ("mean", "low", "high")
                }
                for curve in CURVES
            },
        }


@dataclass(frozen=True)
class ComparisonResult:
    """Two cells compared seed by seed.

    Attributes:
        what: What they differ in: ``remedy``, ``dropout position`` or ``api``.
        first: The cell that comes first; for a remedy that without dropout and augmentation.
        second: The other one.
        differences: Second minus first.
        verdict: What follows.
    """

    what: str
    first: CellResult
    second: CellResult
    differences: Comparison
    verdict: Verdict

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison for JSON."""
        return {
            "what": self.what,
            "num_train": self.first.cell.num_train,
            "first": self.first.name,
            "second": self.second.name,
            "differences": asdict(self.differences),
            "kind": self.verdict.kind,
            "sentence": self.verdict.sentence,
        }


@dataclass(frozen=True)
class CurveResult:
    """A learning curve of cells that differ in their size only."""

    name: str
    sizes: tuple[int, ...]
    errors: tuple[Figure, ...]
    curve: LearningCurve

    def to_dict(self) -> dict[str, Any]:
        """Return the curve for JSON."""
        measured = {"sizes": list(self.sizes), "errors": [asdict(error) for error in self.errors]}
        return {"name": self.name, **measured, **asdict(self.curve), "sentence": self.curve.sentence}


@dataclass(frozen=True)
class StudyResult:
    """The result of a study.

    Attributes:
        data: Name, SHA-256 and numbers of the images.
        settings: What was asked for.
        cells: Each cell's result, by rising size.
        comparisons: The comparisons.
        confidence: Confidence of each comparison's interval, so that all hold at once in 95 % of studies.
        learning_curves: One for each setting, if there are three sizes or more.
        verdicts: For each size the sentences about it, rising.
        seconds: How long all trainings took together, those of earlier runs included.
    """

    data: dict[str, Any]
    settings: StudySettings
    cells: tuple[CellResult, ...]
    comparisons: tuple[ComparisonResult, ...]
    confidence: float
    learning_curves: tuple[CurveResult, ...]
    verdicts: tuple[tuple[int, Verdict], ...]
    seconds: float

    @property
    def verdict(self) -> Verdict:
        """The verdict on the largest number of training images."""
        return self.verdicts[-1][1]

    def to_dict(self) -> dict[str, Any]:
        """Return all but `seconds` for JSON; equal studies give equal results."""
        return {
            "format": 1,
            "tinysight": __version__,
            "verdict": self.verdict.sentence,
            "verdicts": [
                {"num_train": size, "kind": verdict.kind, "sentence": verdict.sentence}
                for size, verdict in self.verdicts
            ],
            "data": self.data,
            "settings": self.settings.to_dict(),
            "correction": {
                "method": "Bonferroni",
                "num_comparisons": len(self.comparisons),
                "confidence": self.confidence,
            },
            "cells": [cell.to_dict() for cell in self.cells],
            "comparisons": [comparison.to_dict() for comparison in self.comparisons],
            "learning_curves": [curve.to_dict() for curve in self.learning_curves],
        }


def summarize(
    images: Mapping[int, ImageSet], settings: StudySettings, cells: Sequence[Cell], scores: Mapping[Task, Scores]
) -> StudyResult:
    """Turn the scores of all trainings into the study's result.

    Args:
        images: The split images of each seed.
        settings: The study's settings.
        cells: The cells.
        scores: The scores of each cell with each seed.
    """
    first = next(iter(images.values()))
    num_validation = _num_different(images.values(), "validation")
    labels = first.labels[np.concatenate([first.indices(split) for split in ("train", "validation", "test")])]
    commonest = float(np.bincount(labels).max() / len(labels))
    results = []
    for cell in cells:
        of_seeds = [scores[Task(cell, seed)] for seed in images]
        arrays = {curve: np.array([getattr(of_seed, curve) for of_seed in of_seeds]) for curve in CURVES}
        last = SeedScores(
            arrays["train_accuracy"][:, -1],
            arrays["validation_accuracy"][:, -1],
            arrays["test_accuracy"][:, -1],
            arrays["train_loss"][:, -1],
            arrays["validation_loss"][:, -1],
            arrays["validation_loss"].min(axis=1),
        )
        num_images = cell.num_train + len(first.indices("validation"))
        judged = JudgedCell(last, num_images, num_validation, commonest)
        results.append(CellResult(cell, cell.name(cells), of_seeds[0].epochs, arrays, judged))
    pairs = _pairs(results)
    confidence = corrected_confidence(len(pairs))
    comparisons = tuple(_compare(*pair, confidence) for pair in pairs)
    data = {
        "name": first.name,
        "sha256": first.data_hash,
        "num_classes": len(first.class_names),
        "num_train": min(len(of_seed.indices("train")) for of_seed in images.values()),
        "num_validation": len(first.indices("validation")),
        "num_test": len(first.indices("test")),
        "num_different_validation": num_validation,
        "num_different_test": _num_different(images.values(), "test"),
    }
    return StudyResult(
        data, settings, tuple(results), comparisons, confidence, _learning_curves(results),
        _verdicts(results, comparisons), sum(of_task.seconds for of_task in scores.values()),
    )  # fmt: skip


def _num_different(images: "Any", split: str) -> int:
    """Count the different images that the seeds have in a split among them."""
    return len(np.unique(np.concatenate([hash_numbers(one.hashes[one.indices(split)]) for one in images])))


def _pairs(results: Sequence[CellResult]) -> list[tuple[str, CellResult, CellResult]]:
    """Return the pairs to compare: each remedy with none, and cells that differ only in dropout's position or API."""
    pairs = []
    for place, second in enumerate(results):
        if not second.cell.is_plain:
            pairs.append(("remedy", _plain(results, second), second))
        for first in results[:place]:
            differing = _differing(first.cell, second.cell)
            if differing in ({"dropout_position"}, {"api"}, {"api", "dropout_position"}):
                pairs.append(("api" if "api" in differing else "dropout position", first, second))
    return pairs


def _differing(first: Cell, second: Cell) -> set[str]:
    """Return the names of the settings in which two cells differ."""
    one, other = ({"num_train": cell.num_train, **asdict(cell.settings)} for cell in (first, second))
    differing = {name for name in one if one[name] != other[name]}
    return differing if first.settings.dropout else differing - {"dropout_position"}


def _plain(results: Sequence[CellResult], treated: CellResult) -> CellResult:
    """Return the cell of the same size and API without any remedy, or with least dropout where all augment."""
    same = [r for r in results if r.cell.num_train == treated.cell.num_train]
    same = [r for r in same if r.cell.settings.api == treated.cell.settings.api]
    return next((r for r in same if r.cell.is_plain), min(same, key=lambda r: r.cell.settings.dropout))


def _compare(what: str, first: CellResult, second: CellResult, confidence: float) -> ComparisonResult:
    differences = Comparison.of(first.judged.scores, second.judged.scores, confidence)
    if what == "remedy":
        name = f"augmentation {second.cell.settings.augment}" if second.cell.settings.augmentation.changes else ""
        rate = f"dropout {second.cell.settings.dropout:g}" if second.cell.settings.dropout else ""
        verdict = judge_remedy(
            first.judged, second.judged, differences, second.cell.remedy, " and ".join(filter(None, (rate, name)))
        )
    else:
        verdict = judge_difference(differences, first.name, second.name)
    return ComparisonResult(what, first, second, differences, verdict)


def _verdicts(
    results: Sequence[CellResult], comparisons: Sequence[ComparisonResult]
) -> tuple[tuple[int, Verdict], ...]:
    """Return a verdict for each size: that on the remedy with the highest validation accuracy."""
    verdicts = []
    for size in dict.fromkeys(result.cell.num_train for result in results):
        remedies = [c for c in comparisons if c.what == "remedy" and c.first.cell.num_train == size]
        if remedies:
            best = max(remedies, key=lambda comparison: comparison.second.last("validation_accuracy").mean)
            verdicts.append((size, best.verdict))
        else:
            judged = next(result.judged for result in results if result.cell.num_train == size)
            verdicts.append((size, Verdict(judged.kind, describe_fit(judged))))
    return tuple(verdicts)


def _learning_curves(results: Sequence[CellResult]) -> tuple[CurveResult, ...]:
    curves = []
    for name in dict.fromkeys(result.name for result in results):
        of_name = [result for result in results if result.name == name]
        sizes = tuple(result.cell.num_train for result in of_name)
        is_known = all(result.judged.kind != TOO_FEW_IMAGES for result in of_name[-1:])
        errors = 1 - np.stack([result.scores["test_accuracy"][:, -1] for result in of_name], axis=1)
        if is_known and (curve := fit_learning_curve(sizes, errors)):
            curves.append(CurveResult(name, sizes, tuple(Figure.of(of_size) for of_size in errors.T), curve))
    return tuple(curves)
