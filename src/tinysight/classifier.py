"""Classifier: a trained network, stored as one ONNX file, that predicts the class of pictures."""

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.resources import files
from itertools import islice
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from .attribution import Attribution, Classes, attribute, attribute_regions
from .errors import SettingsError, TinysightError
from .files import write_whole
from .onnx_file import build_feature_model, build_model, open_session, read_model, read_model_bytes
from .onnx_graph import WEIGHTED, before_means, is_dense
from .preprocessing.blas_threads import one_blas_thread
from .preprocessing.decode import read_picture
from .preprocessing.framing import Framed, Framing, frame_picture, frame_pictures
from .preprocessing.inputs import Picture, each_picture, name_of, source_of

BATCH_SIZE = 512  # images per call of the graph: larger ones gain no speed and need more memory
CONVOLUTION_PIXELS = 2**16  # of a batch where there are convolutions: their outputs take megabytes for each photograph


@dataclass(frozen=True)
class Prediction:
    """The classes that a classifier finds most probable for one picture.

    Attributes:
        source: The picture's path, or ``bytes``, ``file``, ``image`` or ``array`` where it has none; in the service
            ``picture 1``, ``picture 2``, ….
        class_name: The most probable class.
        probability: Its probability, 0…1.
        ranking: The most probable classes with their probabilities, best first.
        is_rejected: Whether it is probably none of the classes: its probability is below the classifier's
            `reject_below`, or the picture is blank or shows no single character.
        note: How the picture was framed, or why it is rejected; empty where it had the classifier's size already.
    """

    source: str
    class_name: str
    probability: float
    ranking: tuple[tuple[str, float], ...]
    is_rejected: bool = False
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the prediction as what JSON can hold: the command line, the service and the page all write this.

        Returns:
            The attributes by name, unrounded; ranking is a list of objects with class_name and probability.
        """
        ranking = [{"class_name": class_name, "probability": share} for class_name, share in self.ranking]
        return {**vars(self), "ranking": ranking}


class Classifier:
    """A trained network with its class names and framing, run by ONNX Runtime.

    Attributes:
        metadata: All that is stored with the network.
        network: The operations of the network.
        layers: float32 weights and biases ``(outputs,)`` of each layer that has weights, first to last. Weights are
            ``(inputs, outputs)`` in a dense layer, ``(outputs, inputs, rows, columns)`` in a convolution.
    """

    def __init__(self, data: bytes, name: str = "the classifier", num_threads: int = 0) -> None:
        """Take the bytes of a classifier's file.

        Args:
            data: The bytes.
            name: What error messages call the file.
            num_threads: How many threads run the network; 0 is one for each core.

        Raises:
            ModelFileError: They are not a classifier's.
        """
        self._read(data, name)
        self._session, self._num_threads = open_session(data, name, num_threads), num_threads

    def _read(self, data: bytes, name: str) -> None:
        graph, self.metadata = read_model(data, name)
        self.network, self.layers, self._data = graph.network, graph.layers, data

    @classmethod
    def load(cls, path: str | Path, num_threads: int = 0) -> "Classifier":
        """Load a classifier from its file.

        Args:
            path: Where it is.
            num_threads: How many threads run the network; 0 is one for each core.

        Raises:
            ModelFileError: There is no such file, or it is not a classifier's.
        """
        return cls(read_model_bytes(Path(path)), str(path), num_threads)

    @classmethod
    def pretrained(cls, num_threads: int = 0) -> "Classifier":
        """Load the classifier of handwritten digits that comes with the package.

        Raises:
            ModelFileError: It is not there: the package was built without it.
        """
        return cls.load(Path(str(files("tinysight"))) / "pretrained" / "digits.onnx", num_threads)

    def save(self, path: str | Path) -> None:
        """Write the classifier's file, whole or not at all.

        Raises:
            OutputError: It cannot be written there.
        """
        write_whole(Path(path), self._data)

    @property
    def file_bytes(self) -> bytes:
        """The classifier's file."""
        return self._data

    @property
    def is_dense(self) -> bool:
        """Whether the network has dense layers only."""
        return is_dense(self.network)

    @property
    def has_attribution(self) -> bool:
        """Whether `attribution` can tell which pixels decided."""
        return self.is_dense or bool(before_means(self.network))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class, in the order of the probabilities."""
        return self.metadata.class_names

    @property
    def framing(self) -> Framing:
        """How a picture becomes the network's input."""
        return self.metadata.framing

    @property
    def reject_below(self) -> float:
        """Probability below which a picture is probably of no class; 0 where that was not measured."""
        return self.metadata.reject_below

    def with_metadata(self, **changes: Any) -> "Classifier":
        """Return the same network with other metadata.

        Args:
            changes: Attributes of `ModelMetadata`.

        Raises:
            ModelFileError: They do not fit the network.
        """
        other = copy.copy(self)  # which shares the ONNX Runtime session: the graph stays
        other._read(build_model(self.layers, replace(self.metadata, **changes), self.network), "the classifier")
        return other

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probability of each class for framed images.

        Args:
            images: uint8 ``(num_images, *framing.image_shape)``.

        Returns:
            float32 ``(num_images, num_classes)``; each row sums to 1.

        Raises:
            TinysightError: The images have another shape or type.
        """
        shape = self.framing.image_shape
        if images.dtype != np.uint8 or images.shape[1:] != shape:
            raise TinysightError(f"got images {images.dtype} {images.shape}; expected uint8 (num_images, {shape})")
        result = np.empty((len(images), len(self.class_names)), np.float32)
        for start, batch in self._batches(images):
            (result[start : start + len(batch)],) = self._session.run(["probabilities"], {"images": batch})
        return result

    def _batches(self, images: NDArray[np.uint8]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield as many images as the network takes at a time, and the number of the first."""
        batch_size = BATCH_SIZE
        if not self.is_dense:
            batch_size = min(BATCH_SIZE, max(1, CONVOLUTION_PIXELS // (self.framing.height * self.framing.width)))
        for start in range(0, len(images), batch_size):
            yield start, np.ascontiguousarray(images[start : start + batch_size])

    def attribution(self, images: NDArray[np.uint8], classes: Classes, others: Classes) -> Attribution:
        """Return which pixels of framed images decided between two classes, see `attribution.py`.

        Args:
            images: uint8 ``(num_images, *framing.image_shape)``, one or more.
            classes: A class for each image, such as the predicted one.
            others: Another for each, such as the true one.

        Raises:
            TinysightError: The network has no such attribution.
        """
        if self.is_dense:
            return attribute(self.layers, images, classes, others)
        if not self.has_attribution:
            raise TinysightError("which pixels decided is not computed for this network")
        maps = [self._convolutions.run(None, {"images": batch})[0] for _, batch in self._batches(images)]
        dense = [layer for layer in self.layers if layer[0].ndim == 2]
        return attribute_regions(dense, np.concatenate(maps), classes, others)

    @cached_property
    def _convolutions(self) -> Any:
        """A session that gives what the dense layers read the mean of."""
        network = before_means(self.network)
        layers = self.layers[: sum(operation.kind in WEIGHTED for operation in network)]
        model = build_feature_model(layers, self.framing.image_shape, network)
        return open_session(model, "the classifier", self._num_threads)

    @one_blas_thread()
    def frame(self, picture: Picture, name: str | None = None, max_pixels: int | None = None) -> Framed:
        """Return a picture as this classifier's input, with a note on what was changed.

        Args:
            picture: As `read_picture` takes it.
            name: What error messages call a file; by default its path.
            max_pixels: How large a file's picture may be; by default as large as any.

        Raises:
            PictureError: It cannot be read.
        """
        return frame_picture(read_picture(picture, name, max_pixels), self.framing)

    @one_blas_thread()
    def predict(self, pictures: Picture | Iterable[Picture], top: int = 1) -> list[Prediction]:
        """Classify pictures.

        A picture is a path; the bytes of a picture file (bytes, bytearray or memoryview); an open file, which is read
        from its start; a Pillow image; or an array. Arrays, and tensors that NumPy can convert, are uint8 (0…255) or
        bool (true is white). Their shape tells what they are:

        - ``(height, width)``, or ``(height, width, channels)`` with 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB,
          alpha) channels: one picture. Also ``(1, height, width)``.
        - ``(num_pictures, height, width)``, ``(num_pictures, height, width, channels)``, ``(num_pictures, 1, height,
          width)``: several pictures.

        An array that may be either is refused: ``(3, height, width)`` and ``(4, height, width)``, which may have their
        channels first, unless they are grey and of the classifier's own size; with an input of 28×28 pixels
        ``(num_pictures, 784)``, and ``(28, 28, num_pictures)`` where num_pictures is more than 4. A list of arrays is
        always several pictures.

        Args:
            pictures: One picture or an iterable of pictures.
            top: How many classes to rank, 1 or more; at most all of them are.

        Returns:
            One prediction a picture, in order.

        Raises:
            PictureError: A picture cannot be read; the message names it, or its place: ``picture 1``, ``picture 2``, ….
            SettingsError: `top` is not a whole number from 1.
        """
        check_top(top)
        several = enumerate(each_picture(pictures, self.framing.image_shape), 1)
        sources: list[str] = []
        predictions: list[Prediction] = []

        def read_some() -> Iterator[Image]:
            for number, picture in islice(several, BATCH_SIZE):
                read = read_picture(picture, name_of(picture) or f"picture {number}")
                sources.append(source_of(picture))
                yield read

        while framed := frame_pictures(read_some(), self.framing):
            predictions += self.predict_framed(sources[len(predictions) :], framed, top)
        return predictions

    def predict_framed(self, sources: Sequence[str], framed: Sequence[Framed], top: int = 1) -> list[Prediction]:
        """Classify pictures that `frame` has prepared.

        Args:
            sources: What each is called in its prediction.
            framed: The pictures.
            top: How many classes to rank, 1 or more.

        Raises:
            SettingsError: `top` is not a whole number from 1.
        """
        check_top(top)
        if not framed:
            return []
        probabilities = self.probabilities(np.stack([one.pixels for one in framed]))
        best = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
        shares = np.take_along_axis(probabilities, best, axis=1).tolist()
        reject_below = self.reject_below
        predictions = []
        for source, one, indices, row in zip(sources, framed, best.tolist(), shares, strict=True):
            ranking = tuple((self.class_names[index], share) for index, share in zip(indices, row, strict=True))
            is_rejected = bool(one.fault) or ranking[0][1] < reject_below
            predictions.append(Prediction(source, *ranking[0], ranking, is_rejected, one.fault or one.note))
        return predictions


def check_top(top: int) -> None:
    """Raise `SettingsError` unless `top` is a whole number from 1."""
    if isinstance(top, bool) or not isinstance(top, Integral) or top < 1:
        raise SettingsError(f"top is {top!r}; expected a whole number from 1, of classes to rank")
