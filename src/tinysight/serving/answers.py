"""What the service answers, as the OpenAPI document describes it; does not know how answers are made."""

from typing import Any

from pydantic import BaseModel, Field


class Error(BaseModel):
    """Why a request was not done, in one line."""

    error: str


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
    """What is in a picture."""

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


MEANINGS = {
    400: "The request is malformed.",
    401: "A key is needed, or another one.",
    403: "The request comes from a page of another site.",
    404: "There is nothing of that name.",
    405: "There is something, but not for this method.",
    408: "The body did not come in time.",
    413: "The body is too large, or has too many pictures.",
    415: "The body is of a type that is not read.",
    421: "The Host header names another host.",
    422: "A picture or a parameter cannot be used; nothing was done.",
    429: "Too much is asked for at once; try again.",
    503: "Nothing can be named at present; try again.",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what the document says of statuses that mean no."""
    return {status: {"model": Error, "description": MEANINGS[status]} for status in statuses}
