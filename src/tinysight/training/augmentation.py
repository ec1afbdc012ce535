"""Changes images at random while they train, inside the compiled program; does not know networks or files.

Every image is moved and bent anew each time it is used: where each of its pixels comes from is drawn, and the pixel is
read there, between the four nearest. All of it is a function of the images and a seed.
"""

import math

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from .settings import Augmentation

ELASTIC_SMOOTHNESS = 0.14  # width of the displacements' bumps in sides: 4 of 28 pixels, as in Simard et al. (2003)


def augment(
    images: tf.Tensor, augmentation: Augmentation, seed: list[tf.Tensor], amount: tf.Tensor | float = 1.0
) -> tf.Tensor:
    """Return changed copies of images; to be called in a program that XLA compiles.

    Args:
        images: uint8 ``(num_images, height, width)`` or ``(num_images, height, width, channels)``.
        augmentation: What to change and how far.
        seed: Two int32 numbers; equal ones give equal changes.
        amount: Share of the changes to make, 0…1; flips stay whole.

    Returns:
        float32 of the same shape, in 0…1.
    """
    shape = tf.shape(images)
    height, width = images.shape[1:3]
    planes = tf.cast(tf.reshape(images, [shape[0], height, width, -1]), tf.float32) / 255
    if augmentation.moves:
        planes = _read_at(planes, *_source_positions(shape[0], height, width, augmentation, seed, amount))
    if augmentation.stroke:
        planes = _change_strokes(planes, amount * augmentation.stroke * _draw([shape[0], 1, 1, 1], seed, 3))
    if augmentation.noise:
        planes = planes + amount * augmentation.noise * math.sqrt(3) * _draw(tf.shape(planes), seed, 4)
        planes = tf.clip_by_value(planes, 0.0, 1.0)
    return tf.reshape(planes, shape)


def _draw(shape: tf.Tensor | list[int], seed: list[tf.Tensor], purpose: int) -> tf.Tensor:
    """Draw evenly from −1…1; XLA compiles Threefry well for CPUs, and the default generator badly."""
    return tf.random.stateless_uniform(shape, [seed[0], seed[1] * 8 + purpose], -1.0, 1.0, alg="threefry")


def _source_positions(
    num_images: tf.Tensor,
    height: int,
    width: int,
    augmentation: Augmentation,
    seed: list[tf.Tensor],
    amount: tf.Tensor | float,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draw from which row and column each pixel is read: two float32 ``(num_images, height, width)``."""
    draws = _draw([7, num_images, 1, 1], seed, 0)
    turn, grow_y, grow_x, shear, shift_y, shift_x = tf.unstack(draws[:6] * amount)
    angle = turn * math.radians(augmentation.rotation)
    cos, sin = tf.cos(angle), tf.sin(angle)
    scale_y, scale_x = (1 + augmentation.scale) ** -grow_y, (1 + augmentation.scale) ** -grow_x
    if augmentation.flip:
        scale_x = tf.where(draws[6] < 0, -scale_x, scale_x)
    slant = augmentation.shear * shear
    y = np.arange(height, dtype=np.float32)[None, :, None] - (height - 1) / 2
    x = np.arange(width, dtype=np.float32)[None, None, :] - (width - 1) / 2
    rows = scale_y * (cos * y + sin * x) + (height - 1) / 2 + augmentation.shift * height * shift_y
    columns = scale_x * ((cos * slant - sin) * y + (cos + sin * slant) * x)
    columns = columns + (width - 1) / 2 + augmentation.shift * width * shift_x
    if augmentation.elastic:
        deviation = augmentation.elastic * amount
        rows = rows + deviation * height * _bumps(num_images, height, width, seed, 1)
        columns = columns + deviation * width * _bumps(num_images, height, width, seed, 2)
    return rows, columns


def _bumps(num_images: tf.Tensor, height: int, width: int, seed: list[tf.Tensor], purpose: int) -> tf.Tensor:
    """Draw smooth fields of deviation 1, ``(num_images, height, width)``, each from a few random numbers.

    Source: P. Y. Simard, D. Steinkraus, J. Platt, "Best practices for convolutional neural networks" (ICDAR 2003).
    """
    down, across = _smoother(height), _smoother(width)
    coarse = _draw([num_images, down.shape[1], across.shape[1]], seed, purpose) * math.sqrt(3)
    return tf.einsum("yi,nij,xj->nyx", tf.constant(down), coarse, tf.constant(across))


def _smoother(side: int) -> NDArray[np.float32]:
    """Return weights ``(side, num_points)`` of Gaussian bumps at points one deviation apart; rows have length 1."""
    deviation = ELASTIC_SMOOTHNESS * side
    points = np.arange(-2, math.ceil(side / deviation) + 3) * deviation
    weights = np.exp(-(((np.arange(side)[:, None] - points) / deviation) ** 2) / 2)
    smooth: NDArray[np.float32] = (weights / np.linalg.norm(weights, axis=1, keepdims=True)).astype(np.float32)
    return smooth


def _read_at(planes: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Read images ``(n, height, width, channels)`` between pixels; beyond the edge the edge goes on."""
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
    """Make bright strokes thicker (amount up to 1: by a pixel on each side) or thinner (down to −1).

    With pooling, whose input XLA computes once; written with slices, each neighbour's pixel is read and bent anew.
    """
    thick, thin = _brightest_neighbour(planes), -_brightest_neighbour(-planes)
    return planes + tf.nn.relu(amount) * (thick - planes) + tf.nn.relu(-amount) * (thin - planes)


def _brightest_neighbour(planes: tf.Tensor) -> tf.Tensor:
    """Return the largest of each pixel and the four beside it."""
    in_column, in_row = (tf.nn.max_pool2d(planes, window, 1, "SAME") for window in ((3, 1), (1, 3)))
    return tf.maximum(in_column, in_row)
