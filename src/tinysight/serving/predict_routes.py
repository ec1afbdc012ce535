"""The routes ``POST /predict`` and ``GET /classifier``."""

import json
from dataclasses import asdict, fields
from typing import Annotated, Any

from fastapi import FastAPI, Query
from pydantic import BaseModel, Field, create_model
from starlette.requests import Request
from starlette.responses import Response

from ..classifier import Classifier, Prediction
from ..preprocessing.framing import Framing
from .batching import BatchQueue
from .errors import JSON, error_responses
from .limits import Limits
from .request_body import RequestBodies
from .request_pictures import FORM, pictures_in

# The models below describe the routes in the OpenAPI document. The JSON itself comes from `Prediction.to_dict` and
# `describe`; a test validates it against them.


class ClassifierDescription(BaseModel):
    """The classifier that is served."""

    name: str
    class_names: list[str]
    framing: Framing
    reject_below: float = Field(description="A prediction of a lower probability is rejected.")
    takes_photographs: bool = Field(description="Whether people show it pictures, and do not draw on the page.")
    has_attribution: bool = Field(description="Whether it can tell which pixels decided.")


class RankedClass(BaseModel):
    """A class and its probability."""

    class_name: str
    probability: float


class PixelAttribution(BaseModel):
    """Which pixels decided between the most probable class and the next one."""

    class_name: str
    other: str = Field(description="The second most probable class.")
    score: float = Field(description="Logit of class_name minus logit of other: the sum of all pixels and bias.")
    bias: float = Field(description="What the biases of the network contribute to the score.")
    shape: list[int] = Field(
        description="Shape of pixels: that of the classifier's input; behind convolutions rows and columns of regions."
    )
    pixels: str = Field(
        description="What each pixel or region contributes to it: float32, little-endian, row by row, as base64; "
        "positive for class_name, negative for other."
    )


# The members are the attributes of `Prediction`, as `Prediction.to_dict` writes them
MEMBERS: dict[str, Any] = {attribute.name: (attribute.type, ...) for attribute in fields(Prediction)}
MEMBERS["ranking"] = (list[RankedClass], ...)
MEMBERS["pixels"] = (
    str | None,
    Field(None, description="The network's input if asked for: uint8, row by row, as base64."),
)
MEMBERS["attribution"] = (
    PixelAttribution | None,
    Field(None, description="Which pixels decided, if asked for and computed."),
)
PicturePrediction = create_model(
    "PicturePrediction",
    __doc__="The prediction for one picture: source is its place in the request (picture 1, picture 2, …), is_rejected "
    "tells whether it probably shows none of the classes, note how it was framed or why it is rejected.",
    **MEMBERS,
)


class PredictResponse(BaseModel):
    """One prediction for each picture, in order."""

    predictions: list[PicturePrediction]  # type: ignore[valid-type]


class PredictRequest(BaseModel):
    """Pictures to predict."""

    images: list[str] = Field(
        description="Picture files, each as base64 (either alphabet; padding and line breaks do not matter) or a data "
        "URL with base64.",
        min_length=1,
    )


PICTURE = {"schema": {"type": "string", "format": "binary", "description": "A picture file."}}
FILES = {"type": "array", "items": {"type": "string", "format": "binary"}}
PICTURE_FORM = {
    "type": "object",
    "description": "Picture files, in the order of the form. The names of the fields do not matter.",
    "properties": {"file": {**FILES, "minItems": 1}},
    "required": ["file"],
    "additionalProperties": FILES,
}
REQUEST_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": PICTURE,
            "application/octet-stream": PICTURE,
            FORM: {"schema": PICTURE_FORM},
            JSON: {"schema": {"$ref": "#/components/schemas/PredictRequest"}},
        },
    }
}


def add_predict_routes(
    api: FastAPI, classifier: Classifier, name: str, queue: BatchQueue, bodies: RequestBodies, limits: Limits
) -> None:
    """Add the routes `/predict` and `/classifier` to an application."""
    description = json.dumps(describe(classifier, name), allow_nan=False).encode()

    @api.post(
        "/predict",
        tags=["pictures"],
        response_class=Response,
        openapi_extra=REQUEST_BODY,
        responses={
            200: {"model": PredictResponse},
            **error_responses(400, 401, 403, 408, 413, 415, 421, 422, 429, 503),
        },
    )
    async def predict(
        request: Request,
        top: Annotated[int, Query(ge=1, le=1_000_000, description="How many classes to rank.")] = 1,
        pixels: Annotated[bool, Query(description="Whether to return the network's input too.")] = False,
        attribution: Annotated[bool, Query(description="Whether to return which pixels decided.")] = False,
    ) -> Response:
        """Predict the class of a picture, or of several sent as JSON or as a form."""
        with await bodies.read(request) as body:
            pictures = pictures_in(body, request.headers.get("content-type", ""), limits.max_pictures)
            return Response(await queue.predict(pictures, top, pixels, attribution), media_type=JSON)

    @api.get(
        "/classifier",
        tags=["pictures"],
        response_class=Response,
        responses={200: {"model": ClassifierDescription}, **error_responses(400, 401, 403, 421)},
    )
    async def show_classifier() -> Response:
        """Describe the classifier: its classes and its framing."""
        return Response(description, media_type=JSON)


def describe(classifier: Classifier, name: str) -> dict[str, Any]:
    """Return what `GET /classifier` responds."""
    return {
        "name": name,
        "class_names": list(classifier.class_names),
        "framing": asdict(classifier.framing),
        "reject_below": classifier.reject_below,
        "takes_photographs": classifier.framing.takes_photographs,
        "has_attribution": classifier.has_attribution,
    }
