"""The page's script for convolutional networks, under Node, against ONNX Runtime."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from samples import convolutional_model, convolutional_network, stored_in, unpacked

from tinysight.classifier import Classifier
from tinysight.html_page import PAGE, export_page
from tinysight.onnx_file import build_model

PROGRAM = """
import { readFileSync } from "node:fs";
import { ConvolutionalNetwork } from "./convolution.js";
const { stored, images } = JSON.parse(readFileSync("given.json", "utf8"));
const network = new ConvolutionalNetwork(stored);
const answers = images.map((image) => {
  const pixels = Uint8Array.from(image);
  return [[...network.probabilities(pixels)], network.attribution(pixels, 0, 1)];
});
console.log(JSON.stringify(answers));
"""


def by_the_page(stored, images, folder):
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on this machine; install it with: apt-get install nodejs")
    for name in ("attribution", "convolution", "network"):
        (folder / f"{name}.js").write_text((PAGE / f"{name}.js").read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "program.js").write_text(PROGRAM)
    given = {"stored": stored, "images": images.reshape(len(images), -1).tolist()}
    (folder / "given.json").write_text(json.dumps(given))
    done = subprocess.run([node, "program.js"], cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    probabilities, attributions = zip(*json.loads(done.stdout), strict=True)
    contributions = [np.array(list(one["pixels"].values())).reshape(one["shape"]) for one in attributions]
    return np.array(probabilities), np.array(contributions)


@pytest.mark.parametrize("shape", [(28, 28, 1), (9, 12, 3), (17, 8, 1)])
def test_the_page_computes_what_onnx_runtime_does_with_the_same_weights(shape, tmp_path):
    classifier = Classifier(convolutional_model(*shape))
    exported = export_page(classifier, tmp_path / "page.html")
    assert 0 < exported.largest_change < 0.05
    stored = stored_in((tmp_path / "page.html").read_text(encoding="utf-8"))
    rounded = [unpacked(layer) for layer in stored["layers"]]
    layers = [
        (own if given.ndim == 2 else own.T.reshape(given.shape), biases)
        for (own, biases), (given, _) in zip(rounded, classifier.layers, strict=True)
    ]
    in_8_bits = Classifier(build_model(layers, classifier.metadata, convolutional_network(shape[2])))
    images = np.random.default_rng(0).integers(0, 256, (20, *classifier.framing.image_shape), dtype=np.uint8)
    expected = in_8_bits.probabilities(images)
    assert np.ptp(expected, axis=0).max() > 0.05  # the images do not all look the same to the network
    probabilities, contributions = by_the_page(stored, images, tmp_path)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    explained = in_8_bits.attribution(images, [0] * 20, [1] * 20)
    np.testing.assert_allclose(contributions, explained.pixels, atol=1e-5)
    assert np.ptp(contributions) > 1e-3
    changed = np.abs(expected - classifier.probabilities(images)).max()
    assert 0 < changed < 0.05
