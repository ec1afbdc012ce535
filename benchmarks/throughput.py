"""Training images per second as a share of the limit that matrix products set, measured in turn in one process.

One step of the network needs eight matrix products, forward and backward. The limit is the time of these products
alone at the same batch size, with NumPy (OpenBLAS) or XLA, whichever is faster.
"""

import statistics
import time

import numpy as np

from tinysight.data.loading import load_images
from tinysight.data.splits import split_images
from tinysight.training.loader import ShuffledChunks
from tinysight.training.networks import BUILDERS
from tinysight.training.settings import TrainingSettings

WAYS = {
    "fast": TrainingSettings(),
    "fast with augmentation for characters": TrainingSettings(augment="characters"),
    "fast with augmentation for handwriting": TrainingSettings(augment="handwriting"),
}


def measure(num_runs: int) -> dict:
    """Time an epoch of each way and the matrix products alone, in turn."""
    images = split_images(load_images("mnist"))
    rows = images.indices("train")
    batch_size = TrainingSettings().resolved(len(rows)).batch_size
    steps = len(rows) // batch_size
    programs = {
        "products, NumPy": _products_in_numpy(batch_size, steps),
        "products, XLA": _products_in_xla(batch_size, steps),
        **{name: _epoch(images, rows, settings) for name, settings in WAYS.items()},
    }
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for program in programs.values():
        program()  # compiles
    for _ in range(num_runs):
        for name, program in programs.items():
            start = time.perf_counter()
            program()
            seconds[name].append(time.perf_counter() - start)
        print({name: round(times[-1], 2) for name, times in seconds.items()}, flush=True)
    limits = [min(pair) for pair in zip(seconds["products, NumPy"], seconds["products, XLA"], strict=True)]
    return {
        "batch_size": batch_size,
        "images": steps * batch_size,
        "seconds": seconds,
        "share_of_limit": {
            name: [limit / own for limit, own in zip(limits, seconds[name], strict=True)] for name in WAYS
        },
        "augmented_to_plain": {
            name: statistics.median(b / a for a, b in zip(seconds["fast"], seconds[name], strict=True))
            for name in WAYS
            if name != "fast"
        },
    }


def _epoch(images, rows, settings):
    from tinysight.training.step import compile_training

    settings = settings.resolved(len(rows), "ink")
    model = BUILDERS["sequential"](images.framing.image_shape, len(images.class_names))
    chunks = ShuffledChunks(images, rows, settings.batch_size)
    train_on = compile_training(model, model, settings, 1000 * chunks.steps)
    rng, weights = np.random.default_rng(0), np.ones(len(images.class_names), np.float32)

    def run():
        for chunk, order in chunks.epoch(rng):
            train_on(chunk, order, 7, weights)
        model.trainable_variables[0].numpy()  # waits until training has ended

    return run


def _operands(batch_size):
    rng = np.random.default_rng(0)
    shapes = {"x": (batch_size, 784), "a": (batch_size, 784), "b": (batch_size, 512), "c": (batch_size, 10)}
    shapes |= {"u": (784, 784), "v": (784, 512), "w": (512, 10)}
    return {name: rng.normal(size=shape).astype(np.float32) / 30 for name, shape in shapes.items()}


def _products(t, matmul, transpose):
    """Compute one step's products: first those of activations and weights, then those of both gradients."""
    forward = matmul(t["x"], t["u"]), matmul(t["a"], t["v"]), matmul(t["b"], t["w"])
    weights = matmul(transpose(t["x"]), t["a"]), matmul(transpose(t["a"]), t["b"]), matmul(transpose(t["b"]), t["c"])
    return (*forward, *weights, matmul(t["c"], transpose(t["w"])), matmul(t["b"], transpose(t["v"])))


def _products_in_numpy(batch_size, steps):
    operands = _operands(batch_size)

    def run():
        for _ in range(steps):
            _products(operands, np.matmul, np.transpose)

    return run


def _products_in_xla(batch_size, steps):
    import tensorflow as tf

    operands = {name: tf.constant(array) for name, array in _operands(batch_size).items()}
    sums = [tf.Variable(tf.zeros_like(product)) for product in _products(operands, tf.matmul, tf.transpose)]

    @tf.function(jit_compile=True)
    def program(operands):
        for step in tf.range(steps):
            # different operands in each step, so that XLA cannot reuse products
            moved = {name: tensor + tf.cast(step, tf.float32) for name, tensor in operands.items() if name in "xabc"}
            for total, product in zip(sums, _products({**operands, **moved}, tf.matmul, tf.transpose), strict=True):
                total.assign(product)

    def run():
        program(operands)
        sums[-1].numpy()

    return run
