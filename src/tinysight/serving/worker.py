"""The worker process: decodes pictures, runs the network, and returns predictions as JSON.

It is a process because decoding and framing hold Python's lock for most of their time: a thread would only take turns
with the event loop. A picture that crashes the decoder, or takes too long, ends this process, and the service starts
another.
"""

import json
import pickle
import signal
import sys
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..classifier import Classifier, Prediction
from ..errors import PictureError
from ..memory import limit_memory
from ..preprocessing.decode import num_pixels
from ..preprocessing.framing import Framed
from ..preprocessing.reading import failure_reason

MEMORY_BYTES, BYTES_PER_PIXEL = 2**29, 64  # of memory beyond what the worker has at its start; pictures take up to 40

PIXELS_PER_BYTE = 4  # a byte of a hostile header takes as long to read as so many pixels to decode


@dataclass(frozen=True)
class WorkerSettings:
    """Upper bounds for the worker.

    Attributes:
        max_pixels: Pixels of one picture.
        max_request_pixels: Pixels of all pictures of a request.
        large_cost: Cost of a request from which on it is postponed; None: never. Each pixel costs 1, each byte of a
            file `PIXELS_PER_BYTE`.
        max_batch_cost: Cost of all requests of a batch; what is beyond is postponed too.
    """

    max_pixels: int
    max_request_pixels: int
    large_cost: int | None = None
    max_batch_cost: int | None = None


@dataclass(frozen=True)
class WorkerRequest:
    """One request of a batch: either pictures to predict, or images whose probabilities are wanted.

    Attributes:
        pictures: Picture files.
        images: uint8 ``(num_images, *image_shape)``, instead of pictures.
        top: How many classes to rank.
        has_pixels: Whether the response holds the network's input too.
        has_attribution: Whether it tells which pixels decided.
    """

    pictures: tuple[bytes, ...] = ()
    images: NDArray[np.uint8] | None = None
    top: int = 1
    has_pixels: bool = False
    has_attribution: bool = False


@dataclass(frozen=True)
class Failure:
    """HTTP status and message of a request that failed."""

    status: int
    message: str


@dataclass(frozen=True)
class Postponed:
    """A request that has not been processed, since it would have kept the others of its batch waiting.

    Attributes:
        cost: How long it takes, at least, as in `WorkerSettings`.
        is_large: Whether it would keep any batch waiting.
    """

    cost: int
    is_large: bool


@dataclass
class BatchReply:
    """What the worker returns for a batch.

    Attributes:
        results: One for each request, in order: JSON bytes for pictures, float32 probabilities ``(num_images,
            num_classes)`` for images, `Postponed`, or a `Failure`.
        num_images: Images that went through the network.
        class_counts: Pictures predicted as each class.
        num_rejected: Pictures that probably show none of the classes.
    """

    results: list[Any] = field(default_factory=list)
    num_images: int = 0
    class_counts: Counter[str] = field(default_factory=Counter)
    num_rejected: int = 0


def process_batch(classifier: Classifier, requests: list[WorkerRequest], settings: WorkerSettings) -> BatchReply:
    """Process requests with one run of the network for all their pictures, and one for all their images."""
    # Decode and frame each request's pictures; a request with one that cannot be read has failed.
    framed = [
        _frame(classifier, request, settings.max_pixels) if unfit is None else unfit
        for request, unfit in zip(requests, _unfit(requests, settings), strict=True)
    ]
    # Run the network over all framed pictures.
    readable = [one for pictures in framed if isinstance(pictures, list) for one in pictures]
    top = max((max(request.top, 1 + request.has_attribution) for request in requests), default=1)
    predictions = iter(classifier.predict_framed(["picture"] * len(readable), readable, top))
    # Run the network over all images that need no framing.
    images = [request.images for request in requests if request.images is not None]
    rows = classifier.probabilities(np.concatenate(images)) if images else np.empty(0)
    # Give each request its share, in order.
    reply, start = BatchReply(num_images=len(readable) + len(rows)), 0
    for request, pictures in zip(requests, framed, strict=True):
        if isinstance(pictures, Failure | Postponed):
            reply.results.append(pictures)
        elif request.images is not None:
            reply.results.append(rows[start : start + len(request.images)])
            start += len(request.images)
        else:
            own = [next(predictions) for _ in pictures]
            reply.results.append(_as_json(classifier, request, own, pictures))
            reply.class_counts.update(prediction.class_name for prediction in own)
            reply.num_rejected += sum(prediction.is_rejected for prediction in own)
    return reply


def _unfit(requests: list[WorkerRequest], settings: WorkerSettings) -> Iterator[Failure | Postponed | None]:
    """Yield for each request why it is not to be processed in this batch; None if it is."""
    taken = 0
    for request in requests:
        # Files of many bytes may take long even to look at
        cost = PIXELS_PER_BYTE * sum(map(len, request.pictures))
        if settings.large_cost is not None and cost > settings.large_cost:
            yield Postponed(cost, is_large=True)
            continue
        pixels = sum(num_pixels(picture, settings.max_pixels) for picture in request.pictures)
        cost += pixels
        if pixels > settings.max_request_pixels:
            limit = f"up to {settings.max_request_pixels:,} at once"
            yield Failure(413, f"the pictures have {pixels:,} pixels together; send {limit}")
        elif settings.large_cost is not None and cost > settings.large_cost:
            yield Postponed(cost, is_large=True)
        elif settings.max_batch_cost is not None and taken and taken + cost > settings.max_batch_cost:
            yield Postponed(cost, is_large=False)
        else:
            taken += cost
            yield None


def _frame(classifier: Classifier, request: WorkerRequest, max_pixels: int) -> list[Framed] | Failure:
    """Decode and frame a request's pictures; the failure says which of them cannot be read."""
    framed, number = [], len(request.pictures)
    for place, picture in enumerate(request.pictures, 1):
        name = f"picture {place} of {number}" if number > 1 else "the upload"
        try:
            framed.append(classifier.frame(picture, name, max_pixels))
        except PictureError as error:
            return Failure(422, str(error))
        except Exception as error:  # no memory, or a fault of ours, that other requests shall not suffer from
            return Failure(413 if isinstance(error, MemoryError) else 500, f"{name}: {failure_reason(error)}")
    return framed


def _as_json(
    classifier: Classifier, request: WorkerRequest, predictions: list[Prediction], framed: list[Framed]
) -> bytes:
    """Return the body of the response to ``POST /predict``."""
    members = []
    for number, (prediction, one) in enumerate(zip(predictions, framed, strict=True), 1):
        ranking = prediction.ranking[: request.top]
        member = replace(prediction, source=f"picture {number}", ranking=ranking).to_dict()
        if request.has_pixels:
            member["pixels"] = b64encode(one.pixels.tobytes()).decode()
        if request.has_attribution and classifier.has_attribution:
            member["attribution"] = _attribution(classifier, prediction, one.pixels)
        members.append(member)
    return json.dumps({"predictions": members}, allow_nan=False).encode()


def _attribution(classifier: Classifier, prediction: Prediction, pixels: NDArray[np.uint8]) -> dict[str, Any]:
    """Return which pixels decided between the most probable class and the next."""
    (name, _), (other, _) = prediction.ranking[:2]
    index = classifier.class_names.index
    result = classifier.attribution(pixels[np.newaxis], [index(name)], [index(other)])
    contributions = b64encode(result.pixels.astype("<f4").tobytes()).decode()
    sums = {"score": result.score.item(), "bias": result.bias.item()}
    shape = list(result.pixels.shape[1:])
    return {"class_name": name, "other": other, **sums, "shape": shape, "pixels": contributions}


def main() -> None:
    """Reply on standard output to each batch that arrives on standard input, until that is closed.

    The first message initializes the worker: the bytes of the classifier's file, and its settings. The first reply,
    which holds nothing, tells that it is ready. Stop signals are ignored: the service gets them too, and closes
    standard input when it ends.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    try:
        data, settings = pickle.load(stdin)  # noqa: S301 - from the service, over a pipe that only it has
        classifier = Classifier(data)
        limit_memory(MEMORY_BYTES + BYTES_PER_PIXEL * settings.max_pixels)
        reply = BatchReply()
        while True:
            pickle.dump(reply, stdout)
            stdout.flush()
            reply = _reply(classifier, pickle.load(stdin), settings)  # noqa: S301 - as above
    except (EOFError, BrokenPipeError):  # the service has ended
        pass


def _reply(classifier: Classifier, requests: list[WorkerRequest], settings: WorkerSettings) -> BatchReply:
    """Process a batch; if that fails, process each request alone, so that only those fail that have to."""
    try:
        return process_batch(classifier, requests, settings)
    except Exception as error:  # the worker lives on: other requests are waiting
        if len(requests) == 1:
            return BatchReply([Failure(500, failure_reason(error))])
    reply = BatchReply()
    for request in requests:
        one = _reply(classifier, [request], settings)
        reply.results += one.results
        reply.num_images += one.num_images
        reply.class_counts += one.class_counts
        reply.num_rejected += one.num_rejected
    return reply
