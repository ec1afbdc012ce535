"""Finds out which images of a set a classifier was trained on, and leaves them out."""

import numpy as np
from numpy.typing import NDArray

from .classifier import Classifier
from .data.dataset import ImageSet, hash_numbers
from .errors import DataError
from .onnx_file import DataSource


def known_images(classifier: Classifier, images: ImageSet) -> NDArray[np.bool_]:
    """Return which images trained a classifier or chose its best epoch, bool ``(num_images,)``, by their hashes."""
    known, numbers = classifier.metadata.training_hashes, hash_numbers(images.hashes)
    if known.dtype == np.uint32:  # from a file with the first four bytes only
        numbers >>= np.uint64(32)
    return np.isin(numbers, known)


def unseen_images(classifier: Classifier, images: ImageSet) -> tuple[ImageSet, str, tuple[str, ...]]:
    """Choose from a set the images that a classifier was not trained on.

    Args:
        classifier: What is to be scored.
        images: A set as `load_images` returns it.

    Returns:
        The test images of the set, or all its images if it has none. Those that trained the classifier or chose its
        best epoch are left out; they are recognised by the hashes of their pixels. Then a name for the images, and
        notes for the report.

    Raises:
        DataError: The classifier was trained on all of them.
    """
    has_test_images = bool(len(images.indices("test")))
    images = images.subset("test") if has_test_images else images
    is_known = known_images(classifier, images)
    unseen = images.rows(np.flatnonzero(~is_known))
    if not len(unseen):
        raise DataError(f"{images.name}: the classifier was trained on all of these images; they prove nothing")
    if is_known.any():
        note = f"{is_known.sum():,} of the {len(images):,} images are left out: the classifier was trained on them"
        is_own_set = classifier.metadata.data == DataSource(images.name, images.data_hash)
        return unseen, "test" if is_own_set else "unseen", (note,)
    if has_test_images:
        return unseen, "test", ()
    tells = len(classifier.metadata.training_hashes)
    unknown = "" if tells else ", and the classifier does not tell which images it was trained on"
    return unseen, "all", (f"the set has no test images of its own; all were used{unknown}",)
