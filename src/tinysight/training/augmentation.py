"""Augmentation: random changes of training images, inside the compiled training step.

Every image is changed anew each time it is used. For each pixel a source position is computed from random numbers, and
the pixel is interpolated between the four nearest to it. The result depends on the images and the seed alone.

Keras's preprocessing layers are not used: they draw from Philox, which XLA compiles badly, their results are not
reproducible bit by bit, and they have no change of stroke width.
"""

import math

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from .random_streams import Purpose, StepSeed, uniform
from .settings import Augmentation

ELASTIC_SMOOTHNESS = 0.14  # the Gaussians' standard deviation in sides: 4 of 28 pixels, as in Simard et al. (2003)


def augment(
    images: tf.Tensor, augmentation: Augmentation, seed: StepSeed, amount: tf.Tensor | float = 1.0
) -> tf.Tensor:
    """Return changed copies of images; to be called inside a program that XLA compiles.

    Args:
        images: uint8 ``(num_images, height, width)`` or ``(num_images, height, width, channels)``.
        augmentation: The changes and how large they are.
        seed: The step's seed; equal ones give equal changes.
        amount: Factor for the size of all changes but flips, 0…1.

    Returns:
        float32 of the same shape, in 0…1.
    """
    shape = tf.shape(images)
    height, width = images.shape[1:3]
    planes = tf.cast(tf.reshape(images, [shape[0], height, width, -1]), tf.float32) / 255
    if augmentation.moves:
        planes = _interpolate(planes, *_source_positions(shape[0], height, width, augmentation, seed, amount))
    if augmentation.stroke:
        planes = _change_strokes(
            planes, amount * augmentation.stroke * uniform([shape[0], 1, 1, 1], seed, Purpose.STROKE, -1.0)
        )
    if augmentation.noise:
        planes = planes + amount * augmentation.noise * math.sqrt(3) * uniform(
            tf.shape(planes), seed, Purpose.NOISE, -1.0
        )
        planes = tf.clip_by_value(planes, 0.0, 1.0)
    return tf.reshape(planes, shape)


def _source_positions(
    num_images: tf.Tensor,
    height: int,
    width: int,
    augmentation: Augmentation,
    seed: StepSeed,
    amount: tf.Tensor | float,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the row and column from which each pixel is read: two float32 ``(num_images, height, width)``."""
    # Random numbers of an affine transformation for each image
    draws = uniform([7, num_images, 1, 1], seed, Purpose.GEOMETRY, -1.0)
    turn, grow_y, grow_x, shear, shift_y, shift_x = tf.unstack(draws[:6] * amount)
    angle = turn * math.radians(augmentation.rotation)
    cos, sin = tf.cos(angle), tf.sin(angle)
    scale_y, scale_x = (1 + augmentation.scale) ** -grow_y, (1 + augmentation.scale) ** -grow_x
    if augmentation.flip:
        scale_x = tf.where(draws[6] < 0, -scale_x, scale_x)
    slant = augmentation.shear * shear
    # Inverse transformation of the pixel grid around its centre
    y = np.arange(height, dtype=np.float32)[None, :, None] - (height - 1) / 2
    x = np.arange(width, dtype=np.float32)[None, None, :] - (width - 1) / 2
    rows = scale_y * (cos * y + sin * x) + (height - 1) / 2 + augmentation.shift * height * shift_y
    columns = scale_x * ((cos * slant - sin) * y + (cos + sin * slant) * x)
    columns = columns + (width - 1) / 2 + augmentation.shift * width * shift_x
    if augmentation.elastic:
        deviation = augmentation.elastic * amount
        rows = rows + deviation * height * _smooth_fields(num_images, height, width, seed, Purpose.ELASTIC_ROWS)
        columns = columns + deviation * width * _smooth_fields(num_images, height, width, seed, Purpose.ELASTIC_COLUMNS)
    return rows, columns


def _smooth_fields(num_images: tf.Tensor, height: int, width: int, seed: StepSeed, purpose: Purpose) -> tf.Tensor:
    """Draw smooth random fields of standard deviation 1, ``(num_images, height, width)``.

    A coarse grid of random numbers is interpolated with Gaussian weights.

    Source: P. Y. Simard, D. Steinkraus, J. Platt, "Best practices for convolutional neural networks" (ICDAR 2003).
    """
    down, across = _gaussian_weights(height), _gaussian_weights(width)
    coarse = uniform([num_images, down.shape[1], across.shape[1]], seed, purpose, -1.0) * math.sqrt(3)
    return tf.einsum("yi,nij,xj->nyx", tf.constant(down), coarse, tf.constant(across))


def _gaussian_weights(side: int) -> NDArray[np.float32]:
    """Return weights ``(side, num_points)`` of Gaussians one standard deviation apart; rows have norm 1."""
    deviation = ELASTIC_SMOOTHNESS * side
    points = np.arange(-2, math.ceil(side / deviation) + 3) * deviation
    weights = np.exp(-(((np.arange(side)[:, None] - points) / deviation) ** 2) / 2)
    smooth: NDArray[np.float32] = (weights / np.linalg.norm(weights, axis=1, keepdims=True)).astype(np.float32)
    return smooth


def _interpolate(planes: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Interpolate images ``(n, height, width, channels)`` bilinearly; outside, the nearest edge pixel is repeated."""
    height, width, channels = planes.shape[1:]
    rows = tf.clip_by_value(rows, 0.0, height - 1.0)
    columns = tf.clip_by_value(columns, 0.0, width - 1.0)
    top, left = tf.minimum(tf.floor(rows), height - 2.0), tf.minimum(tf.floor(columns), width - 2.0)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    first = tf.range(tf.shape(planes)[0])[:, None, None] * (height * width)
    corner = first + tf.cast(top, tf.int32) * width + tf.cast(left, tf.int32)
    pixels = tf.reshape(planes, [-1, channels])
    above = tf.gather(pixels, corner) * (1 - right) + tf.gather(pixels, corner + 1) * right
    below = tf.gather(pixels, corner + width) * (1 - right) + tf.gather(pixels, corner + width + 1) * right
    return above * (1 - down) + below * down


def _change_strokes(planes: tf.Tensor, amount: tf.Tensor) -> tf.Tensor:
    """Make bright strokes thicker (amount 1: by a pixel on each side) or thinner (−1).

    Max pooling is used because XLA then computes its input once. With slices it computed the interpolation anew for
    each neighbour.
    """
    thick, thin = _dilate(planes), -_dilate(-planes)
    return planes + tf.nn.relu(amount) * (thick - planes) + tf.nn.relu(-amount) * (thin - planes)


def _dilate(planes: tf.Tensor) -> tf.Tensor:
    """Return the maximum of each pixel and its four neighbours."""
    in_column, in_row = (tf.nn.max_pool2d(planes, window, 1, "SAME") for window in ((3, 1), (1, 3)))
    return tf.maximum(in_column, in_row)
