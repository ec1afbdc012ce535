"""Random numbers for the compiled training step: a stream of its own for each purpose, step and chunk of images.

XLA compiles Threefry well for CPUs. It compiles Philox, TensorFlow's default, so badly that an epoch with dropout takes
17 times as long: see docs/experiments.md.
"""

from enum import IntEnum, unique
from typing import Any, NamedTuple

import tensorflow as tf

# A stream's key is two int32 numbers: the chunk's seed, and the numbers of layer, step and purpose side by side in 7,
# 21 and 3 bits. So no two streams of a chunk share a key; a chunk has fewer than two million steps.
PURPOSE_BITS, STEP_BITS = 3, 21


@unique
class Purpose(IntEnum):
    """What random numbers are drawn for."""

    GEOMETRY = 0
    ELASTIC_ROWS = 1
    ELASTIC_COLUMNS = 2
    STROKE = 3
    NOISE = 4
    OUTLIERS = 5
    ADVERSARIAL = 6
    DROPOUT = 7


class StepSeed(NamedTuple):
    """The seed of a training step.

    Attributes:
        chunk: A random number for each chunk of images, int32.
        step: Number of the step in its chunk, int32.
    """

    chunk: Any
    step: Any


def uniform(
    shape: Any, seed: StepSeed, purpose: Purpose, low: float = 0.0, high: float = 1.0, layer: int = 0
) -> tf.Tensor:
    """Draw from a uniform distribution.

    Args:
        shape: Shape of the result.
        seed: The step's seed.
        purpose: What the numbers are for.
        low: Smallest value.
        high: Upper bound, excluded.
        layer: Number of the layer that they are for, below 128.

    Returns:
        float32 numbers; equal arguments give equal numbers.
    """
    key = layer * (1 << (STEP_BITS + PURPOSE_BITS)) + seed.step * (1 << PURPOSE_BITS) + purpose
    return tf.random.stateless_uniform(shape, [seed.chunk, key], low, high, alg="threefry")
