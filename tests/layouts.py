"""Twenty small images of two classes, to be stored in every form that can be loaded."""

import io
import tarfile

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (20, 8, 8), dtype=np.uint8)
NAMES = ["cat", "dog"]
LABELS = np.arange(20) % 2
TEST = np.arange(20) >= 15
WHOLE = {"framing": "whole", "image_size": (8, 8)}


def png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def add_to_tar(archive, name, data=b"", **fields):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for key, value in fields.items():
        setattr(member, key, value)
    archive.addfile(member, io.BytesIO(data))


def check(images, names=NAMES, test=TEST, rows=slice(None)):
    """Check that a loaded set holds these images, each with its label and split; None: the split is open."""
    assert images.class_names == tuple(names)
    found = {image.tobytes(): row for row, image in enumerate(images.images)}
    expected = IMAGES[rows]
    assert len(images) == len(expected)
    order = [found[image.tobytes()] for image in expected]
    np.testing.assert_array_equal(images.labels[order], LABELS[rows])
    splits = np.zeros(len(images), bool)
    splits[images.indices("test")] = True
    if test is None:
        assert len(images.indices("all")) == len(images)
    else:
        np.testing.assert_array_equal(splits[order], test[rows])
        assert len(images.indices("train")) == (~test[rows]).sum()
    return images
