"""Trains the built-in classifier and writes its model card; ``make pretrained`` runs it.

With ``--rewrite`` it only writes the classifier's file anew in the present format, with the same weights.

Needs the folder ``$TINYSIGHT_DATA`` with ``mnist``, ``fashion-mnist``, ``strangers-digits``, ``canvas-digits`` and
``folders``. It trains on MNIST's training images, on some of these stretched, and on digits that `drawn_digits.py` draws.
The other sets are for choosing and testing.
"""

import csv
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from drawn_digits import draw_digits, stretch_digits

from tinysight import Classifier, TrainingSettings, evaluate, load_images, train
from tinysight.data.dataset import SPLITS, ImageSet
from tinysight.data.splits import split_images
from tinysight.onnx_file import MeasuredAccuracy
from tinysight.preprocessing.ink import are_framed
from tinysight.training.train import EpochResult

DATA = Path(os.environ.get("TINYSIGHT_DATA", "../shared/data"))
FOLDER = Path(__file__).parent.parent / "src" / "tinysight" / "pretrained"
SETTINGS = TrainingSettings(recipe="robust", epochs=20, outliers=0.5, seed=0)
NUM_DRAWN, NUM_STRETCHED = 12_000, 18_000  # images that join MNIST's 54,000 training images


def main() -> None:
    images = _with_other_hands(split_images(load_images("mnist"), SETTINGS.validation, SETTINGS.test, SETTINGS.seed))
    training = train(images, SETTINGS, on_epoch=_print_epoch)
    test = training.images.subset("test")
    evaluation = evaluate(training.classifier, test)
    test_figures = MeasuredAccuracy(evaluation.num_images, evaluation.accuracy)
    classifier = training.classifier.with_metadata(training_hashes=np.empty(0, np.uint64), test=test_figures)
    FOLDER.mkdir(exist_ok=True)
    classifier.save(FOLDER / "digits.onnx")
    (FOLDER / "CARD.md").write_text(_card(classifier, test.images, evaluation.accuracy), encoding="utf-8")


def rewrite(path: Path) -> None:
    """Write a classifier's file anew, as this version of Tinysight writes it: its weights stay, bit for bit."""
    before = Classifier.load(path)
    after = before.with_metadata()
    for old, new in zip(before.layers, after.layers, strict=True):
        if [array.tobytes() for array in old] != [array.tobytes() for array in new]:
            raise SystemExit(f"{path}: other weights would be written; nothing was changed")
    after.save(path)


def _with_other_hands(mnist: ImageSet) -> ImageSet:
    """Add training images in styles that MNIST lacks: drawn digits, and MNIST's own stretched to a square."""
    rng = np.random.default_rng(SETTINGS.seed)
    chosen = np.sort(rng.choice(mnist.indices("train"), NUM_STRETCHED, replace=False))
    with ProcessPoolExecutor() as pool:
        drawn = list(pool.map(draw_digits, [NUM_DRAWN // 12] * 12, range(12)))
        stretched = list(pool.map(stretch_digits, np.array_split(mnist.images[chosen], 12)))
    new = np.concatenate([images for images, _ in drawn] + stretched)
    labels = np.concatenate([labels for _, labels in drawn] + [mnist.labels[chosen]])
    hashes = np.array([list(sha256(image.tobytes()).digest()) for image in new], np.uint8)
    return replace(
        mnist,
        name="mnist, and drawn and stretched digits",
        images=np.concatenate([mnist.images, new]),
        labels=np.concatenate([mnist.labels, labels]),
        sources=[*mnist.sources, *(f"drawn or stretched {number}" for number in range(len(new)))],
        split=np.concatenate([mnist.split, np.full(len(new), SPLITS.index("train"), np.uint8)]),
        hashes=np.concatenate([mnist.hashes, hashes]),
    )


def _print_epoch(epoch: EpochResult) -> None:
    print(f"epoch {epoch.epoch}: {epoch.validation_accuracy:.2%} of the validation images", flush=True)


def _card(classifier: Classifier, test_images: np.ndarray, accuracy: float) -> str:
    digits = classifier.probabilities(test_images).max(axis=1)
    other_hands = {
        "strangers-digits": sorted((DATA / "strangers-digits").glob("[0-9]/*")),
        "canvas-digits": sorted((DATA / "canvas-digits").glob("[0-9]/*")),
    }
    hands = {name: _classified_correctly(classifier, paths) for name, paths in other_hands.items()}
    repos = _score_each_source(classifier)
    others = {name: _scores(classifier, images) for name, images in _out_of_distribution_images().items()}
    rejected = {name: float(np.mean(scores < classifier.reject_below)) for name, scores in others.items()}
    framed = int(are_framed(test_images).sum())
    return f"""# The built-in classifier: one handwritten digit

A dense network with 784–512–10 units. `make pretrained` trains it with the recipe `{SETTINGS.recipe}`,
{SETTINGS.epochs} epochs, outliers {SETTINGS.outliers}, seed {SETTINGS.seed}, on

- MNIST's training images (Y. LeCun, C. Cortes, C. J. C. Burges), less those for validation;
- {NUM_STRETCHED:,} of these cut to their ink and stretched to a square, as many programs do;
- {NUM_DRAWN:,} digits drawn by a program in styles that MNIST lacks: a 1 with a flag as long as its stem, a 7 that is
  crossed or hooked, a 6 with a curled arm, a closed 4; with pens of any width, with anti-aliasing and without.

Augmentation shifts, rotates, scales, shears and distorts the images, makes strokes thicker or thinner, and adds noise.
Synthetic out-of-distribution images are added to each step, with equal probabilities for all digits as their label.

MNIST's validation images, `strangers-digits` and `canvas-digits` were looked at while framing, styles and settings were
chosen; the out-of-distribution sets while the synthetic images were. None was trained on. MNIST's test images chose nothing.

| measure | result |
|---|---|
| MNIST's test images classified correctly | {accuracy:.2%} of {len(test_images):,} |
| MNIST's test images that framing leaves unchanged | {framed:,} |
{"".join(f"| `{name}` classified correctly | {right:,} of {total:,} ({right / total:.1%}) |{chr(10)}" for name, (right, total) in hands.items())}\
| MNIST's test images rejected at the file's threshold ({classifier.reject_below:.3f}) | {np.mean(digits < classifier.reject_below):.1%} |

Pictures of no digit, rejected at that threshold. AUROC is the chance that one of them gets a lower probability than one of
MNIST's test images; a picture in which framing finds no single character counts as 0.

| kind | number | rejected | AUROC |
|---|---|---|---|
{"".join(f"| {name} | {len(scores)} | {rejected[name]:.1%} | {_auroc(digits, scores):.3f} |{chr(10)}" for name, scores in others.items())}
`strangers-digits` were drawn by hand (paint program, canvas, tablet, phone) by several people:

| source | classified correctly |
|---|---|
{"".join(f"| {name} | {right} of {total} |{chr(10)}" for name, right, total in repos)}
Limits: it reads one digit on a more or less even background. It reads no letters, no numbers of several digits and no
printed house numbers. Letters that look like digits (O, l, S, Z) are classified as these digits.
"""


def _classified_correctly(classifier: Classifier, paths: list[Path]) -> tuple[int, int]:
    """Return how many pictures in folders named by their digit are classified correctly, and how many there are."""
    predictions = classifier.predict(paths)
    right = [one.class_name == path.parent.name for one, path in zip(predictions, paths, strict=True)]
    return sum(right), len(right)


def _score_each_source(classifier: Classifier) -> list[tuple[str, int, int]]:
    folder = DATA / "strangers-digits"
    table = list(csv.DictReader((folder / "index.csv").open(encoding="utf-8")))
    predictions = classifier.predict([folder / row["file"] for row in table])
    rows: dict[str, list[bool]] = {}
    for row, prediction in zip(table, predictions, strict=True):
        rows.setdefault(row["repo"], []).append(prediction.class_name == row["label"])
    return [(name, sum(hits), len(hits)) for name, hits in rows.items()]


def _out_of_distribution_images() -> dict[str, list[np.ndarray | Path]]:
    """Return out-of-distribution images by kind: synthetic, or from sets that were not trained on."""
    rng = np.random.default_rng(1)
    fashion = load_images("fashion-mnist").subset("test").images
    photographs = sorted((DATA / "folders" / "figures-photos").glob("*/*"))
    letters = sorted((DATA / "folders" / "omniglot-small1").rglob("*.png"))
    return {
        "Fashion-MNIST": list(fashion[rng.choice(len(fashion), 500, replace=False)]),
        "Omniglot's letters": [letters[row] for row in rng.choice(len(letters), 500, replace=False)],
        "photographs and drawings from the web": photographs,
        "uniform noise": [rng.integers(0, 256, (28, 28), dtype=np.uint8) for _ in range(250)],
        "sparse noise": [((rng.random((64, 64)) < 0.05) * 255).astype(np.uint8) for _ in range(250)],
        "blank, with noise": [
            rng.normal(rng.integers(20, 235), 3, (80, 80)).clip(0, 255).astype(np.uint8) for _ in range(250)
        ],
        "scribbles of straight lines": [_scribble(rng) for _ in range(250)],
    }


def _scribble(rng: np.random.Generator) -> np.ndarray:
    from PIL import Image, ImageDraw

    picture = Image.new("L", (200, 200), 255)
    points = rng.uniform(30, 170, (int(rng.integers(8, 30)), 2))
    ImageDraw.Draw(picture).line([tuple(point) for point in points.tolist()], fill=0, width=int(rng.integers(2, 10)))
    return np.asarray(picture)


def _scores(classifier: Classifier, pictures: list) -> np.ndarray:
    """Return the best probability of each picture, 0 where framing finds no single character."""
    framed = [classifier.frame(picture) for picture in pictures]
    best = classifier.probabilities(np.stack([one.pixels for one in framed])).max(axis=1)
    return np.where([bool(one.fault) for one in framed], 0.0, best)


def _auroc(digits: np.ndarray, others: np.ndarray) -> float:
    """Return the area under the ROC curve of telling digits from others by their best probability."""
    from sklearn.metrics import roc_auc_score

    is_digit = np.repeat([1, 0], [len(digits), len(others)])
    return float(roc_auc_score(is_digit, np.concatenate([digits, others])))


if __name__ == "__main__":
    if sys.argv[1:] == ["--rewrite"]:
        rewrite(FOLDER / "digits.onnx")
    else:
        main()
