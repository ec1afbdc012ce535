from itertools import pairwise

import numpy as np
import pytest
from samples import CLIPPED_NETWORK, CLIPPED_SHAPES, convolutional_model, photograph_model

from tinysight.attribution import AGAINST_COLOUR, FOR_COLOUR, attribute, attribute_regions, overlay
from tinysight.classifier import Classifier
from tinysight.data.loading import load_images
from tinysight.errors import ModelFileError, TinysightError

IMAGE_SHAPE = (4, 3)


def network(*widths):
    rng = np.random.default_rng(0)
    return [
        (rng.normal(size=shape).astype(np.float32), rng.normal(size=shape[1]).astype(np.float32))
        for shape in pairwise(widths)
    ]


def some_images(number, shape=IMAGE_SHAPE):
    return np.random.default_rng(1).integers(0, 256, (number, *shape), dtype=np.uint8)


def scores(layers, inputs, one, other):
    """Compute the scores of inputs in 0…1 a second time, as plainly as possible."""
    values = inputs
    for number, (weights, biases) in enumerate(layers, 1):
        values = values @ weights.astype(np.float64) + biases
        values = values if number == len(layers) else np.maximum(values, 0)
    return values[:, one] - values[:, other]


@pytest.fixture(scope="module", params=["small", "pretrained"])
def network_and_images(request):
    """A classifier and 1,000 images that it was not trained on: MNIST's test images, or else digits."""
    try:
        classifier = Classifier.pretrained() if request.param == "pretrained" else request.getfixturevalue("classifier")
    except ModelFileError:
        pytest.skip("the built-in classifier is not in this checkout")
    if request.param == "small":
        return classifier, load_images("digits").images[:1000]
    request.getfixturevalue("data_folder")
    return classifier, load_images("mnist").subset("test").images[:1000]


def test_the_parts_sum_to_the_difference_of_the_logits_that_onnx_runtime_has(network_and_images):
    classifier, images = network_and_images
    probabilities = classifier.probabilities(images).astype(np.float64)
    order = np.argsort(-probabilities, axis=1)
    first, second = order[:, 0], order[:, 1]
    result = attribute(classifier.layers, images, first, second)
    sums = result.pixels.sum(axis=(1, 2)) + result.bias
    assert np.abs(sums - result.score).max() < 1e-4
    rows = np.arange(len(images))
    logit_differences = np.log(probabilities[rows, first]) - np.log(probabilities[rows, second])
    in_range = probabilities[rows, second] > 1e-30  # smaller ones are no ordinary float32
    assert in_range.sum() > 900
    assert np.abs(sums - logit_differences)[in_range].max() < 1e-4
    assert (result.score >= 0).all()


def test_a_contribution_is_the_slope_times_the_value():
    layers, images = network(12, 9, 7, 5), some_images(20)
    result = attribute(layers, images, [1] * 20, [3] * 20)
    inputs, step = images.reshape(20, -1) / 255, 1e-7
    for pixel in range(12):
        moved = inputs.copy()
        moved[:, pixel] += step
        slope = (scores(layers, moved, 1, 3) - scores(layers, inputs, 1, 3)) / step
        np.testing.assert_allclose(result.pixels.reshape(20, -1)[:, pixel], slope * inputs[:, pixel], atol=1e-5)


def test_without_biases_the_pixels_are_all():
    layers = [(weights, np.zeros_like(biases)) for weights, biases in network(12, 9, 5)]
    images = some_images(20)
    result = attribute(layers, images, [0] * 20, [1] * 20)
    assert not result.bias.any()
    np.testing.assert_allclose(result.pixels.sum(axis=(1, 2)), scores(layers, images.reshape(20, -1) / 255, 0, 1))


def test_a_black_image_leaves_the_biases_alone():
    layers = network(12, 9, 5)
    result = attribute(layers, np.zeros((1, *IMAGE_SHAPE), np.uint8), [2], [4])
    assert not result.pixels.any()
    assert result.bias == pytest.approx(result.score)


def test_a_network_without_hidden_layers_and_colour_images_work():
    layers, images = network(36, 3), some_images(5, (4, 3, 3))
    result = attribute(layers, images, [0] * 5, [2] * 5)
    assert result.pixels.shape == images.shape
    np.testing.assert_allclose(result.pixels.sum(axis=(1, 2, 3)) + result.bias, result.score)


def test_exchanging_the_classes_exchanges_the_signs():
    layers, images = network(12, 9, 5), some_images(3)
    one, other = attribute(layers, images, [0] * 3, [4] * 3), attribute(layers, images, [4] * 3, [0] * 3)
    np.testing.assert_array_equal(one.pixels, -other.pixels)
    np.testing.assert_array_equal(one.bias, -other.bias)


@pytest.mark.parametrize("model", [photograph_model(), convolutional_model(28, 28), convolutional_model(17, 30, 3)])
def test_the_parts_sum_to_the_difference_of_the_logits_with_convolutions_too(model):
    classifier = Classifier(model)
    images = some_images(60, classifier.framing.image_shape)
    result = classifier.attribution(images, [1] * 60, [0] * 60)
    assert result.pixels.ndim == 3
    sums = result.pixels.reshape(60, -1).sum(axis=1) + result.bias
    np.testing.assert_allclose(sums, result.score)
    probabilities = classifier.probabilities(images).astype(np.float64)
    np.testing.assert_allclose(sums, np.log(probabilities[:, 1] / probabilities[:, 0]), atol=1e-4)
    assert np.ptp(result.pixels) > 1e-3


def test_a_region_has_what_its_own_values_contribute():
    layers = network(4, 3)
    maps = np.zeros((2, 4, 2, 3), np.float32)
    maps[0, 1, 0, 2], maps[1, 3, 1, 0] = 6, 12
    result = attribute_regions(layers, maps, [2, 2], [0, 0])
    (weights, _), expected = layers[0], np.zeros((2, 2, 3))
    expected[0, 0, 2], expected[1, 1, 0] = weights[1, 2] - weights[1, 0], 2 * (weights[3, 2] - weights[3, 0])
    np.testing.assert_allclose(result.pixels, expected, atol=1e-12)


def test_hidden_layers_behind_convolutions_are_explained():
    layers = network(4, 9, 3)
    maps = np.random.default_rng(2).random((5, 4, 3, 3)).astype(np.float32)
    result = attribute_regions(layers, maps, [2] * 5, [0] * 5)
    expected = scores(layers, maps.mean(axis=(2, 3), dtype=float), 2, 0)
    np.testing.assert_allclose(result.pixels.sum(axis=(1, 2)) + result.bias, expected)


def test_what_is_not_computed_is_refused():
    classifier = Classifier(photograph_model(CLIPPED_NETWORK, shapes=CLIPPED_SHAPES))
    assert not classifier.has_attribution
    with pytest.raises(TinysightError, match="which pixels decided is not computed"):
        classifier.attribution(some_images(1, (8, 9, 3)), [0], [1])


@pytest.mark.parametrize("shape", [(2, 2), (2, 2, 3)])
def test_the_overlay_colours_what_speaks_for_and_against(shape):
    contributions = np.zeros(shape)
    contributions[0, 0], contributions[0, 1], contributions[1, 0] = 4, -1, -4
    coloured = overlay(np.full(shape, 255, np.uint8), contributions)
    assert tuple(coloured[0, 0]) == FOR_COLOUR
    assert tuple(coloured[1, 0]) == AGAINST_COLOUR
    assert tuple(coloured[1, 1]) == (102, 102, 102)
    assert tuple(coloured[0, 1]) == tuple(round(0.5 * part + 51) for part in AGAINST_COLOUR)
    assert (overlay(np.zeros(shape, np.uint8), np.zeros(shape)) == 0).all()
    dark = overlay(np.zeros(shape, np.uint8), contributions)
    assert tuple(dark[0, 0]) == tuple(round(0.5 * part) for part in FOR_COLOUR)


def test_the_overlay_colours_regions():
    contributions = np.zeros((2, 3))
    contributions[0, 2], contributions[1, 0] = 4, -4
    coloured = overlay(np.full((7, 10), 255, np.uint8), contributions)
    # Rows 0 to 3 and 4 to 6, columns 0 to 3, 4 to 6 and 7 to 9 are a region each
    is_for, is_against = np.zeros((7, 10), bool), np.zeros((7, 10), bool)
    is_for[:4, 7:], is_against[4:, :4] = True, True
    assert (coloured[is_for] == FOR_COLOUR).all()
    assert (coloured[is_against] == AGAINST_COLOUR).all()
    assert (coloured[~(is_for | is_against)] == 102).all()
