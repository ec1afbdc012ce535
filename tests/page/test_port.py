"""The page's scripts compute what Python computes: each ported function, on the same input, under Node.

While Python frames pictures, the calls of the functions in `PORTED` are recorded. One Node process repeats them.
"""

import ast
import dataclasses
import inspect
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from port_pictures import SEVEN, drawn, masks, pictures

from tinysight import attribution, preprocessing
from tinysight.html_page import PAGE
from tinysight.preprocessing import background, components, framing, ink, transparency
from tinysight.preprocessing.framing import Framing

# Python's name with an underscore before it or not; the script of the same name has it in camelCase
PORTED = {
    background: "without_frame extract_ink _is_background _spread _below_sparse_ink _below_dense_ink _fit_below _fit "
    "_surface noise_of otsu_threshold",
    components: "find_character without_lines find_runs label_components stroke_width",
    ink: "frame_ink _reduced _thresholds _dilated _bounding_box _is_dot _usable_strokes _thickened _scaled _centred",
    framing: "frame_picture",
}
# What Python leaves to Pillow and NumPy, or does otherwise
OTHERS = [
    "attribution.attribute",
    "attribution.attributeRegions",
    "attribution.overlay",
    "decode.onBackground",
    "ink.isFramed",
    "resize.reduce",
    "resize.resize",
    "statistics.percentile",
]
FLOAT_TOLERANCE = 1e-6  # of a grey level, or of a stroke's strength
TYPES = {"Float64Array": "<f8", "Int32Array": "<i4", "Uint8Array": "u1", "Uint8ClampedArray": "u1"}


@dataclasses.dataclass
class Call:
    """A call of a script's function, what it was given, and what Python returned."""

    script: str
    name: str
    given: tuple
    expected: object
    about: str


@dataclasses.dataclass
class Arrays:
    """Bytes of arrays one after another, and where those with some hash begin."""

    data: bytearray = dataclasses.field(default_factory=bytearray)
    offsets: dict[int, int] = dataclasses.field(default_factory=dict)


def module_name(module):
    return module.__name__.rpartition(".")[2]


def script_name(python_name):
    first, *others = python_name.strip("_").split("_")
    return first + "".join(word.capitalize() for word in others)


# Calls


def record_calls(patch):
    """Return the calls of ported functions while pictures are framed."""
    calls, about = [], ""

    def recording(function, script, name):
        def recorded(*given):
            result = function(*given)
            calls.append(Call(script, name, given, result, about))
            return result

        return recorded

    for module, names in PORTED.items():
        for name in names.split():
            replacement = recording(getattr(module, name), module_name(module), script_name(name))
            for place in PORTED:
                if hasattr(place, name):
                    patch.setattr(place, name, replacement)
    for about, picture in pictures():  # noqa: B007 `recorded` reads it
        framing.frame_picture(picture, Framing("ink"))
        framing.frame_picture(picture, Framing("whole", 24, 32, 3 if picture.mode == "RGB" else 1))
    for method, height, width, channels in (("ink", 20, 24, 3), ("ink", 1, 1, 1), ("whole", 5, 70, 3)):
        framing.frame_picture(drawn((70, 60), SEVEN), Framing(method, height, width, channels))
    for about, mask in masks():  # noqa: B007
        components.find_character(mask)
    about = "faint strokes"
    ink.place_strokes(np.diag([10, 3, 10, 0]).astype(np.uint8), 28, 28)
    return calls


def more_calls(images):
    """Yield calls of what Python leaves to Pillow and NumPy, or does to many images at once."""
    rng = np.random.default_rng(1)
    names = ("BICUBIC", "BILINEAR", "FLOATS", "BYTES")
    bicubic, bilinear, floats, as_bytes = ({"script": "resize", "name": name} for name in names)
    for rows, columns, new_rows, new_columns in rng.integers(1, 60, (30, 4)).tolist():
        size, about = (new_columns, new_rows), f"{rows}×{columns} to {new_rows}×{new_columns}"
        reals = rng.random((rows, columns))
        resized = Image.fromarray(reals.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
        given = (reals.astype(np.float32).astype(float), new_rows, new_columns, bicubic, floats)
        yield Call("resize", "resize", given, np.asarray(resized).astype(float), about)
        levels = rng.integers(0, 256, (rows, columns), dtype=np.uint8)
        resized = np.asarray(Image.fromarray(levels).resize(size, Image.Resampling.BILINEAR))
        yield Call("resize", "resize", (levels, new_rows, new_columns, bilinear, as_bytes), resized, about)
        factor = 1 + new_rows % 7
        reduced = np.asarray(Image.fromarray(levels).reduce(factor))
        yield Call("resize", "reduce", (levels, factor), reduced, f"{rows}×{columns} by {factor}")
        for percent in (50, 75, 97):
            given = (flat(reals.ravel()), percent)
            yield Call("statistics", "percentile", given, float(np.percentile(reals, percent)), about)
    for about, image in images:
        yield Call("ink", "isFramed", (image,), bool(ink.are_framed(image[None])[0]), about)
    for low, high in ((0, 256), (0, 90), (170, 256)):
        for alpha in (0, 100, 255):
            rgba = rng.integers(low, high, (20, 30, 4), dtype=np.uint8)
            rgba[:, :15, 3] = alpha
            yield background_call(Image.fromarray(rgba), f"alpha {alpha}, levels {low} to {high}")
    for about, picture in clear_pictures():
        yield background_call(picture, about)
    for channels, *widths in ((1, 9, 7), (3, 8), (1,), (3,)) * 3:
        yield from attribution_calls(rng, (5, 4, channels), [*widths, 3])


def attribution_calls(rng, shape, widths):
    """Yield calls for an image and a network, both random, and for what was to be explained."""
    image = rng.integers(0, 256, shape, dtype=np.uint8)
    image[rng.random(shape[:2]) < 0.3] = 0
    sizes = list(zip([image.size, *widths[:-1]], widths, strict=True))
    layers = [(rng.normal(size=size).astype(np.float32), rng.normal(size=size[1]).astype(np.float32)) for size in sizes]
    as_scripts_have_them = [
        {
            "inputs": len(weights),
            "outputs": len(biases),
            "weights": flat(weights.T.astype(float)),
            "biases": flat(biases),
        }
        for weights, biases in layers
    ]
    result = attribution.attribute(layers, image[np.newaxis], [2], [0])
    about = f"{shape} to {widths}"
    expected = result.pixels.ravel(), result.bias.item(), result.score.item()
    yield Call("attribution", "attribute", (as_scripts_have_them, flat(image), 2, 0), expected, about)
    yield region_call(rng, layers, as_scripts_have_them, about)
    framing = dict(zip(("height", "width", "channels"), shape, strict=True))
    for contributions in (result.pixels[0], np.zeros(shape)):
        picture, parts = (image, contributions) if shape[2] == 3 else (image[..., 0], contributions[..., 0])
        given = flat(image), flat(contributions), shape[:2], framing
        yield Call("attribution", "overlay", given, attribution.overlay(picture, parts), about)
    regions = rng.normal(size=(2, 3))
    picture = image if shape[2] == 3 else image[..., 0]
    given = flat(image), flat(regions), regions.shape, framing
    yield Call("attribution", "overlay", given, attribution.overlay(picture, regions), about)


def region_call(rng, layers, as_scripts_have_them, about):
    """Return a call for layers that read the mean of each channel, of random values."""
    maps = rng.normal(size=(1, len(layers[0][0]), 2, 3)).astype(np.float32)
    result = attribution.attribute_regions(layers, maps, [2], [0])
    given = {"channels": maps.shape[1], "rows": 2, "columns": 3, "values": flat(maps.astype(float))}
    expected = result.pixels.ravel(), result.bias.item(), result.score.item()
    return Call("attribution", "attributeRegions", (as_scripts_have_them, given, 2, 0), expected, about)


def background_call(picture, about):
    given = (flat(np.asarray(picture)), picture.width)
    return Call("decode", "onBackground", given, np.asarray(transparency.on_background(picture)), about)


def clear_pictures():
    """Yield name and picture with an alpha channel: sheets with clear edges, clear sheets with ink, shapes."""
    for size, width in (((28, 28), 3), ((300, 280), 20), ((520, 40), 4)):
        for ink_level, paper in ((0, 255), (255, 0), (120, 160), (90, 90)):
            sheet = drawn(size, SEVEN, width=width, ink=ink_level, background=paper).convert("RGBA")
            for edge, alpha in ((1, 188), (1, 0), (6, 0)):
                mask = Image.new("L", size, alpha)
                mask.paste(255, (edge, edge, size[0] - edge, size[1] - edge))
                sheet.putalpha(mask)
                yield f"{size}, {ink_level} on {paper}, edge {edge} of alpha {alpha}", sheet.copy()
            sheet.putalpha(128)
            yield f"{size}, {ink_level} on {paper}, alpha 128 all over", sheet.copy()
            for angle in (360, 250):
                mask = Image.new("L", size, 0)
                ImageDraw.Draw(mask).pieslice((0, 0, *size), 0, angle, fill=255)
                sheet.putalpha(mask)
                yield f"{size}, {ink_level} on {paper}, {angle}° of a disc", sheet.copy()
            sheet.putalpha(drawn(size, SEVEN, width=width, ink=255, background=0))
            yield f"{size}, {ink_level} on a clear ground", sheet.copy()
    yield "nothing visible", Image.new("RGBA", (9, 7), (10, 20, 30, 0))


def images_of(frame_ink_call):
    """Return an image that is framed, and one that hardly ever is."""
    given, framed = frame_ink_call.given[0], frame_ink_call.expected[0]
    return framed, np.asarray(Image.fromarray(given).resize((28, 28)))


def flat(array):
    """Mark an array that the script takes as a plain one, rather than as a grid."""
    return {"flat": array}


# To Node and back


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """Every call with what the script returned, and the constants of the scripts."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on this machine; install it with: apt-get install nodejs")
    folder = tmp_path_factory.mktemp("port")
    for script in PAGE.iterdir():
        if script.name.endswith(".js"):
            (folder / script.name).write_text(script.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "package.json").write_text('{"type": "module"}')
    with pytest.MonkeyPatch.context() as patch:
        calls = record_calls(patch)
    calls += more_calls([(call.about, image) for call in calls if call.name == "frameInk" for image in images_of(call)])
    arrays = Arrays()
    written = [{"script": call.script, "name": call.name, "given": to_script(call.given, arrays)} for call in calls]
    scripts = sorted({call.script for call in calls})
    (folder / "calls.json").write_text(json.dumps({"scripts": scripts, "calls": written}))
    (folder / "arrays.bin").write_bytes(arrays.data)
    command = [node, Path(__file__).with_name("call_port.mjs"), folder]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert finished.returncode == 0, finished.stderr
    answer = json.loads((folder / "results.json").read_text())
    data = (folder / "results.bin").read_bytes()
    results = [from_script(result, data) for result in answer["results"]]
    return list(zip(calls, results, strict=True)), answer["constants"]


def to_script(value, arrays):  # noqa: PLR0911 - a line for each kind of value
    """Return a value for JSON; the bytes of arrays are added to `arrays`, once each."""
    if isinstance(value, tuple | list):
        return [to_script(one, arrays) for one in value]
    if isinstance(value, Image.Image):
        data = described(np.asarray(value.convert("RGB")), "Uint8ClampedArray", arrays)
        return {"width": value.width, "height": value.height, "data": data, "isGrey": value.mode == "L"}
    if isinstance(value, Framing):
        return dataclasses.asdict(value)
    value = flat(value) if isinstance(value, np.ndarray) and value.ndim == 1 else value
    if isinstance(value, dict) and "flat" in value:
        is_float = value["flat"].dtype.kind == "f"
        return described(value["flat"], "Float64Array" if is_float else "Uint8ClampedArray", arrays)
    if isinstance(value, dict) and not {"script", "type"} & set(value):
        return {key: to_script(one, arrays) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        values = described(value, "Uint8Array" if value.dtype == bool else "Float64Array", arrays)
        return {"rows": value.shape[0], "columns": value.shape[1], "values": values}
    return value


def described(array, kind, arrays):
    data = np.ascontiguousarray(array, TYPES[kind]).tobytes()
    offset = arrays.offsets.setdefault(hash(data), len(arrays.data))  # the same array is given to many functions
    if offset == len(arrays.data):
        arrays.data += data
    return {"type": kind, "offset": offset, "length": array.size}


def from_script(value, data):
    """Return a result with its arrays in place; an object becomes a tuple of its values, a grid an array."""
    if isinstance(value, list):
        return [from_script(one, data) for one in value]
    if not isinstance(value, dict):
        return value
    if "type" in value:
        return np.frombuffer(data, TYPES[value["type"]], count=value["length"], offset=value["offset"])
    parts = {key: from_script(one, data) for key, one in value.items()}
    if set(parts) == {"rows", "columns", "values"}:
        return parts["values"].reshape(parts["rows"], parts["columns"])
    return tuple(parts.values())


# Comparison


def is_same(expected, result):
    """Tell whether a script's result is Python's: grey levels within 1, real numbers closely, all else exactly."""
    if isinstance(expected, np.ndarray):
        if result.ndim == 2 and result.shape != expected.shape:
            return False
        tolerance = {"u": 1, "f": FLOAT_TOLERANCE}.get(expected.dtype.kind, 0)
        distance = expected.astype(float) - result.reshape(expected.shape)
        return bool((np.abs(distance) <= tolerance).all())
    if isinstance(expected, float):
        return abs(expected - result) <= FLOAT_TOLERANCE
    if dataclasses.is_dataclass(expected):
        expected = dataclasses.astuple(expected)
    if isinstance(expected, tuple | list):
        return len(expected) == len(result) and all(map(is_same, expected, result))
    return type(expected) is type(result) and expected == result


def as_the_script_returns_it(call):
    if call.name == "findRuns":
        return [list(run) for run in zip(*(part.tolist() for part in call.expected), strict=True)]
    if call.name == "boundingBox":
        return [end for one in call.expected for end in (int(one.start), int(one.stop))]
    return call.expected


FUNCTIONS = [f"{module_name(module)}.{script_name(name)}" for module in PORTED for name in PORTED[module].split()]


@pytest.mark.parametrize("function", FUNCTIONS + OTHERS)
def test_a_script_returns_what_python_returns(port, function):
    calls, _ = port
    own = [(call, result) for call, result in calls if f"{call.script}.{call.name}" == function]
    assert len(own) >= 9
    assert not [call.about for call, result in own if not is_same(as_the_script_returns_it(call), result)]


def test_the_pictures_reach_every_fault(port):
    calls, _ = port
    assert {call.expected.fault for call, _ in calls if call.name == "framePicture"} == {
        "", ink.BLANK, ink.NOTHING, ink.DOT, ink.SEVERAL,
    }  # fmt: skip
    assert {call.expected[1] for call, _ in calls if call.name == "findCharacter"} == {False, True}


@pytest.mark.parametrize("module", [*PORTED, attribution], ids=module_name)
def test_scripts_have_the_constants_of_their_python_modules(port, module):
    _, constants = port
    names = [name for name in assigned_names(module) if name.isupper() and not hasattr(preprocessing, name)]
    assert names
    own = json.loads(json.dumps({name: np.asarray(getattr(module, name)).tolist() for name in names}))
    assert constants[module_name(module)] == own


def assigned_names(module):
    """Return the names that a module gives a value itself, rather than importing them."""
    assignments = [node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.Assign)]
    targets = [target for node in assignments for one in node.targets for target in ast.walk(one)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def test_the_script_that_decodes_has_the_constants_of_transparency(port):
    _, constants = port
    assert constants["decode"] == {name: value for name, value in vars(transparency).items() if name.isupper()}
