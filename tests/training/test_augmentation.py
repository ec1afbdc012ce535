from dataclasses import replace

import numpy as np
import pytest

import tinysight.training.networks  # noqa: F401 - quiets TensorFlow
from tinysight.data.loading import load_images
from tinysight.training.augmentation import augment
from tinysight.training.random_streams import StepSeed
from tinysight.training.settings import AUGMENTATIONS, Augmentation

import tensorflow as tf  # isort: skip


@pytest.fixture(scope="module")
def pixels():
    return np.array(load_images("digits").images[:200])


def changed(images, augmentation, seed=1, step=0, amount=1.0):
    program = tf.function(
        lambda *args: augment(args[0], augmentation, StepSeed(*tf.unstack(args[1])), amount), jit_compile=True
    )
    return program(tf.constant(images), tf.constant([seed, step])).numpy()


def centres(images):
    """Rows and columns of the centres of mass, ``(2, num_images)``."""
    total = images.sum(axis=(1, 2))
    rows, columns = np.arange(images.shape[1]), np.arange(images.shape[2])
    return np.array([(images.sum(axis=2) * rows).sum(axis=1), (images.sum(axis=1) * columns).sum(axis=1)]) / total


def test_nothing_asked_changes_nothing(pixels):
    np.testing.assert_allclose(changed(pixels, Augmentation()), pixels / 255, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["objects", "characters", "handwriting"])
def test_every_image_is_changed_anew_and_again_the_same_from_the_same_seed(pixels, name):
    first = changed(pixels, AUGMENTATIONS[name])
    np.testing.assert_array_equal(first, changed(pixels, AUGMENTATIONS[name]))
    assert (first != changed(pixels, AUGMENTATIONS[name], step=1)).any(axis=(1, 2)).all()
    assert (first != changed(pixels, AUGMENTATIONS[name], seed=2)).any(axis=(1, 2)).all()
    same = np.repeat(pixels[:1], 9, axis=0)
    assert len({image.tobytes() for image in changed(same, AUGMENTATIONS[name])}) == 9
    assert first.dtype == np.float32
    assert first.min() >= 0
    assert first.max() <= 1


@pytest.mark.slow
def test_an_amount_shrinks_every_change(pixels):
    original = pixels / np.float32(255)
    np.testing.assert_allclose(changed(pixels, AUGMENTATIONS["handwriting"], amount=0.0), original, atol=1e-4)
    a_little, whole = (np.abs(changed(pixels, AUGMENTATIONS["handwriting"], amount=a) - original) for a in (0.2, 1.0))
    assert 0 < a_little.mean() < 0.6 * whole.mean()


@pytest.mark.slow
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_no_preset_flips(pixels, name):
    assert not AUGMENTATIONS[name].flip
    result = changed(pixels, replace(AUGMENTATIONS[name], noise=0.0))
    near = np.abs(result - pixels / 255).sum(axis=(1, 2))
    mirrored = np.abs(result - pixels[:, :, ::-1] / 255).sum(axis=(1, 2))
    assert np.mean(near < mirrored) > 0.8  # a zero or a one may look like its mirror image


def test_a_flip_swaps_left_and_right_in_half_of_the_images(pixels):
    result = changed(pixels, Augmentation(flip=True)) * 255
    is_same = np.isclose(result, pixels, atol=0.01).all(axis=(1, 2))
    is_mirrored = np.isclose(result, pixels[:, :, ::-1], atol=0.01).all(axis=(1, 2))
    assert (is_same | is_mirrored).all()
    assert 0.35 < is_mirrored.mean() < 0.65


def test_a_shift_moves_by_up_to_its_share_of_the_sides(pixels):
    moved = centres(changed(pixels, Augmentation(shift=0.1))) - centres(pixels / 255)
    assert 2.5 < np.abs(moved).max() <= 2.85  # a tenth of 28, and a little where ink leaves the picture
    assert abs(moved.mean()) < 0.4


def test_a_rotation_turns_about_the_middle_by_up_to_its_angle():
    bar = np.zeros((300, 29, 29), np.uint8)
    bar[:, 14, 4:25] = 255
    turned = changed(bar, Augmentation(rotation=30))
    rows, columns = np.mgrid[-14:15, -14:15]
    moments = [(turned * product).sum(axis=(1, 2)) for product in (rows * columns, columns**2, rows**2)]
    angles = np.degrees(np.arctan2(2 * moments[0], moments[1] - moments[2]) / 2)
    assert 27 < np.abs(angles).max() < 30.5
    assert abs(angles.mean()) < 3
    np.testing.assert_allclose(centres(turned), 14, atol=0.05)


def test_a_scale_changes_height_and_width_each_by_up_to_its_share():
    square = np.zeros((300, 28, 28), np.uint8)
    square[:, 9:19, 9:19] = 255
    result = changed(square, Augmentation(scale=0.2))
    heights, widths = result.max(axis=2).sum(axis=1) / 10, result.max(axis=1).sum(axis=1) / 10
    for sides in (heights, widths):
        assert 1.15 < sides.max() < 1.25
        assert 0.78 < sides.min() < 0.88
    assert abs(np.corrcoef(heights, widths)[0, 1]) < 0.3


def test_a_shear_slants():
    bar = np.zeros((300, 29, 29), np.uint8)
    bar[:, 4:25, 14] = 255
    slanted = changed(bar, Augmentation(shear=0.3))
    top = (slanted[:, 6] * np.arange(29)).sum(axis=1) / slanted[:, 6].sum(axis=1)
    bottom = (slanted[:, 22] * np.arange(29)).sum(axis=1) / slanted[:, 22].sum(axis=1)
    slants = (bottom - top) / 16
    assert 0.27 < np.abs(slants).max() < 0.31
    assert abs(slants.mean()) < 0.04


@pytest.mark.slow
def test_elastic_displacements_have_the_deviation_asked_for():
    ramp = np.broadcast_to(np.arange(28, dtype=np.uint8) * 9, (300, 28, 28)).copy()
    columns = changed(ramp, Augmentation(elastic=0.04)) * 255 / 9  # where each pixel was read
    displacements = (columns - np.arange(28))[:, :, 8:20]  # nothing there comes from beyond the edge
    assert displacements.std() == pytest.approx(0.04 * 28, rel=0.05)
    steps = np.diff(displacements, axis=1)
    assert steps.std() < 0.4 * displacements.std()  # neighbours move together


def test_strokes_become_thicker_and_thinner(pixels):
    ink = changed(pixels, Augmentation(stroke=0.8)).sum(axis=(1, 2)) / (pixels / 255).sum(axis=(1, 2))
    assert ink.max() > 1.3
    assert ink.min() < 0.7
    assert 0.9 < ink.mean() < 1.2


def test_noise_has_the_deviation_asked_for():
    grey = np.full((50, 28, 28), 128, np.uint8)
    assert changed(grey, Augmentation(noise=0.05)).std() == pytest.approx(0.05, rel=0.02)


@pytest.mark.slow
def test_colour_images_keep_their_colours():
    red = np.zeros((4, 12, 16, 3), np.uint8)
    red[:, 3:9, 4:12, 0] = 200
    result = changed(red, AUGMENTATIONS["characters"])
    assert result.shape == red.shape
    assert result[..., 0].sum() > 0
    assert result[..., 1:].sum() == 0
