"""Seconds and peak memory of ``tinysight train`` as the number of training images grows.

The sets are copies of MNIST's images, each augmented differently, in IDX files. The whole command is measured with an
empty cache. So decoding, hashing, splitting, training, scoring and saving all count.
"""

import os
import struct
import tempfile
from pathlib import Path

import numpy as np

from . import processes

SIZES = (60_000, 600_000, 6_000_000)
EPOCHS = {60_000: 4, 600_000: 2, 6_000_000: 1}  # the last epoch is timed; the first one includes compilation
CHUNK = 50_000  # images augmented at once


def measure(sizes: tuple[int, ...] = SIZES) -> dict:
    """Train on each size. The smallest size runs before and after each other one, because a machine's speed drifts."""
    smallest = sizes[0]
    rows = [_train(smallest)]
    for size in sizes[1:]:
        rows += [_train(size), _train(smallest)]
        around = rows[-3]["microseconds_per_image"] + rows[-1]["microseconds_per_image"]
        rows[-2]["times_smallest"] = rows[-2]["microseconds_per_image"] / (around / 2)
    return {"rows": rows}


def _train(size: int) -> dict:
    with tempfile.TemporaryDirectory(dir=os.environ.get("TINYSIGHT_BENCH_FOLDER")) as folder:
        _write_set(Path(folder) / "data", size)
        os.sync()  # so that writing to the disk is over when training starts
        os.environ["TINYSIGHT_CACHE"] = str(Path(folder) / "cache")
        epochs = EPOCHS[size]
        options = ["--framing", "ink", "--batch-size", "256", "--epochs", str(epochs)]
        finished, evaluation, history = processes.train(str(Path(folder) / "data"), *options)
        del os.environ["TINYSIGHT_CACHE"]
    row = {
        "images": size,
        "epochs": epochs,
        "seconds": finished.seconds,
        "peak_mib": finished.peak_mib,
        "epoch_seconds": history[-1]["seconds"],
        "microseconds_per_image": history[-1]["seconds"] / round(size * 0.9) * 1e6,
        "accuracy": evaluation["accuracy"],
    }
    print(row, flush=True)
    return row


def _write_set(folder: Path, size: int) -> None:
    """Write IDX files with `size` training images and MNIST's own test images."""
    import tinysight.training.networks  # noqa: F401 - keeps TensorFlow's messages off the terminal
    from tinysight.data.loading import load_images

    import tensorflow as tf  # isort: skip
    from tinysight.training.augmentation import augment  # isort: skip
    from tinysight.training.random_streams import StepSeed  # isort: skip
    from tinysight.training.settings import AUGMENTATIONS  # isort: skip

    mnist = load_images("mnist")
    test, training = mnist.subset("test"), mnist.subset("train")
    folder.mkdir()
    _write_idx(folder / "t10k-images-idx3-ubyte", test.images.shape, [test.images])
    _write_idx(folder / "t10k-labels-idx1-ubyte", test.labels.shape, [test.labels.astype(np.uint8)])

    @tf.function(jit_compile=True)
    def distort(images: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        distorted = augment(images, AUGMENTATIONS["characters"], StepSeed(number, tf.constant(0)))
        return tf.cast(tf.round(distorted * 255), tf.uint8)

    def chunks():
        for number, start in enumerate(range(0, size, CHUNK)):
            rows = np.arange(start, min(start + CHUNK, size)) % len(training)
            padded = np.resize(rows, CHUNK)
            yield distort(tf.constant(training.images[padded]), tf.constant(number)).numpy()[: len(rows)]

    _write_idx(folder / "train-images-idx3-ubyte", (size, 28, 28), chunks())
    labels = training.labels[np.arange(size) % len(training)].astype(np.uint8)
    _write_idx(folder / "train-labels-idx1-ubyte", (size,), [labels])


def _write_idx(path: Path, shape: tuple[int, ...], chunks) -> None:
    with path.open("wb") as file:
        file.write(struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape))
        for chunk in chunks:
            file.write(chunk.tobytes())
