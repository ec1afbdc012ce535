"""Writes the pictures for the benchmark ``own-images``: folders ``train`` and ``test``, with a folder for each class.

The seed chooses which pictures are in which, class by class. Where a set has test images of its own, all or a share of
them stay the test images.
"""

import gzip
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

Pictures = dict[str, dict[str, Path | np.ndarray]]  # class name → file name → a file, or its pixels


@dataclass(frozen=True)
class ImageFolder:
    """Where pictures come from, and how they are written.

    `source` is a folder of $TINYSIGHT_DATA, or ``digits``, which comes with scikit-learn. Without `train_share`, a
    fifth of each class are test images. `inverted` turns light on dark into dark on light. `best` has the options that
    suit these pictures best, as far as known. `long` folders are left out of short runs. `epochs` are the convnet's at
    most.
    """

    title: str
    source: str
    train_share: float | None = None
    test_share: float = 0.2
    inverted: bool = False
    best: str = "--recipe accurate"
    long: bool = False
    epochs: int = 50

    @property
    def is_whole(self) -> bool:
        """Tell whether all images are used, so that the split depends on no seed."""
        return self.train_share == self.test_share == 1


DRAWN = "--framing ink --recipe accurate"
FOLDERS = {
    "omniglot": ImageFolder("Omniglot, drawn characters, dark on light", "folders/omniglot-small1", best=DRAWN),
    "canvas-digits": ImageFolder("Digits of one hand, stretched to 20×20", "canvas-digits", best=DRAWN),
    "digits": ImageFolder("scikit-learn's digits as 8×8 files", "digits", best=DRAWN),
    "figures-photos": ImageFolder("Figures, drawings and photographs in colour", "folders/figures-photos"),
    "fashion": ImageFolder(
        "Fashion-MNIST, dark on light, 10 % of the training and 20 % of the test images",
        "fashion-mnist", train_share=0.1, inverted=True, long=True,
        best="--recipe accurate --augment none --flip --dropout 0.25",
    ),
    "mnist-1": ImageFolder("MNIST, 1 % of the training images", "mnist", 0.01, 1.0, best=DRAWN),
    "mnist-10": ImageFolder("MNIST, 10 % of the training images", "mnist", 0.1, 1.0, best=DRAWN, long=True),
    "mnist-100": ImageFolder("MNIST", "mnist", 1.0, 1.0, best=DRAWN, long=True, epochs=3),
}  # fmt: skip


def data_folder(folder: ImageFolder) -> Path:
    """Return where a folder's pictures are read from."""
    return Path(os.environ["TINYSIGHT_DATA"]) / folder.source


def is_available(folder: ImageFolder) -> bool:
    """Tell whether the pictures are there."""
    return folder.source == "digits" or data_folder(folder).is_dir()


def write(folder: ImageFolder, seed: int, target: Path) -> dict:
    """Write a folder's pictures; return the counts of images and classes, and a hash that identifies the split."""
    splits = _splits(folder, np.random.default_rng(seed))
    names = []
    for split, classes in splits.items():
        for class_name, pictures in classes.items():
            (target / split / class_name).mkdir(parents=True)
            for file_name, picture in pictures.items():
                path = target / split / class_name / file_name
                if isinstance(picture, Path):
                    shutil.copyfile(picture, path)
                else:
                    Image.fromarray(255 - picture if folder.inverted else picture).save(path)
                names.append(f"{split}/{class_name}/{file_name}")
    counts = {split: sum(map(len, classes.values())) for split, classes in splits.items()}
    split_hash = hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:16]
    return {**counts, "classes": len(splits["train"]), "split": split_hash}


def _splits(folder: ImageFolder, rng: np.random.Generator) -> dict[str, Pictures]:
    """Choose the training and the test pictures of each class."""
    if folder.train_share is not None:
        sets = {"train": ("train", folder.train_share), "test": ("t10k", folder.test_share)}
        return {
            split: {name: _chosen(pictures, share, rng)[0] for name, pictures in _read_idx(folder, prefix).items()}
            for split, (prefix, share) in sets.items()
        }
    classes = _read_digits() if folder.source == "digits" else _list_classes(data_folder(folder))
    chosen = {name: _chosen(pictures, folder.test_share, rng) for name, pictures in classes.items()}
    return {
        "train": {name: rest for name, (_, rest) in chosen.items()},
        "test": {name: test for name, (test, _) in chosen.items()},
    }


def _chosen(pictures: dict, share: float, rng: np.random.Generator) -> tuple[dict, dict]:
    """Choose a share of the pictures at random; return them, and the rest."""
    names = rng.permutation(sorted(pictures)).tolist()
    count = round(share * len(names))
    return {name: pictures[name] for name in names[:count]}, {name: pictures[name] for name in names[count:]}


def _list_classes(folder: Path) -> Pictures:
    return {top.name: {path.name: path for path in top.iterdir()} for top in sorted(folder.iterdir()) if top.is_dir()}


def _read_digits() -> Pictures:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return _by_class(np.round(digits.images * (255 / 16)).astype(np.uint8), digits.target)


def _read_idx(folder: ImageFolder, prefix: str) -> Pictures:
    images, labels = (
        np.frombuffer(gzip.decompress((data_folder(folder) / f"{prefix}-{name}-ubyte.gz").read_bytes()), np.uint8)
        for name in ("images-idx3", "labels-idx1")
    )
    return _by_class(images[16:].reshape(-1, 28, 28), labels[8:])


def _by_class(images: np.ndarray, labels: np.ndarray) -> Pictures:
    return {
        str(label): {f"{row:05d}.png": images[row] for row in np.flatnonzero(labels == label).tolist()}
        for label in np.unique(labels)
    }
