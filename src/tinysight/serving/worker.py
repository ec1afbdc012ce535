"""Names what is in pictures, in a process of its own beside the service; knows nothing of HTTP or of who asks.

Decoding and framing hold Python's lock, so that a thread would only take turns with the one that serves. What breaks a
decoder ends this process, not the service.
"""

import json
import pickle
import signal
import sys
from base64 import b64encode
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..classifier import Classifier, Prediction
from ..errors import PictureError
from ..preprocessing.framing import Framed


@dataclass(frozen=True)
class Question:
    """Pictures to be named, or images to be given their probabilities.

    Attributes:
        pictures: Picture files.
        images: uint8 ``(num_images, *image_shape)``, instead of pictures.
        top: How many classes to rank.
        has_pixels: Whether what the network sees is told too.
    """

    pictures: tuple[bytes, ...] = ()
    images: NDArray[np.uint8] | None = None
    top: int = 1
    has_pixels: bool = False


@dataclass(frozen=True)
class No:
    """Why a question has no answer, as a status of HTTP and a line."""

    status: int
    message: str


@dataclass
class Answers:
    """The answers to a batch of questions: JSON to pictures, float32 probabilities to images.

    Attributes:
        answers: One a question, in order.
        num_images: How many went through the network.
        classes: How many pictures were of each class.
        num_rejected: How many were probably of none.
    """

    answers: list[Any] = field(default_factory=list)
    num_images: int = 0
    classes: dict[str, int] = field(default_factory=dict)
    num_rejected: int = 0


def answer_batch(classifier: Classifier, questions: list[Question], max_pixels: int) -> Answers:
    """Answer questions by one run of the network for all pictures, and one for all images."""
    framed = [_frame(classifier, question, max_pixels) for question in questions if question.images is None]
    readable = [one for pictures in framed if isinstance(pictures, list) for one in pictures]
    top = max((question.top for question in questions), default=1)
    predictions = iter(classifier.predict_framed(["bytes"] * len(readable), readable, top))
    images = [question.images for question in questions if question.images is not None]
    rows = classifier.probabilities(np.concatenate(images)) if images else np.empty(0)
    found = Answers(num_images=len(readable) + len(rows))
    classes: Counter[str] = Counter()
    pictures_of, start = iter(framed), 0
    for question in questions:
        if question.images is not None:
            found.answers.append(rows[start : start + len(question.images)])
            start += len(question.images)
            continue
        pictures = next(pictures_of)
        if isinstance(pictures, list):
            named = [next(predictions) for _ in pictures]
            found.answers.append(_written(question, named, pictures))
            classes.update(prediction.class_name for prediction in named)
            found.num_rejected += sum(prediction.is_rejected for prediction in named)
        else:
            found.answers.append(pictures)
    found.classes = dict(classes)
    return found


def _frame(classifier: Classifier, question: Question, max_pixels: int) -> list[Framed] | No:
    """Frame pictures, or tell which of them cannot be read."""
    framed, number = [], len(question.pictures)
    try:
        for place, picture in enumerate(question.pictures, 1):
            name = f"picture {place} of {number}" if number > 1 else "the picture"
            framed.append(classifier.frame(picture, name, max_pixels))
    except PictureError as error:
        return No(422, str(error))
    except MemoryError:
        return No(413, "there is not enough memory for this picture; make it smaller")
    return framed


def _written(question: Question, predictions: list[Prediction], framed: list[Framed]) -> bytes:
    """Write predictions as the service answers them."""
    answers = []
    for number, (prediction, one) in enumerate(zip(predictions, framed, strict=True), 1):
        ranking = prediction.ranking[: question.top]
        answer = replace(prediction, source=f"picture {number}", ranking=ranking).to_dict()
        if question.has_pixels:
            answer["pixels"] = b64encode(one.pixels.tobytes()).decode()
        answers.append(answer)
    return json.dumps({"predictions": answers}).encode()


def main() -> None:
    """Answer what comes in on standard input until it is closed; signals are for the service."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    asked, told = sys.stdin.buffer, sys.stdout.buffer
    try:
        data, max_pixels = pickle.load(asked)  # noqa: S301 - from the service, on a pipe that nobody else has
        classifier = Classifier(data)
        while True:
            pickle.dump(_answer(classifier, pickle.load(asked), max_pixels), told)  # noqa: S301
            told.flush()
    except (EOFError, BrokenPipeError):  # the service has ended
        pass


def _answer(classifier: Classifier, questions: list[Question], max_pixels: int) -> Answers:
    try:
        return answer_batch(classifier, questions, max_pixels)
    except Exception as error:  # told rather than ended by: others ask too
        return Answers([No(500, f"unexpected {type(error).__name__}; please report it")] * len(questions))
