"""Shared by the peers of the benchmark own-images: reads the pictures in ``train`` and ``test``, prints the result."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

folder, seed, max_epochs = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])


def in_colour():
    """Tell whether a training picture is in colour."""
    return any(_is_coloured(Image.open(path)) for path in sorted((folder / "train").glob("*/*")))


def _is_coloured(image):
    if image.mode in ("1", "L"):
        return False
    pixels = np.asarray(image.convert("RGB"), np.int16)
    return np.ptp(pixels, axis=2).max() > 16  # JPEG's rounding colours grey pixels a little


def load(split, size, mode="L"):
    """Return pixels, float64 (n, size, size) in 0…1, or (n, size, size, 3) in mode RGB, and class names."""
    paths = sorted((folder / split).glob("*/*"))
    images = [np.asarray(Image.open(path).convert(mode).resize((size, size))) for path in paths]
    return np.stack(images) / 255, np.array([path.parent.name for path in paths])


def report(predicted, labels):
    """Print how many of the test images were classified correctly."""
    print(int(np.sum(np.asarray(predicted) == labels)))
