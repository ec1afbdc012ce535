"""A classifier whose answer to each image the test chooses, and such images."""

from hashlib import sha256

import numpy as np

from tinysight.classifier import Classifier
from tinysight.data.dataset import SPLITS, ImageSet
from tinysight.onnx_file import ModelMetadata, build_model
from tinysight.preprocessing.framing import Framing

SIDE = 20
FRAMING = Framing("whole", SIDE, SIDE)
NUM_ANSWERS = 300  # pixels that are answers; the others make images different


def classifier_of_answers(num_classes, logit=8.0, **metadata):
    """Return a classifier that answers with the class whose pixel is bright, with that logit; others have 0."""
    weights = np.eye(SIDE * SIDE, num_classes, dtype=np.float32)
    layers = [
        (weights, np.zeros(num_classes, np.float32)),
        (np.eye(num_classes, dtype=np.float32) * np.float32(logit), np.zeros(num_classes, np.float32)),
    ]
    names = tuple(f"class {number}" for number in range(num_classes))
    return Classifier(build_model(layers, ModelMetadata(names, FRAMING, **metadata)))


def pixels_of_answers(answers):
    """Return images, no two of them equal, that such a classifier answers as told: uint8 ``(num_images, 20, 20)``."""
    images = np.zeros((len(answers), SIDE * SIDE), np.uint8)
    images[np.arange(len(answers)), answers] = 255
    numbers = np.arange(1, len(answers) + 1)
    images[:, NUM_ANSWERS] = numbers % 251
    images[:, NUM_ANSWERS + 1] = numbers // 251
    return images.reshape(-1, SIDE, SIDE)


def images_of_answers(answers, labels, num_classes, split="test"):
    """Return an image set of them."""
    images = pixels_of_answers(answers)
    return ImageSet(
        name="answers",
        images=images,
        labels=np.asarray(labels, np.int64),
        class_names=tuple(f"class {number}" for number in range(num_classes)),
        sources=[f"{number}.png" for number in range(len(images))],
        split=np.full(len(images), SPLITS.index(split), np.uint8),
        hashes=np.array([list(sha256(image.tobytes()).digest()) for image in images], np.uint8),
        framing=FRAMING,
    )
