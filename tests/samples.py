"""Pictures that tests make."""

import base64
import io
import json
import re

import numpy as np
from PIL import Image


def as_png(picture):
    """Return uint8 pixels, or a Pillow image, as the bytes of a PNG file."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def stored_in(page):
    """Return what an exported page holds: its classifier."""
    (text,) = re.findall(r'<script type="application/json" id="classifier">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def unpacked(layer):
    """Return weights and biases of a layer in an exported page."""
    shape = layer["outputs"], layer["inputs"]
    whole = np.frombuffer(base64.b64decode(layer["weights"]), np.int8).reshape(shape)
    scales, biases = (np.frombuffer(base64.b64decode(layer[key]), "<f4") for key in ("scales", "biases"))
    return (whole * scales[:, None]).T.astype(np.float32), biases
