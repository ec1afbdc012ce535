"""The routes of pictures and of the classifier's description; does not know how a picture is decoded or named."""

import json
from base64 import b64decode
from binascii import Error as Base64Error
from typing import Annotated, Any

from fastapi import FastAPI, Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from ..classifier import Classifier
from .batching import Batches
from .errors import JSON, Refusal, refusals
from .limits import Limits
from .request_body import Bodies


class Framing(BaseModel):
    """How a picture becomes the network's input."""

    method: str
    height: int
    width: int
    channels: int


class Description(BaseModel):
    """The classifier that is served."""

    name: str
    class_names: list[str]
    framing: Framing
    reject_below: float = Field(description="A picture whose best class is less probable is probably of no class.")


class Ranked(BaseModel):
    """A class and its probability."""

    class_name: str
    probability: float


class Prediction(BaseModel):
    """What is in a picture; the same members as the command line's JSON has."""

    source: str = Field(description="Which of the pictures: picture 1, picture 2, …")
    class_name: str
    probability: float
    ranking: list[Ranked]
    is_rejected: bool = Field(description="Whether it is probably of no class.")
    note: str = Field(description="How the picture was framed, or why it is rejected.")
    pixels: str | None = Field(None, description="If asked for: what the network sees, uint8 row by row, as base64.")


class Predictions(BaseModel):
    """One prediction a picture, in order."""

    predictions: list[Prediction]


class Pictures(BaseModel):
    """Pictures to be named."""

    images: list[str] = Field(description="Each a picture file as base64.", min_length=1)


PICTURE = {"schema": {"type": "string", "format": "binary", "description": "A picture file as it is."}}
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": PICTURE,
            "application/octet-stream": PICTURE,
            JSON: {"schema": Pictures.model_json_schema()},
        },
    }
}


def add_prediction_routes(
    api: FastAPI, classifier: Classifier, name: str, batches: Batches, bodies: Bodies, limits: Limits
) -> None:
    """Add the routes `/predict` and `/classifier`."""
    description = json.dumps(describe(classifier, name)).encode()

    @api.post(
        "/predict",
        tags=["pictures"],
        response_class=Response,
        openapi_extra=BODY,
        responses={200: {"model": Predictions}, **refusals(400, 401, 403, 408, 413, 415, 421, 422, 429, 503)},
    )
    async def predict(
        request: Request,
        top: Annotated[int, Query(ge=1, le=1_000_000, description="How many classes to rank.")] = 1,
        pixels: Annotated[bool, Query(description="Whether to return what the network sees.")] = False,
    ) -> Response:
        """Name what is in a picture, or in several sent as JSON."""
        with await bodies.read(request) as body:
            pictures = _pictures_in(body, request.headers.get("content-type", ""), limits.max_pictures)
            return Response(await batches.name(pictures, top, pixels), media_type=JSON)

    @api.get(
        "/classifier",
        tags=["pictures"],
        response_class=Response,
        responses={200: {"model": Description}, **refusals(400, 401, 403, 421)},
    )
    async def show_classifier() -> Response:
        """The classifier's classes and framing."""
        return Response(description, media_type=JSON)


def describe(classifier: Classifier, name: str) -> dict[str, Any]:
    """Return what a page or a program must know of a classifier."""
    framing = classifier.framing
    return {
        "name": name,
        "class_names": list(classifier.class_names),
        "framing": {
            "method": framing.method,
            "height": framing.height,
            "width": framing.width,
            "channels": framing.channels,
        },
        "reject_below": classifier.reject_below,
    }


def _pictures_in(body: bytes, content_type: str, most: int) -> list[bytes]:
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith("multipart/"):
        raise Refusal(415, "the body is a form; send the picture as it is, or several as JSON")
    if kind != JSON:
        return [body]
    try:
        listed = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, 'the body is not JSON; expected {"images": ["picture as base64", …]}') from None
    images = listed.get("images") if isinstance(listed, dict) else None
    if not isinstance(images, list) or not images:
        raise Refusal(422, 'the body has no list of images; expected {"images": ["picture as base64", …]}')
    if len(images) > most:
        raise Refusal(413, f"{len(images):,} pictures are too many; send up to {most} at once")
    return [_decoded(image, f"picture {number} of {len(images)}") for number, image in enumerate(images, 1)]


def _decoded(image: object, name: str) -> bytes:
    try:
        if isinstance(image, str):
            return b64decode(image, validate=True)
    except (Base64Error, ValueError):  # ValueError: it is not ASCII
        pass
    raise Refusal(422, f"{name}: not base64; expected a picture file as a base64 string")
