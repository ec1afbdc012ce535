import io
from base64 import b64decode
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from samples import CLIPPED_NETWORK, CLIPPED_SHAPES, photograph_model

from tinysight import gallery as module
from tinysight.attribution import attribute, overlay
from tinysight.classifier import Classifier
from tinysight.data.dataset import ImageSet
from tinysight.evaluation import evaluate, probabilities_of
from tinysight.gallery import MAX_HITS, choose_pictures
from tinysight.nearest_images import nearest_images


@pytest.fixture(scope="module")
def test_images(trained):
    return trained.images.subset("test")


@pytest.fixture(scope="module")
def probabilities(trained, test_images):
    return probabilities_of(trained.classifier, test_images.images)


@pytest.fixture(scope="module")
def mistakes(trained, test_images, probabilities):
    return evaluate(trained.classifier, test_images, probabilities=probabilities).mistakes


@pytest.fixture(scope="module")
def chosen(trained, test_images, probabilities, mistakes):
    training = trained.images, trained.images.indices("train")
    return choose_pictures(trained.classifier, test_images, probabilities, mistakes, training)


def pixels_of(address):
    return np.asarray(Image.open(io.BytesIO(b64decode(address.partition(",")[2]))))


def test_mistakes_are_the_surest_and_hits_the_least_sure(chosen, test_images, probabilities, mistakes):
    assert [one.source for one in chosen.mistakes] == [one.source for one in mistakes]
    assert all(one.picture.label == one.other != one.predicted for one in chosen.mistakes)
    confidence, is_right = probabilities.max(axis=1), probabilities.argmax(axis=1) == test_images.labels
    assert len(chosen.hits) == MAX_HITS
    assert [one.probability for one in chosen.hits] == pytest.approx(sorted(confidence[is_right])[:MAX_HITS])
    for one in chosen.hits:
        assert one.picture.label == one.predicted != one.other
        assert one.other_probability == pytest.approx(sorted(probabilities[test_images.sources.index(one.source)])[-2])


def test_an_image_its_overlay_and_the_nearest_training_images_are_its_own(trained, chosen, test_images, mistakes):
    names, first = trained.images.class_names, mistakes[0]
    image = np.asarray(test_images.images[first.index])
    np.testing.assert_array_equal(pixels_of(chosen.mistakes[0].picture.address), image)
    classes = [[names.index(name)] for name in (first.predicted, first.label)]
    contributions = attribute(trained.classifier.layers, image[None], *classes).pixels[0]
    np.testing.assert_array_equal(pixels_of(chosen.mistakes[0].overlay), overlay(image, contributions))
    rows = trained.images.indices("train")
    (near,) = nearest_images(image[None], trained.images.images, rows)
    assert [one.label for one in chosen.mistakes[0].nearest] == [names[trained.images.labels[row]] for row in near]
    np.testing.assert_array_equal(pixels_of(chosen.mistakes[0].nearest[0].address), trained.images.images[near[0]])
    assert chosen.num_compared == len(rows)


def test_a_few_at_a_time_give_the_same(trained, chosen, test_images, probabilities, mistakes, monkeypatch):
    monkeypatch.setattr(module, "VALUES_AT_A_TIME", 784 * 5)
    training = trained.images, trained.images.indices("train")
    assert choose_pictures(trained.classifier, test_images, probabilities, mistakes, training) == chosen


def test_without_training_images_there_are_no_nearest_ones(trained, chosen, test_images, probabilities, mistakes):
    found = choose_pictures(trained.classifier, test_images, probabilities, mistakes)
    assert found == replace(
        chosen, num_compared=0,
        mistakes=tuple(replace(one, nearest=()) for one in chosen.mistakes),
        hits=tuple(replace(one, nearest=()) for one in chosen.hits),
    )  # fmt: skip


def test_large_images_are_stored_small():
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    address = module.picture_address(pixels)
    assert pixels_of(address).shape == (72, 96, 3)
    assert len(address) < 12_000
    assert address.startswith("data:image/jpeg;base64,")
    np.testing.assert_array_equal(pixels_of(module.picture_address(pixels[:28, :28])), pixels[:28, :28])


@pytest.mark.parametrize(
    ("model", "is_explained"),
    [(photograph_model(), True), (photograph_model(CLIPPED_NETWORK, shapes=CLIPPED_SHAPES), False)],
)
def test_images_have_overlays_where_dense_layers_read_means_of_convolutions(model, is_explained):
    classifier = Classifier(model)
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 9, 3), np.uint8)
    labels, split, hashes = np.array([0, 1] * 3), np.full(6, 2, np.uint8), np.zeros((6, 32), np.uint8)
    images = ImageSet("set", pixels, labels, ("a", "b"), [*"123456"], split, hashes, classifier.framing)
    probabilities = classifier.probabilities(pixels)
    chosen = choose_pictures(classifier, images, probabilities, evaluate(classifier, images).mistakes)
    assert len(chosen.mistakes) + len(chosen.hits) == 6
    assert chosen.is_explained == is_explained
