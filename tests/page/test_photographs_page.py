"""The page of a classifier of photographs in a browser: pictures and the camera, where others have a pen."""

import io
from base64 import b64decode

import numpy as np
import pytest
from pages import answered, give, serving, wait_for_answer
from PIL import Image
from samples import PHOTOGRAPH_NETWORK, PHOTOGRAPH_SHAPES, as_png

from tinysight.attribution import overlay
from tinysight.classifier import Classifier
from tinysight.html_page import export_page
from tinysight.onnx_file import ModelMetadata, build_model
from tinysight.preprocessing.framing import Framing

pytestmark = pytest.mark.slow

BROWSER_OPTIONS = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
SIDE = 224
RUNNING_TRACKS = "() => (document.getElementById('video').srcObject?.getTracks() ?? []).length"


@pytest.fixture(scope="module")
def photographic():
    """A classifier of photographs, with convolutions; it was never trained."""
    rng = np.random.default_rng(0)
    layers = [
        (rng.normal(0, 0.3, shape).astype(np.float32), np.zeros(shape[-1] if len(shape) == 2 else shape[0]))
        for shape in PHOTOGRAPH_SHAPES
    ]
    metadata = ModelMetadata(("mew", "gnu"), Framing("whole", SIDE, SIDE, 3))
    return Classifier(build_model(layers, metadata, PHOTOGRAPH_NETWORK))


@pytest.fixture(scope="module")
def server(photographic):
    with serving(photographic) as running:
        yield running


@pytest.fixture
def page(visit, server):
    opened = visit(server.url)
    wait_for_answer(opened)
    return opened


@pytest.fixture(scope="module")
def photograph():
    """A colour picture of 300×200 pixels, as PNG."""
    rng = np.random.default_rng(0)
    return as_png(np.repeat(np.repeat(rng.integers(0, 256, (4, 6, 3), dtype=np.uint8), 50, axis=0), 50, axis=1))


def wait_for_camera(page):
    page.wait_for_function("() => document.getElementById('camera').textContent === 'Take the picture'")


def wait_for_error(page):
    page.wait_for_function("() => document.getElementById('error').textContent")
    return page.locator("#error").inner_text()


def shown_by(page):
    """Return the network's input as the page shows it, uint8 ``(height, width, 3)``."""
    address = page.locator("#input").evaluate("(canvas) => canvas.toDataURL()")
    return np.asarray(Image.open(io.BytesIO(b64decode(address.partition(",")[2]))).convert("RGB"))


def test_it_asks_for_a_picture_and_offers_no_pen(page, server):
    assert page.locator("#invitation").inner_text() == "Show a picture"
    assert page.locator("#confidence").inner_text() == "No picture yet"
    assert "pen" not in page.locator("#keys").inner_text()
    with page.expect_file_chooser():
        page.locator("#canvas").click(position={"x": 50, "y": 50})
    assert answered(page)["state"] == "empty"
    assert server.bodies == []
    reached = []
    for _ in range(2):  # undo and clear have nothing to do yet
        page.keyboard.press("Tab")
        reached.append(page.evaluate("() => document.activeElement.id"))
    assert reached == ["choose", "camera"]


@pytest.mark.parametrize("how", ["choose", "paste", "drop"])
def test_a_picture_is_classified_and_shown_as_the_network_sees_it(page, how, photograph, photographic):
    give(page, how, photograph)
    (prediction,) = photographic.predict(photograph)
    assert answered(page)["className"] == prediction.class_name
    assert float(answered(page)["probability"]) == pytest.approx(prediction.probability, abs=1e-5)
    np.testing.assert_array_equal(shown_by(page), photographic.frame(photograph).pixels)


@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "RGB"), ("PNG", "RGBA")])
def test_a_picture_larger_than_a_service_takes_is_sent_smaller(page, server, kind, mode, photographic):
    rng = np.random.default_rng(0)
    colours = Image.fromarray(rng.integers(0, 256, (4, 6, 3), dtype=np.uint8))
    large = colours.resize((6000, 4000), Image.Resampling.NEAREST).convert(mode)
    large.save(file := io.BytesIO(), kind)
    give(page, "choose", file.getvalue(), f"image/{kind.lower()}")
    sent = Image.open(io.BytesIO(server.bodies[-1]))
    assert (sent.format, sent.mode) == (kind, mode)
    assert 3_900_000 < sent.width * sent.height <= 4_000_000
    assert sent.width / sent.height == pytest.approx(1.5, abs=0.01)
    expected = photographic.frame(large).pixels.astype(int)
    assert np.abs(shown_by(page) - expected).mean() < 1
    assert float(answered(page)["probability"]) == pytest.approx(photographic.predict(large)[0].probability, abs=0.01)


def test_the_regions_that_decided_are_shown_if_asked_for(page, photograph, photographic):
    page.check("#why")
    give(page, "choose", photograph)
    framed = photographic.frame(photograph).pixels
    best, second = np.argsort(-photographic.probabilities(framed[np.newaxis])[0])[:2]
    explained = photographic.attribution(framed[np.newaxis], [best], [second])
    expected = overlay(framed, explained.pixels[0]).astype(int)
    assert np.abs(shown_by(page) - expected).max() <= 1  # the service sends float32
    assert np.ptp(expected, axis=2).max() > 50
    names = photographic.class_names
    assert page.locator("#legend").inner_text() == f"orange: for {names[best]}\nblue: for {names[second]}"


def test_the_camera_is_on_from_its_button_until_the_picture_is_taken(page, server, photographic):
    assert page.evaluate(RUNNING_TRACKS) == 0
    assert not page.locator("#video").is_visible()
    page.click("#camera")
    wait_for_camera(page)
    assert page.evaluate(RUNNING_TRACKS) == 1
    assert page.locator("#video").is_visible()
    before = len(server.bodies)
    page.evaluate("() => { window.track = document.getElementById('video').srcObject.getTracks()[0]; }")
    page.click("#camera")
    page.wait_for_function("() => document.getElementById('page').dataset.className")
    assert page.evaluate("() => window.track.readyState") == "ended"
    assert not page.locator("#video").is_visible()
    assert page.locator("#camera").inner_text() == "Use the camera"
    (taken,) = server.bodies[before:]
    assert Image.open(io.BytesIO(taken)).format == "JPEG"
    assert answered(page)["className"] == photographic.predict(taken)[0].class_name
    page.click("#undo")
    assert answered(page)["state"] == "empty"


@pytest.mark.parametrize("how", ["button", "key", "another picture"])
def test_the_camera_is_stopped_without_a_picture(page, how, photograph):
    page.click("#camera")
    wait_for_camera(page)
    page.evaluate("() => { window.track = document.getElementById('video').srcObject.getTracks()[0]; }")
    if how == "button":
        page.click("text=Stop")
    elif how == "key":
        page.keyboard.press("Escape")
    else:
        give(page, "drop", photograph)
    assert page.evaluate("() => window.track.readyState") == "ended"
    assert not page.locator("#video").is_visible()
    assert (answered(page)["state"] == "empty") == (how != "another picture")


@pytest.mark.parametrize(
    ("failure", "words"),
    [("NotAllowedError", "does not allow this page the camera"), ("NotFoundError", "no camera"),
     ("NotReadableError", "Another program uses the camera"), ("AbortError", "does not start (AbortError)")],
)  # fmt: skip
def test_why_there_is_no_camera_is_said_in_a_line(page, failure, words, photograph):
    page.evaluate(
        "(name) => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', name)); }", failure
    )
    page.click("#camera")
    line = wait_for_error(page)
    assert words in line
    assert "picture" in line
    assert "\n" not in line
    assert page.locator("#camera").inner_text() == "Use the camera"
    give(page, "choose", photograph)
    assert not page.locator("#error").is_visible()


def test_a_page_that_is_not_secure_says_so(page):
    page.evaluate("() => Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    page.click("#camera")
    assert "https://" in wait_for_error(page)


def test_only_the_page_of_photographs_may_ask_for_the_camera(visit, server):
    asked = "() => navigator.mediaDevices.getUserMedia({ video: true }).then(() => 'on', (error) => error.name)"
    assert visit(server.url).evaluate(asked) == "on"
    layers = [(np.zeros((28 * 28, 2), np.float32), np.zeros(2, np.float32))]
    with serving(Classifier(build_model(layers, ModelMetadata(("a", "b"), Framing("ink"))))) as of_characters:
        page = visit(of_characters.url, ignore="camera")
        assert page.locator("#invitation").inner_text() == "Draw a character"
        assert not page.locator("#camera").is_visible()
        assert page.evaluate(asked) == "NotAllowedError"


def test_an_exported_page_of_photographs_takes_pictures_too(visit, tmp_path, photograph):
    rng = np.random.default_rng(0)
    layers = [(rng.normal(0, 0.05, (28 * 28 * 3, 2)).astype(np.float32), np.zeros(2, np.float32))]
    dense = Classifier(build_model(layers, ModelMetadata(("ant", "bee"), Framing("whole", channels=3))))
    export_page(dense, tmp_path / "page.html")
    page = visit((tmp_path / "page.html").as_uri())
    wait_for_answer(page)
    assert page.locator("#invitation").inner_text() == "Show a picture"
    assert page.locator("#why").is_visible()
    give(page, "drop", photograph)
    assert answered(page)["className"] == dense.predict(photograph)[0].class_name
    page.click("#camera")
    wait_for_camera(page)
    page.click("#camera")
    page.wait_for_function("() => document.getElementById('camera').textContent === 'Use the camera'")
    wait_for_answer(page)
    assert answered(page)["className"]


@pytest.mark.parametrize("width", [360, 380, 1200])
def test_pad_buttons_and_answer_fit_the_window(visit, server, width, photograph):
    page = visit(server.url, viewport={"width": width, "height": 800})
    wait_for_answer(page)
    give(page, "choose", photograph)
    lines = "(best) => best.clientHeight / parseFloat(getComputedStyle(best).lineHeight)"
    assert page.locator("#best").evaluate(lines) < 1.5  # a name of three wide letters
    page.click("#camera")
    wait_for_camera(page)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    buttons = [button.bounding_box() for button in page.locator(".tools button").all()]
    assert len(buttons) == 4
    assert all(button["height"] >= 44 and button["y"] + button["height"] <= 800 for button in buttons)
    is_cut = "(buttons) => buttons.some((button) => button.scrollWidth > button.clientWidth)"
    assert not page.locator(".tools button").evaluate_all(is_cut)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit, server, scheme, photograph):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the extra dev is not installed")
    page = visit(server.url, color_scheme=scheme, bypass_csp=True)
    wait_for_answer(page)
    for show in (lambda: None, lambda: give(page, "choose", photograph), lambda: page.click("#camera")):
        show()
        page.wait_for_timeout(300)  # until the bars have moved
        violations = axe.Axe().run(page).response["violations"]
        assert not [(one["id"], one["nodes"]) for one in violations if one["impact"] in ("serious", "critical")]
