import numpy as np
import onnx
import pytest

from tinysight.classifier import Classifier
from tinysight.errors import TinysightError
from tinysight.onnx_file import ModelMetadata, build_model
from tinysight.onnx_graph import OFFSET, SCALE, dense_network
from tinysight.preprocessing.framing import Framing
from tinysight.training.networks import BUILDERS, keras, layers
from tinysight.training.onnx_writer import operations_and_weights


def photograph_network(image_shape):
    """Every layer that a classifier's file can hold, in a network that trains in no time."""
    keras.utils.set_random_seed(3)
    images = keras.Input(image_shape)
    if len(image_shape) == 2:
        x = layers.Reshape((*image_shape, 1))(images)
    else:
        x = layers.Rescaling(float(SCALE), float(OFFSET))(images)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(6)(x)
    y = layers.DepthwiseConv2D(5, padding="same", activation="relu6")(x)
    y = layers.Conv2D(8, 1)(y)
    x = layers.Add()([y, x])
    x = layers.MaxPooling2D(2)(x)
    x = layers.DepthwiseConv2D(3, strides=2, padding="same")(x)
    x = layers.AveragePooling2D(2)(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.3)(x)
    x = layers.Dense(5, use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    model = keras.Model(images, layers.Dense(3, activation="softmax")(x))
    for number, layer in enumerate(model.layers):
        if isinstance(layer, layers.BatchNormalization):
            rng = np.random.default_rng(number)
            layer.set_weights([rng.uniform(0.5, 2, weight.shape) for weight in layer.get_weights()])
    return model


def as_classifier(model):
    network, weights = operations_and_weights(model)
    framing = Framing("whole", *model.input_shape[1:])
    return Classifier(build_model(weights, ModelMetadata(("a", "b", "c"), framing), network))


@pytest.mark.parametrize("image_shape", [(19, 22, 3), (20, 21), (32, 16, 3)])
def test_keras_and_the_file_agree_on_every_layer(image_shape):
    model = photograph_network(image_shape)
    classifier = as_classifier(model)
    images = np.random.default_rng(0).integers(0, 256, (9, *image_shape), dtype=np.uint8)
    expected = np.asarray(model(images / np.float32(255)))
    np.testing.assert_allclose(classifier.probabilities(images), expected, atol=1e-6)
    assert np.ptp(expected, axis=0).max() > 1e-3  # the images do not all look the same to the network
    assert not classifier.is_dense


def test_the_package_onnx_accepts_the_file_and_would_write_it_so():
    data = as_classifier(photograph_network((19, 22, 3))).file_bytes
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    assert model.SerializeToString(deterministic=True) == data


def test_other_metadata_leaves_the_network_as_it_is():
    classifier = as_classifier(photograph_network((20, 21)))
    changed = classifier.with_metadata(reject_below=0.25)
    assert Classifier(changed.file_bytes).network == classifier.network
    assert changed.with_metadata(reject_below=0.0).file_bytes == classifier.file_bytes


@pytest.mark.parametrize("api", list(BUILDERS))
@pytest.mark.parametrize("dropout", [0, 0.5])
def test_both_apis_give_the_same_dense_network(api, dropout):
    model = BUILDERS[api]((4, 5), 3, (8, 6), dropout)
    network, weights = operations_and_weights(model)
    assert network == dense_network(3)
    for ours, theirs in zip([array for layer in weights for array in layer], model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def chain(*stack, shape=(8, 8, 3)):
    images = x = keras.Input(shape)
    for layer in stack:
        x = layer(x)
    return keras.Model(images, x)


@pytest.mark.parametrize(
    ("stack", "named"),
    [
        ([layers.Conv2D(2, 3)], "without padding 'same'"),
        ([layers.Conv2D(2, (3, 5), padding="same")], "not square"),
        ([layers.Conv2D(2, 3, padding="same", dilation_rate=2)], "dilated"),
        ([layers.Conv2D(3, 3, padding="same", groups=3)], "3 groups"),
        ([layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)], "depth multiplier 2"),
        ([layers.Conv2D(2, 3, padding="same", activation="gelu")], "activation gelu"),
        ([layers.ReLU(4)], "another bound than 6"),
        ([layers.MaxPooling2D(3, strides=2)], "overlap"),
        ([layers.Rescaling(2.0)], "scale 2.0"),
        ([layers.LayerNormalization()], "this kind of layer"),
        ([layers.BatchNormalization()], "its place"),
        ([layers.Conv2D(2, 1), layers.Flatten()], "expected GlobalAveragePooling2D"),
        ([layers.Reshape((64, 3))], "grey images"),
    ],
)  # fmt: skip
def test_a_layer_that_the_file_cannot_hold_is_named(stack, named):
    with pytest.raises(TinysightError, match=rf"^layer \S+ \(\w+\): a classifier's file cannot hold .*{named}"):
        operations_and_weights(chain(*stack))


def test_layers_that_are_no_chain_are_refused():
    images = keras.Input((8, 8, 3))
    first, second = layers.Conv2D(2, 1)(images), layers.Conv2D(2, 1)(images)
    with pytest.raises(TinysightError, match="does not follow the layer before it"):
        operations_and_weights(keras.Model(images, layers.Add()([first, second])))
