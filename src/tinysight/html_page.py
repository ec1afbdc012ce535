"""Writes a classifier as one HTML page, which draws, frames and predicts without a server.

The page is that of the service, whose files are in `page/`, with the network inside it. Its weights are 8-bit integers
with a scale for each output, so that they take a quarter of the classifier's file.
"""

import hashlib
import html
import json
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .classifier import Classifier
from .errors import OutputError, SettingsError
from .files import write_whole
from .onnx_file import build_model
from .onnx_graph import Layer, Network

PAGE = files("tinysight") / "page"
STYLE_LINK = '<link rel="stylesheet" href="page/page.css">'
SCRIPT_LINK = '<script type="module" src="page/page.js"></script>'
IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.MULTILINE)
MAX_INT8 = 127  # -128 is left out, so that positive and negative weights share a scale
NUM_DRAWINGS = 100  # on which page and classifier are compared
DRAWING_SIDE = 140  # pixels
CHANNELS_FIRST = ("Transpose", "Unsqueeze")
COMPUTED = (*CHANNELS_FIRST, "Conv", "MaxPool", "GlobalAveragePool", "Flatten", "Gemm", "Relu", "Softmax")
MAX_WEIGHTS = 32_000_000  # larger pages are slow to open and to predict in a browser


@dataclass(frozen=True)
class ExportedPage:
    """The result of an export.

    Attributes:
        path: The page.
        num_bytes: Its size.
        largest_change: By how much the page's 8-bit weights change a probability at most, on `NUM_DRAWINGS` random
            drawings.
    """

    path: Path
    num_bytes: int
    largest_change: float


def check_page_path(path: Path, overwrite: bool) -> None:
    """Check that the page can be written, before anything is computed.

    Raises:
        OutputError: There is such a file already and `overwrite` is false, or its folder is missing.
    """
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; expected a name for the page, such as {path / 'digits.html'}")
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: is there already; --overwrite replaces it")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no folder {path.parent}")


def export_page(classifier: Classifier, path: str | Path, name: str = "", overwrite: bool = False) -> ExportedPage:
    """Write a classifier as one HTML page, whole or not at all.

    Args:
        classifier: What the page predicts with.
        path: The page to write.
        name: What the page calls the classifier; by default what it was trained on.
        overwrite: Whether to replace a file that is there.

    Raises:
        OutputError: The page cannot be written, or is there already.
        SettingsError: The classifier is too large for a page, or its network is one that the page cannot compute.
    """
    path = Path(path)
    check_page_path(path, overwrite)
    if not _can_compute(classifier.network):
        needs = "the page computes dense and convolutional networks only"
        raise SettingsError(f"{needs}; for this classifier use 'tinysight serve'")
    layers = classifier.layers
    if sum(weights.size for weights, _ in layers) > MAX_WEIGHTS:
        raise SettingsError(f"the classifier has more than {MAX_WEIGHTS:,} weights: too many for a page")
    quantized = [_quantize(_as_matrix(weights)) for weights, _ in layers]
    used = [_used(*one, layer) for one, layer in zip(quantized, layers, strict=True)]
    trained_on = classifier.metadata.data
    stored = {
        "class_names": list(classifier.class_names),
        "framing": asdict(classifier.framing),
        "reject_below": classifier.reject_below,
        "takes_photographs": classifier.framing.takes_photographs,
        "has_attribution": classifier.has_attribution,
        "name": name or (trained_on.name if trained_on else ""),
        "layers": [_packed(*one, biases) for one, (_, biases) in zip(quantized, layers, strict=True)],
    }
    if not classifier.is_dense:
        stored["network"] = _stored_operations(classifier.network)
    data = build_page(stored).encode()
    write_whole(path, data)
    return ExportedPage(path, len(data), _largest_change(classifier, used))


def build_page(stored: dict[str, Any]) -> str:
    """Return the page's HTML with style, scripts and the `stored` classifier inside; its policy allows no loading."""
    style = f"\n{_read('page.css')}"
    script = f"\n{combine_scripts('exported')}"
    policy = (
        f"default-src 'none'; script-src {_hash_source(script)}; style-src {_hash_source(style)}; "
        "img-src data: blob:; connect-src 'none'; base-uri 'none'; form-action 'none'"
    )
    # In JSON, < occurs only in strings, where \u003c means the same: then no string can end the script.
    classifier = json.dumps(stored, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    inside = f'<script type="application/json" id="classifier">{classifier}</script>\n'
    page = _read("index.html")
    page = page.replace('<meta charset="utf-8">', f'<meta charset="utf-8">\n{_policy_tag(policy)}')
    page = page.replace(STYLE_LINK, f"<style>{style}</style>")
    return page.replace(SCRIPT_LINK, "").replace("</body>", f'{inside}<script type="module">{script}</script>\n</body>')


def _policy_tag(policy: str) -> str:
    return f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy, quote=False)}">'


def combine_scripts(start: str) -> str:
    """Return a script and all that it imports as one script without imports and exports.

    No two scripts of the page share a top-level name, so they can be concatenated.
    """
    done: list[str] = []
    parts: list[str] = []

    def add(name: str) -> None:
        if name in done:
            return
        done.append(name)
        text = _read(f"{name}.js")
        for needed in IMPORT.findall(text):
            add(needed)
        parts.append(re.sub(r"^export ", "", IMPORT.sub("", text), flags=re.MULTILINE))

    add(start)
    return "\n".join(parts)


def _read(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")


def _hash_source(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _can_compute(network: Network) -> bool:
    """Tell whether the page's scripts `network.js` and `convolution.js` compute all operations of a network."""
    return all(one.kind in COMPUTED and not one.is_depthwise for one in network)


def _stored_operations(network: Network) -> list[dict[str, Any]]:
    """Return the operations for `convolution.js`, which brings channels before rows and columns by itself."""
    kept = [one for one in network if one.kind not in CHANNELS_FIRST]
    return [{"kind": one.kind, "size": one.size, "stride": one.stride} for one in kept]


def _as_matrix(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return weights as ``(inputs, outputs)``; a convolution's inputs are those of a position."""
    return weights if weights.ndim == 2 else weights.reshape(len(weights), -1).T


def _used(quantized: NDArray[np.int8], scales: NDArray[np.float32], layer: Layer) -> Layer:
    """Return what a layer's 8-bit weights stand for, in the layer's shape, and its biases."""
    weights, biases = layer
    values = quantized * scales
    return (values if weights.ndim == 2 else values.T.reshape(weights.shape)), biases


def _quantize(weights: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return weights ``(inputs, outputs)`` as integers -127…127, and the scale of each output ``(outputs,)``."""
    scales = np.abs(weights).max(axis=0) / np.float32(MAX_INT8)
    scales[scales == 0] = 1
    return np.rint(weights / scales).astype(np.int8), scales.astype(np.float32)


def _packed(quantized: NDArray[np.int8], scales: NDArray[np.float32], biases: NDArray[np.float32]) -> dict[str, Any]:
    inputs, outputs = quantized.shape
    rows = np.ascontiguousarray(quantized.T)
    texts = (b64encode(array.tobytes()).decode() for array in (rows, scales.astype("<f4"), biases.astype("<f4")))
    return {"inputs": inputs, "outputs": outputs, **dict(zip(("weights", "scales", "biases"), texts, strict=True))}


def _largest_change(classifier: Classifier, layers: list[Layer]) -> float:
    """Return the largest difference between a probability of layers and of a classifier on random drawings."""
    images = np.stack([classifier.frame(drawing).pixels for drawing in _drawings()])
    if classifier.is_dense:
        probabilities = run_layers(layers, images)
    else:
        probabilities = Classifier(build_model(layers, classifier.metadata, classifier.network)).probabilities(images)
    return float(np.abs(probabilities - classifier.probabilities(images)).max())


def _drawings() -> Iterator[NDArray[np.uint8]]:
    """Yield drawings of one to three bent lines as on the page's pad, black on white; the same ones each time."""
    rng = np.random.default_rng(0)
    for _ in range(NUM_DRAWINGS):
        drawing = Image.new("L", (DRAWING_SIDE, DRAWING_SIDE), 255)
        for _ in range(rng.integers(1, 4)):
            points = rng.uniform(0.15 * DRAWING_SIDE, 0.85 * DRAWING_SIDE, (rng.integers(2, 6), 2))
            line = [(float(x), float(y)) for x, y in points]
            ImageDraw.Draw(drawing).line(line, fill=0, width=DRAWING_SIDE // 14, joint="curve")
        yield np.asarray(drawing)


def run_layers(layers: list[Layer], images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the probabilities of dense layers with ReLU between them and softmax after the last.

    This is what the page computes in JavaScript (`page/network.js`).

    Args:
        layers: float32 weights ``(inputs, outputs)`` and biases ``(outputs,)`` of each.
        images: uint8 ``(num_images, *image_shape)``.

    Returns:
        float32 ``(num_images, num_classes)``.
    """
    values = images.reshape(len(images), -1).astype(np.float32) / np.float32(255)
    for number, (weights, biases) in enumerate(layers, 1):
        values = values @ weights + biases
        if number < len(layers):
            values = np.maximum(values, 0)
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities
