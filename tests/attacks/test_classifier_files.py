import numpy as np
import pytest
from mutants import mutants
from samples import convolutional_model

from tinysight.classifier import Classifier
from tinysight.errors import ModelFileError
from tinysight.onnx_file import MeasuredAccuracy, ModelMetadata, Parity, build_model
from tinysight.preprocessing.framing import Framing

NUM_MUTANTS = 10_000  # in each round


def small_classifier():
    """A file of 1.2 KB, so that most damage is in its structure."""
    rng = np.random.default_rng(0)
    layers = [(rng.normal(size=shape), rng.normal(size=shape[1])) for shape in ((6, 4), (4, 2))]
    test, parity = MeasuredAccuracy(8, 0.75, (0.5, 0.875)), Parity(9, 1e-7, 0)
    return build_model(layers, ModelMetadata(("a", "b"), Framing("whole", 2, 3), parity=parity, test=test))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["small", "trained", "convolutional"])
def test_damaged_classifier_files_are_refused_or_answer_the_same(kind, model_path, attack_rounds):
    """Each mutant has the sound classifier's answers and metadata, or is refused by a ModelFileError."""
    small = {"small": small_classifier, "convolutional": convolutional_model}
    data = small[kind]() if kind in small else model_path.read_bytes()
    sound = Classifier(data, num_threads=1)
    images = np.random.default_rng(0).integers(0, 256, (2, *sound.framing.image_shape), dtype=np.uint8)
    expected = sound.probabilities(images)
    num_refused = 0
    for damaged in mutants(data, NUM_MUTANTS * attack_rounds, seed=attack_rounds):
        try:
            classifier = Classifier(damaged, num_threads=1)
        except ModelFileError as error:
            assert "\n" not in str(error)
            num_refused += 1
        else:
            np.testing.assert_array_equal(classifier.probabilities(images), expected)
            assert classifier.metadata == sound.metadata
    assert 0.9 * NUM_MUTANTS * attack_rounds < num_refused
