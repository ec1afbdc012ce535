import numpy as np
import pytest

from tinysight.data.loading import load_images
from tinysight.data.splits import split_images
from tinysight.training.learner import TrainingData
from tinysight.training.outliers import draw_outliers
from tinysight.training.settings import TrainingSettings


@pytest.mark.parametrize("shape", [(28, 28), (20, 30), (28, 28, 3)])
def test_outliers_have_the_shape_of_the_images(shape):
    images = np.random.default_rng(0).integers(0, 256, (10, *shape), dtype=np.uint8)
    outliers = draw_outliers(images, 60, seed=1)
    assert outliers.shape == (60, *shape)
    assert outliers.dtype == np.uint8


def test_the_seed_decides():
    images = np.random.default_rng(0).integers(0, 256, (10, 28, 28), dtype=np.uint8)
    np.testing.assert_array_equal(draw_outliers(images, 30, 5), draw_outliers(images, 30, 5))
    assert (draw_outliers(images, 30, 5) != draw_outliers(images, 30, 6)).any()


def test_no_outlier_is_an_image():
    images = np.zeros((4, 28, 28), np.uint8)
    images[:, 4:24, 12:16] = 255
    outliers = draw_outliers(images, 200, 0)
    assert not any((outlier == images[0]).all() for outlier in outliers)
    assert len(np.unique(outliers.reshape(200, -1), axis=0)) > 100


@pytest.mark.parametrize(("epochs", "batch_size", "outliers", "per_step"), [(1, 64, 0.25, 16), (2, 100, 0.5, 50)])
def test_a_short_training_draws_as_many_as_it_uses(epochs, batch_size, outliers, per_step):
    images = split_images(load_images("digits"))
    settings = TrainingSettings(epochs=epochs, batch_size=batch_size, outliers=outliers)
    num_train = len(images.indices("train"))
    data = TrainingData(images, settings.resolved(num_train))
    assert len(data.outliers) == epochs * (num_train // batch_size) * per_step


@pytest.mark.parametrize("outliers", [0.0, 0.001])
def test_where_a_step_has_none_none_is_drawn(outliers):
    images = split_images(load_images("digits"))
    settings = TrainingSettings(batch_size=64, outliers=outliers).resolved(len(images.indices("train")))
    assert TrainingData(images, settings).outliers is None
