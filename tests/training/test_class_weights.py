from dataclasses import replace

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from tinysight.training.learner import balanced_weights
from tinysight.training.loader import Chunk
from tinysight.training.networks import sequential
from tinysight.training.settings import TrainingSettings
from tinysight.training.step import compile_training

SMALL = TrainingSettings(
    hidden=(5,), epochs=1, schedule="constant", learning_rate=0.01, augment="none", batch_norm=False
)


def test_the_weights_are_scikit_learns():
    labels = np.random.default_rng(0).choice(5, 400, p=[0.6, 0.2, 0.1, 0.05, 0.05])
    expected = compute_class_weight("balanced", classes=np.arange(5), y=labels)
    found = balanced_weights(labels, 5)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found[labels].mean() == pytest.approx(1)
    assert balanced_weights(np.array([0, 0, 2]), 3).tolist() == [0.75, 0, 1.5]


def weights_after(labels, copies, class_weight, weights, images_of_no_class=None, **changes):
    """Return a network's weights after three steps, each on all images, of which some are repeated."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (len(labels), 4, 4), dtype=np.uint8).repeat(copies, axis=0)
    labels = np.repeat(labels, copies).astype(np.int32)
    settings = replace(SMALL, batch_size=len(labels), class_weight=class_weight, **changes).resolved(len(labels))
    model = sequential((4, 4), 3, (5,))
    model.set_weights([np.sin(np.arange(one.size)).reshape(one.shape) / 3 for one in model.get_weights()])
    order = np.tile(np.arange(len(labels), dtype=np.int32), (3, 1))
    step = compile_training(model, model, settings, 3, images_of_no_class)
    step(Chunk(images, labels), order, 5, np.asarray(weights, np.float32))
    return model.get_weights()


@pytest.mark.slow
def test_a_rare_class_counts_as_if_its_images_were_repeated():
    labels = np.repeat([0, 1, 2], [12, 4, 6])
    balanced = weights_after(labels, np.ones(22, int), "balanced", balanced_weights(labels, 3))
    repeated = weights_after(labels, np.repeat([1, 3, 2], [12, 4, 6]), "none", np.full(3, np.nan))
    for one, same in zip(balanced, repeated, strict=True):
        np.testing.assert_allclose(one, same, atol=1e-4)


@pytest.mark.slow
def test_images_of_no_class_count_as_before():
    labels, once = np.repeat([0, 1, 2], 4), np.ones(12, int)
    noise = np.random.default_rng(1).integers(0, 256, (9, 4, 4), dtype=np.uint8)
    balanced, plain = (
        weights_after(labels, once, name, np.ones(3), noise, outliers=0.5) for name in ("balanced", "none")
    )
    for one, same in zip(balanced, plain, strict=True):
        np.testing.assert_allclose(one, same, atol=1e-6)
