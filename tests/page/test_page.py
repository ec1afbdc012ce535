"""The drawing page in a browser: from a service and as one exported file."""

import gzip
import io
import re
from base64 import b64decode, b64encode

import numpy as np
import pytest
from pages import STROKES, answered, draw, give, serving, wait_for_answer
from PIL import Image
from samples import as_png, stored_in, unpacked

from tinysight.attribution import attribute, overlay
from tinysight.classifier import Classifier
from tinysight.errors import ModelFileError
from tinysight.html_page import export_page
from tinysight.onnx_file import ModelMetadata, build_model
from tinysight.preprocessing.framing import Framing

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def classifier(request):
    """The classifier that comes with the package, or where it is not there a small one."""
    try:
        return Classifier.pretrained()
    except ModelFileError:
        return Classifier.load(request.getfixturevalue("model_path"))


@pytest.fixture(scope="module")
def server(classifier):
    with serving(classifier) as running:
        yield running


@pytest.fixture(scope="module")
def exported(classifier, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "digits.html"
    export_page(classifier, path)
    return path


@pytest.fixture(params=["service", "exported"])
def page(request, visit):
    """The page, ready to draw, in both its forms."""
    kind = request.param
    address = (
        request.getfixturevalue("server").url if kind == "service" else request.getfixturevalue("exported").as_uri()
    )
    opened = visit(address)
    wait_for_answer(opened)
    return opened


WHITE = np.full((60, 60), 255, np.uint8)


def first_mnist_test_images(data_folder, number):
    packed = gzip.decompress((data_folder / "mnist" / "t10k-images-idx3-ubyte.gz").read_bytes())
    return np.frombuffer(packed, np.uint8, offset=16).reshape(-1, 28, 28)[:number]


@pytest.fixture
def seven():
    """A picture with a seven, as PNG."""
    pixels = np.full((90, 80), 250, np.uint8)
    pixels[15:23, 20:60] = 30
    for row in range(20, 75):
        left = 52 - (row - 20) // 2
        pixels[row, left : left + 8] = 30
    return as_png(pixels)


def test_each_digit_drawn_is_predicted_as_by_python(visit, server, exported, classifier):
    page, alone = visit(server.url), visit(exported.as_uri())
    wait_for_answer(page)
    is_trained_on_mnist = classifier.metadata.data.name == "mnist"
    for digit, strokes in STROKES.items():
        draw(page, strokes)
        draw(alone, strokes)
        (prediction,) = classifier.predict(server.bodies[-1])
        shown, shown_alone = answered(page), answered(alone)
        assert shown["className"] == shown_alone["className"] == prediction.class_name
        assert float(shown["probability"]) == pytest.approx(prediction.probability)
        assert float(shown_alone["probability"]) == pytest.approx(prediction.probability, abs=0.03)
        if is_trained_on_mnist:
            assert prediction.class_name == digit
        for one in (page, alone):
            best = one.locator("#best").inner_text()
            assert best == (prediction.class_name if not prediction.is_rejected else "not a digit")
            one.click("#clear")


@pytest.mark.parametrize("how", ["choose", "paste", "drop"])
def test_a_picture_is_read_however_it_comes(page, how, seven, classifier):
    give(page, how, seven)
    (prediction,) = classifier.predict(seven)
    assert answered(page)["className"] == prediction.class_name
    assert page.locator("#note").inner_text() == "framed from 80×90 grey"


def test_undo_and_clear(page, seven):
    draw(page, STROKES["4"])
    first = answered(page)
    page.click("#undo")
    wait_for_answer(page)
    assert answered(page)["probability"] != first["probability"]
    page.keyboard.press("Delete")
    assert answered(page)["state"] == "empty"
    assert page.locator("#invitation").is_visible()
    page.keyboard.press("Control+z")
    wait_for_answer(page)
    assert answered(page)["state"] != "empty"
    give(page, "choose", seven)
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    wait_for_answer(page)
    assert answered(page)["state"] == "empty"
    assert page.locator("#undo").is_disabled()


def test_drawing_by_keyboard(page):
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.id") == "canvas"
    for key, times in (("ArrowUp", 3), ("ArrowLeft", 6), (" ", 1), ("ArrowRight", 12), ("ArrowDown", 20), (" ", 1)):
        for _ in range(times):
            page.keyboard.press(key)
    wait_for_answer(page)
    assert answered(page)["className"]
    assert page.locator("#pen").is_visible()
    page.wait_for_function("() => /percent|digit/.test(document.getElementById('spoken').textContent)")
    reached = []
    for _ in range(3):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("() => document.activeElement.id"))
    assert reached == ["undo", "clear", "choose"]
    page.keyboard.press("Escape")
    assert answered(page)["state"] == "empty"


def test_drawing_with_a_finger_scrolls_nothing(visit, exported):
    page = visit(exported.as_uri(), viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True)
    box = page.locator("#canvas").bounding_box()
    devtools = page.context.new_cdp_session(page)
    for number, (x, y) in enumerate(STROKES["7"][0]):
        point = {"x": box["x"] + x * box["width"] / 100, "y": box["y"] + y * box["height"] / 100}
        kind = "touchMove" if number else "touchStart"
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    devtools.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    wait_for_answer(page)
    assert answered(page)["className"]
    assert page.evaluate("() => scrollY") == 0


@pytest.mark.parametrize(
    ("width", "height"), [(667, 375), (844, 390), (568, 320), (375, 667), (1280, 720), (1280, 480)]
)
def test_the_pad_its_buttons_and_the_answer_fit_the_window(visit, exported, width, height):
    page = visit(exported.as_uri(), viewport={"width": width, "height": height}, has_touch=True, is_mobile=True)
    draw(page, STROKES["7"])
    pad, tools, best, bars = (page.locator(name).bounding_box() for name in ("#pad", ".tools", "#best", "#bars"))
    assert pad["width"] == pytest.approx(pad["height"], abs=1)
    assert pad["width"] >= min(200, height - 110)
    assert tools["y"] + tools["height"] <= height
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width > height:  # the answer is beside the pad
        assert best["y"] < pad["y"] + pad["height"]
        assert bars["x"] >= pad["x"] + pad["width"]
        assert bars["y"] + bars["height"] <= height
    buttons = [button.bounding_box() for button in page.locator(".tools button:not([hidden])").all()]
    assert all(button["height"] >= 44 for button in buttons)
    assert max(button["x"] + button["width"] for button in buttons) <= tools["x"] + tools["width"] + 1


@pytest.mark.parametrize("strokes", [[[(50, 50)]], [[(30, 30)], [(60, 60)]]])
def test_a_dot_is_told_to_be_too_small_and_a_white_picture_to_be_blank(page, strokes):
    draw(page, strokes)
    assert answered(page)["state"] == "rejected"
    assert page.locator("#note").inner_text() == "too little ink to read: draw it larger"
    page.locator("#file").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": as_png(WHITE)})
    page.wait_for_function("() => document.getElementById('note').textContent.includes('blank')")


def test_a_picture_that_cannot_be_read_is_explained_in_a_line(visit, server, exported):
    for address in (server.url, exported.as_uri()):
        page = visit(address, ignore="422")
        wait_for_answer(page)
        page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": b"nothing"})
        page.wait_for_function("() => document.getElementById('error').textContent")
        assert "picture" in page.locator("#error").inner_text()
        assert answered(page)["state"] == "error"
        draw(page, STROKES["1"])
        assert not page.locator("#error").is_visible()


@pytest.fixture(scope="module")
def colourful():
    """A classifier of whole pictures in colour with many long names; it was never trained."""
    rng = np.random.default_rng(0)
    names = [f"species number {number} of a long list" for number in range(40)]
    layers = [(rng.normal(0, 0.05, (24 * 32 * 3, 40)).astype(np.float32), np.zeros(40, np.float32))]
    metadata = ModelMetadata(tuple(names), Framing("whole", 24, 32, 3), reject_below=1.0)
    return Classifier(build_model(layers, metadata))


def test_many_long_names_show_the_most_probable(visit, colourful):
    with serving(colourful) as server:
        page = visit(server.url, viewport={"width": 360, "height": 740})
        wait_for_answer(page)
        give(page, "choose", as_png(np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)))
        (prediction,) = colourful.predict(server.bodies[-1], top=8)
        assert page.locator("#bars .class").all_inner_texts() == [name for name, _ in prediction.ranking]
        assert page.locator("#best").inner_text() == "none of these"
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_a_key_is_requested_and_kept_in_memory_only(visit, classifier):
    with serving(classifier, key="sesame") as server:
        page = visit(server.url, ignore="401")
        page.wait_for_selector("#key", state="visible")
        message = "an API key is needed; programs send it in the header Authorization: Bearer KEY"
        assert page.locator("#error").inner_text() == message
        page.keyboard.type("sesame")
        page.keyboard.press("Enter")
        page.wait_for_function("() => document.getElementById('page').dataset.answered")
        draw(page, STROKES["1"])
        page.wait_for_function("() => document.getElementById('page').dataset.className")
        assert not page.locator("#key-form").is_visible()
        assert page.evaluate("() => localStorage.length + sessionStorage.length + document.cookie.length") == 0


def test_requests_never_pile_up(visit, server):
    page = visit(server.url)
    underway = {"now": 0, "most": 0}

    def begin(request):
        underway["now"] += "predict" in request.url
        underway["most"] = max(underway.values())

    def end(request):
        underway["now"] -= "predict" in request.url

    page.on("request", begin)
    page.on("requestfinished", end)
    page.on("requestfailed", end)
    before = len(server.bodies)
    draw(page, STROKES["8"] + STROKES["3"])
    assert underway["most"] == 1
    assert len(server.bodies) - before < 40


def colours_shown(page):
    """Return the network's input as the page shows it, uint8 (height, width, 3)."""
    address = page.locator("#input").evaluate("(canvas) => canvas.toDataURL()")
    return np.asarray(Image.open(io.BytesIO(b64decode(address.partition(",")[2]))).convert("RGB"))


def test_which_pixels_decided_is_shown_by_keyboard_and_not_unless_asked(page, classifier):
    draw(page, STROKES["7"])
    plain = colours_shown(page)
    assert (plain == plain[..., :1]).all()
    assert page.locator("#legend").inner_text() == ""
    # On
    page.locator("#choose").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.id") == "why"
    page.keyboard.press("Space")
    wait_for_answer(page)
    orange, blue = page.locator("#legend span").all_inner_texts()
    best = answered(page)["className"]
    assert orange == f"orange: for {best}"
    assert re.fullmatch("blue: for [0-9]", blue)
    assert blue[-1] != best
    # The colours are those that Python gives
    image = plain[..., 0]
    classes = [classifier.class_names.index(name) for name in (best, blue[-1])]
    expected = overlay(image, attribute(classifier.layers, image[None], classes[:1], classes[1:]).pixels[0])
    difference = np.abs(colours_shown(page).astype(int) - expected)
    assert difference.mean() < 1  # an exported page has weights of 8 bits
    assert (colours_shown(page)[..., 0] > colours_shown(page)[..., 2] + 50).any()
    # Keys still work from the box, and it stays on for the next drawing
    page.keyboard.press("Delete")
    wait_for_answer(page)
    assert page.locator("#legend").inner_text() == ""
    draw(page, STROKES["1"])
    assert page.locator("#legend").inner_text()
    # Off
    page.locator("#why").focus()
    page.keyboard.press("Space")
    wait_for_answer(page)
    assert (colours_shown(page) == colours_shown(page)[..., :1]).all()
    assert page.locator("#legend").inner_text() == ""


def test_on_the_page_the_parts_sum_to_the_difference_of_the_logits(visit, server, trained, tmp_path):
    images = np.ascontiguousarray(trained.images.images[:1000])
    export_page(trained.classifier, tmp_path / "small.html")
    stored = stored_in((tmp_path / "small.html").read_text(encoding="utf-8"))
    parts = visit(server.url).evaluate(
        """async ([stored, text]) => {
          const { LocalClassifier } = await import("/page/local_classifier.js");
          const local = new LocalClassifier(stored);
          const all = Uint8Array.from(atob(text), (byte) => byte.charCodeAt(0));
          return Array.from({ length: 1000 }, (_, number) => {
            const image = all.subarray(784 * number, 784 * (number + 1));
            const shares = [...local.network.probabilities(image)];
            const ranking = stored.class_names.map((class_name, index) => ({ class_name, share: shares[index] }));
            ranking.sort((one, other) => other.share - one.share);
            const { class_name, other, bias, pixels } = local.attribution(image, ranking);
            return { class_name, other, sum: pixels.reduce((one, two) => one + two) + bias };
          });
        }""",
        [stored, b64encode(images.tobytes()).decode()],
    )
    values = images.reshape(1000, -1) / 255
    for number, (weights, biases) in enumerate(map(unpacked, stored["layers"])):
        values = (np.maximum(values, 0) if number else values) @ weights.astype(float) + biases
    index, rows = stored["class_names"].index, np.arange(1000)
    classes, others = ([index(part[key]) for part in parts] for key in ("class_name", "other"))
    differences = values[rows, classes] - values[rows, others]
    assert max(differences) > 5
    assert min(differences) >= 0
    assert np.abs([part["sum"] for part in parts] - differences).max() < 1e-4


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit, exported, server, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the extra dev is not installed")
    page = visit(server.url, color_scheme=scheme, bypass_csp=True)
    page.check("#why")
    for strokes in ([], STROKES["5"]):
        draw(page, strokes)
        page.wait_for_timeout(300)  # until the bars have moved
        violations = axe.Axe().run(page).response["violations"]
        assert not [(one["id"], one["nodes"]) for one in violations if one["impact"] in ("serious", "critical")]


def ask(page, pictures):
    """Classify pictures, given as bytes, with an exported page's own function, a few at a time."""
    answers = []
    for start in range(0, len(pictures), 40):
        answers += page.evaluate(
            """async (texts) => {
              const answers = [];
              for (const text of texts) {
                const bytes = Uint8Array.from(atob(text), (byte) => byte.charCodeAt(0));
                const answer = await window.tinysight.classify(new Blob([bytes]));
                answers.push({ ...answer, pixels: [...answer.pixels] });
              }
              return answers;
            }""",
            [b64encode(data).decode() for data in pictures[start : start + 40]],
        )
    return answers


def differences(page, classifier, pictures):
    """Return how many top answers differ from Python's, and the mean difference of each one's framed pixels."""
    predictions = classifier.predict(pictures)
    answers = ask(page, pictures)
    names = [(one.class_name, one.note) for one in predictions]
    num_other = sum(name != (one["class_name"], one["note"]) for name, one in zip(names, answers, strict=True))
    framed = [classifier.frame(data).pixels.ravel() for data in pictures]
    pairs = zip(framed, answers, strict=True)
    return num_other, [np.abs(own - np.asarray(one["pixels"], int)).mean() for own, one in pairs]


def test_the_exported_page_predicts_what_python_predicts(visit, exported, seven, classifier):
    (prediction,) = classifier.predict(seven)
    (answer,) = ask(visit(exported.as_uri()), [seven])
    assert answer["class_name"] == prediction.class_name
    assert answer["pixels"] == classifier.frame(seven).pixels.ravel().tolist()
    assert (answer["is_rejected"], answer["note"]) == (prediction.is_rejected, prediction.note)


def test_it_does_so_on_photographed_digits_and_on_mnist(visit, exported, classifier, strangers_digits, data_folder):
    pictures = [path.read_bytes() for path in strangers_digits]
    assert len(pictures) == 120
    pictures += [as_png(image) for image in first_mnist_test_images(data_folder, 500)]
    num_other, distances = differences(visit(exported.as_uri()), classifier, pictures)
    assert num_other <= 3  # a few lie between two classes, and 8-bit weights decide
    assert np.mean(distances) < 0.1
    assert np.max(distances) < 3


def test_it_does_so_on_whole_pictures_in_colour(visit, colourful, tmp_path, photograph_folders):
    export_page(colourful, tmp_path / "colour.html")
    page = visit((tmp_path / "colour.html").as_uri())
    rng = np.random.default_rng(0)
    sizes = [(24, 32, 3), (200, 300, 3), (50, 20, 3), (25, 33, 4), (7, 9, 4)]
    pictures = [as_png(rng.integers(0, 256, size, dtype=np.uint8)) for size in sizes]
    pictures += [path.read_bytes() for folder in photograph_folders for path in sorted(folder.glob("*/*.jp*g"))]
    num_other, distances = differences(page, colourful, pictures)
    assert num_other <= 1
    assert np.mean(distances) < 1
    assert np.max(distances) < 3
