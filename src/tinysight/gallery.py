"""Chooses the images that a report shows: surest mistakes and least sure hits, with what explains them."""

import io
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .attribution import overlay
from .classifier import Classifier
from .data.dataset import ImageSet
from .evaluation import Mistake, labels_for
from .nearest_images import compared_rows, nearest_images

MAX_MISTAKES, MAX_HITS = 48, 24  # that are shown
NUM_NEAREST = 3  # training images beside each
PICTURE_SIDE = 96  # pixels; larger images are made smaller, so that a report with many stays small
VALUES_AT_A_TIME = 2**23  # pixel values that are explained at once, as float64: 64 MiB
SIDE_OF_PIXELS = 40  # up to this side images are shown pixel by pixel, and stored without loss


@dataclass(frozen=True)
class Picture:
    """An image in a page: its ``data:`` address, and the class that it is labelled as."""

    address: str
    label: str


@dataclass(frozen=True)
class Explained:
    """An image with its prediction, and what explains that.

    Attributes:
        picture: The image and its label.
        predicted: The class that was predicted.
        probability: Its probability.
        other: The class that it is compared with: the label of a mistake, the second most probable class of a hit.
        other_probability: Its probability.
        overlay: ``data:`` address of the image with its pixels coloured by what they contribute; empty where that
            is not computed.
        source: Where the image came from.
        nearest: The training images that are most like it, pixel by pixel.
    """

    picture: Picture
    predicted: str
    probability: float
    other: str
    other_probability: float
    overlay: str
    source: str
    nearest: tuple[Picture, ...]


@dataclass(frozen=True)
class Gallery:
    """The images of a report.

    Attributes:
        mistakes: The most confident mistakes, the surest first.
        hits: The least sure of the correct predictions, the least sure first.
        num_compared: Number of training images that were searched for the nearest ones; 0 where there are none.
        are_pixels: Whether images are small enough to be shown pixel by pixel.
        are_regions: Whether the overlays colour regions rather than single pixels.
    """

    mistakes: tuple[Explained, ...]
    hits: tuple[Explained, ...]
    num_compared: int
    are_pixels: bool
    are_regions: bool

    @property
    def is_explained(self) -> bool:
        """Whether its images say which pixels decided."""
        return any(one.overlay for one in (*self.mistakes, *self.hits))


def choose_pictures(
    classifier: Classifier,
    images: ImageSet,
    probabilities: NDArray[np.float32],
    mistakes: Sequence[Mistake],
    training: tuple[ImageSet, NDArray[np.int64]] | None = None,
) -> Gallery:
    """Choose images for a report, and explain them.

    Args:
        classifier: The classifier that was evaluated.
        images: The images that it was evaluated on.
        probabilities: Its probabilities of them, float32 ``(num_images, num_classes)``.
        mistakes: Its mistakes among them, the most confident first.
        training: A set, and the positions in it of the images that trained the classifier.
    """
    names = classifier.class_names
    labels = labels_for(classifier, images)
    predicted = probabilities.argmax(axis=1)
    wrong = np.array([mistake.index for mistake in mistakes[:MAX_MISTAKES]], np.int64)
    right = np.flatnonzero(predicted == labels)
    right = right[np.argsort(probabilities.max(axis=1)[right], kind="stable")][:MAX_HITS]
    # A mistake is compared with the label, a hit with the second most probable class
    chosen = np.concatenate([wrong, right])
    others = np.concatenate([labels[wrong], np.argsort(-probabilities[right], axis=1, kind="stable")[:, 1]])
    explained: list[Explained] = []
    step = max(1, VALUES_AT_A_TIME // prod(images.images.shape[1:]))
    for start in range(0, len(chosen), step):
        rows, compared = chosen[start : start + step], others[start : start + step]
        pixels = images.images[rows]
        overlays = _overlays(classifier, pixels, predicted[rows], compared)
        nearest = _nearest(pixels, training)
        explained += [
            Explained(
                Picture(picture_address(image), names[labels[row]]),
                names[predicted[row]],
                float(probabilities[row, predicted[row]]),
                names[other],
                float(probabilities[row, other]),
                coloured,
                images.sources[int(row)],
                near,
            )
            for row, other, image, coloured, near in zip(rows, compared, pixels, overlays, nearest, strict=True)
        ]
    num_compared = len(compared_rows(training[1], images.images.shape[1:])) if training else 0
    are_pixels = max(images.images.shape[1:3]) <= SIDE_OF_PIXELS
    pictures = tuple(explained[: len(wrong)]), tuple(explained[len(wrong) :])
    return Gallery(*pictures, num_compared, are_pixels, are_regions=not classifier.is_dense)


def _overlays(
    classifier: Classifier,
    pixels: NDArray[np.uint8],
    predicted: NDArray[np.int64],
    compared: NDArray[np.int64],
) -> list[str]:
    """Return each image with its pixels coloured by what they contribute; empty texts where that is not computed."""
    if not classifier.has_attribution:
        return [""] * len(pixels)
    contributions = classifier.attribution(pixels, predicted, compared).pixels
    return [picture_address(overlay(*pair)) for pair in zip(pixels, contributions, strict=True)]


def _nearest(
    pixels: NDArray[np.uint8], training: tuple[ImageSet, NDArray[np.int64]] | None
) -> list[tuple[Picture, ...]]:
    """Return for each image the nearest training images."""
    if training is None:
        return [()] * len(pixels)
    images, rows = training
    rows = compared_rows(rows, images.images.shape[1:])
    names, labels = images.class_names, images.labels
    return [
        tuple(Picture(picture_address(images.images[row]), names[labels[row]]) for row in near)
        for near in nearest_images(pixels, images.images, rows, NUM_NEAREST)
    ]


def picture_address(pixels: NDArray[np.uint8]) -> str:
    """Return an image as a ``data:`` address."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    kind = "PNG" if max(image.size) <= SIDE_OF_PIXELS else "JPEG"
    image.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"quality": 85} if kind == "JPEG" else {}))
    return f"data:image/{kind.lower()};base64,{b64encode(buffer.getvalue()).decode()}"
