import re

import keras
import numpy as np
import pytest

from tinysight.errors import SettingsError
from tinysight.training.networks import BUILDERS, functional, sequential

DENSE = [("(None, 784)", 615_440), ("(None, 512)", 401_920), ("(None, 10)", 5_130)]
SUMMARIES = {
    ("sequential", 0.0): [
        ("Flatten", "(None, 784)", 0),
        ("Dense", *DENSE[0]), ("Dense", *DENSE[1]), ("Dense", *DENSE[2]),
    ],
    ("functional", 0.0): [
        ("InputLayer", "(None, 28, 28)", 0), ("Flatten", "(None, 784)", 0),
        ("Dense", *DENSE[0]), ("Activation", "(None, 784)", 0),
        ("Dense", *DENSE[1]), ("Activation", "(None, 512)", 0),
        ("Dense", *DENSE[2]), ("Activation", "(None, 10)", 0),
    ],
    ("sequential", 0.5): [
        ("Flatten", "(None, 784)", 0),
        ("Dense", *DENSE[0]), ("Dropout", "(None, 784)", 0),
        ("Dense", *DENSE[1]), ("Dropout", "(None, 512)", 0),
        ("Dense", *DENSE[2]),
    ],
    ("functional", 0.5): [
        ("InputLayer", "(None, 28, 28)", 0), ("Flatten", "(None, 784)", 0),
        ("Dense", *DENSE[0]), ("Dropout", "(None, 784)", 0), ("Activation", "(None, 784)", 0),
        ("Dense", *DENSE[1]), ("Dropout", "(None, 512)", 0), ("Activation", "(None, 512)", 0),
        ("Dense", *DENSE[2]), ("Activation", "(None, 10)", 0),
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 64)
    images = rng.random((64, 28, 28), dtype=np.float32) * 0.1
    images[np.arange(64), labels] = 1  # a white row, whose place is the class
    return images, keras.utils.to_categorical(labels, 10)


def rows_of(summary):
    """Return type, output shape and parameters of each row of what Keras prints."""
    pattern = r"\((\w+)\)\s*[│|]\s*(\(None[^)]*\))\s*[│|]\s*([\d,]+)"
    return [(kind, shape, int(number.replace(",", ""))) for kind, shape, number in re.findall(pattern, summary)]


@pytest.mark.parametrize(("api", "dropout"), SUMMARIES)
def test_the_four_summaries_are_the_designs(tinysight, api, dropout):
    status, summary, _ = tinysight("summary", "--api", api, "--dropout", dropout)
    assert status == 0
    assert rows_of(summary) == SUMMARIES[api, dropout]
    assert "Total params: 1,022,490" in summary
    assert "Trainable params: 1,022,490" in summary
    assert "Non-trainable params: 0" in summary


@pytest.mark.slow
@pytest.mark.parametrize(("api", "dropout"), SUMMARIES)
def test_plain_fit_trains_on_one_hot_labels(batch, api, dropout):
    keras.utils.set_random_seed(0)
    model = BUILDERS[api](dropout=dropout)
    assert model.loss == "categorical_crossentropy"
    assert isinstance(model.optimizer, keras.optimizers.Adam)
    history = model.fit(*batch, batch_size=16, epochs=6, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] / 2
    assert history["accuracy"][-1] > 0.8


@pytest.mark.parametrize(("api", "position"), [("sequential", "after"), ("functional", "before")])
def test_each_api_places_dropout_as_the_tutorial_does(api, position):
    default, explicit = BUILDERS[api](dropout=0.5), BUILDERS[api](dropout=0.5, dropout_position=position)
    assert [type(layer) for layer in default.layers] == [type(layer) for layer in explicit.layers]


@pytest.mark.parametrize("position", ["after", "before"])
def test_both_apis_take_both_positions(position):
    options = {"hidden": (5,), "dropout": 0.5, "dropout_position": position}
    for model in (sequential(**options), functional(**options)):
        kinds = [layer.name.split("_")[0] for layer in model.layers]
        activation = kinds.index("activation") if "activation" in kinds else kinds.index("dense")
        assert (kinds.index("dropout") > activation) == (position == "after")


def test_widths_shape_and_classes_generalise():
    for build in (sequential, functional):
        model = build(image_shape=(8, 9, 3), num_classes=4, hidden=(7,), dropout=0.2)
        assert model.input_shape == (None, 8, 9, 3)
        assert model.output_shape == (None, 4)
        assert model.count_params() == 8 * 9 * 3 * 7 + 7 + 7 * 4 + 4


def test_networks_too_large_for_a_file_are_refused():
    with pytest.raises(SettingsError, match="weights for 1024×1024 images"):
        sequential(image_shape=(1024, 1024))


@pytest.mark.parametrize(
    "options", [{"dropout": 1.0}, {"hidden": ()}, {"num_classes": 1}, {"dropout": 0.5, "dropout_position": "beside"}]
)
def test_options_out_of_range_are_refused(options):
    for build in (sequential, functional):
        with pytest.raises(SettingsError):
            build(**options)
