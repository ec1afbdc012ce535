"""A browser, the service in a thread, and strokes to draw, for tests of the page."""

import shutil
import threading
from base64 import b64encode
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from tinysight.serving.access_control import AccessRules
from tinysight.serving.app import Service
from tinysight.serving.limits import Limits
from tinysight.serving.server import Server, listen

# Points in hundredths of the pad's side, as people write.
STROKES = {
    "0": [[(50, 15), (36, 22), (30, 42), (31, 64), (41, 82), (54, 84), (66, 72), (70, 48), (64, 24), (51, 15)]],
    "1": [[(54, 14), (52, 38), (50, 62), (48, 86)]],
    "2": [[(30, 30), (38, 18), (54, 15), (66, 25), (63, 42), (48, 62), (30, 82), (48, 81), (72, 82)]],
    "3": [[(32, 20), (48, 14), (64, 22), (62, 38), (46, 47), (64, 55), (69, 70), (56, 84), (38, 84), (29, 76)]],
    "4": [[(40, 14), (34, 34), (28, 56), (50, 56), (74, 55)], [(62, 20), (60, 50), (58, 88)]],
    "5": [[(68, 16), (38, 17), (35, 44), (50, 42), (66, 52), (67, 70), (54, 84), (36, 84), (28, 77)]],
    "6": [[(60, 13), (44, 26), (34, 48), (32, 68), (42, 84), (58, 84), (67, 70), (60, 57), (46, 57), (34, 68)]],
    "7": [[(28, 18), (50, 18), (72, 17), (62, 40), (52, 62), (45, 87)]],
    "8": [
        [(64, 24), (50, 14), (37, 24), (44, 42), (60, 58), (66, 74), (52, 86), (37, 76), (42, 60), (60, 42), (64, 24)]
    ],
    "9": [[(66, 26), (52, 15), (37, 24), (36, 42), (50, 49), (65, 38), (66, 26), (64, 52), (60, 72), (56, 88)]],
}


@contextmanager
def serving(classifier, key=""):
    """Serve a classifier and the page on a free port; gives where as `url`, and what was posted as `bodies`."""
    service = Service(classifier, "digits", access=AccessRules(api_key=key), is_logging=False)
    running = SimpleNamespace(bodies=[], key=key)
    service.application = keep_bodies(service.application, running.bodies)
    limits = Limits()
    with listen("127.0.0.1", 0) as listener:
        running.url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        server = Server(service, limits)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield running
        finally:
            server.should_exit = True
            thread.join()
            service.close()


def keep_bodies(application, bodies):
    """Wrap a service, and keep the bodies that are posted to it, those without its key left out."""

    async def keep(scope, receive, send):
        parts, statuses = [], []

        async def received():
            message = await receive()
            parts.append(message.get("body", b""))
            return message

        async def sent(message):
            statuses.append(message.get("status"))
            await send(message)

        await application(scope, received, sent)
        if scope.get("method") == "POST" and statuses[0] != 401:
            bodies.append(b"".join(parts))

    return keep


@contextmanager
def chromium(options=()):
    """Start the system's browser with further options; skip the test if there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; see the extra dev")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium on this machine; install it with: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", *options])
        yield browser
        browser.close()


def draw(page, strokes):
    """Draw strokes with the mouse, and wait for the answer."""
    box = page.locator("#canvas").bounding_box()
    for points in strokes:
        places = [(box["x"] + x * box["width"] / 100, box["y"] + y * box["height"] / 100) for x, y in points]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=3)
        page.mouse.up()
    wait_for_answer(page)


def wait_for_answer(page):
    page.wait_for_function(
        "() => { const d = document.getElementById('page').dataset; return d.version && d.answered === d.version }"
    )


def give(page, how, data, kind="image/png"):
    """Choose, paste or drop a picture file."""
    if how == "choose":
        page.set_input_files("#file", {"name": "seven.png", "mimeType": kind, "buffer": data})
    else:
        page.evaluate(
            """([how, text]) => {
              const bytes = Uint8Array.from(atob(text), (byte) => byte.charCodeAt(0));
              const carried = new DataTransfer();
              carried.items.add(new File([bytes], "seven.png", { type: "image/png" }));
              const event = how === "paste"
                ? new ClipboardEvent("paste", { clipboardData: carried, bubbles: true, cancelable: true })
                : new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true });
              document.getElementById("canvas").dispatchEvent(event);
            }""",
            [how, b64encode(data).decode()],
        )
    page.wait_for_function("() => document.getElementById('page').dataset.className")
    wait_for_answer(page)


def answered(page):
    """Return what the page shows, by its attributes: state, class name, probability."""
    return page.evaluate("() => ({...document.getElementById('page').dataset})")
