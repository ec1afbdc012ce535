"""A browser, a service that keeps the contract of the page, and strokes to draw; knows no test."""

import json
import shutil
import threading
from base64 import b64encode
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from urllib.parse import parse_qs, urlsplit

import pytest

from tinysight.errors import TinysightError

PAGE = files("tinysight") / "serving" / "page"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}

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


class Handler(BaseHTTPRequestHandler):
    """Serves the page and a classifier; what is posted stays in `server.bodies`."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = urlsplit(self.path).path
        if path == "/classifier":
            classifier = self.server.classifier
            return self.say_json(
                {
                    "class_names": list(classifier.class_names),
                    "framing": dict(classifier.metadata["framing"]),
                    "reject_below": classifier.reject_below,
                    "name": "digits",
                }
            )
        file = PAGE / ("index.html" if path == "/" else path.removeprefix("/page/"))
        return self.say(200, TYPES[file.name.rpartition(".")[2]], file.read_bytes())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.key and self.headers["Authorization"] != f"Bearer {self.server.key}":
            return self.say_json({"error": "a key is needed"}, 401)
        self.server.bodies.append(body)
        top = int(parse_qs(urlsplit(self.path).query)["top"][0])
        try:
            framed = self.server.classifier.frame(body)
            (prediction,) = self.server.classifier.predict_framed(["bytes"], [framed], top)
        except TinysightError as error:
            return self.say_json({"error": str(error)}, 422)
        answer = {
            "class_name": prediction.class_name,
            "probability": prediction.probability,
            "ranking": [{"class_name": name, "probability": share} for name, share in prediction.ranking],
            "is_rejected": prediction.is_rejected,
            "note": prediction.note,
            "pixels": b64encode(framed.pixels.tobytes()).decode(),
        }
        return self.say_json({"predictions": [answer]})

    def say_json(self, value, status=200):
        self.say(status, "application/json", json.dumps(value).encode())

    def say(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(classifier, key=""):
    """Serve a classifier and the page on a free port; gives the server, whose `url` is where."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.classifier, server.key, server.bodies = classifier, key, []
    server.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def chromium():
    """Start the system's browser; skips the test where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; see the extra dev")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium on this machine; install it with: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
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
        "() => { const d = document.getElementById('page').dataset; return d.answered === d.version }"
    )


def answered(page):
    """Return what the page says, by its attributes: state, class name, probability."""
    return page.evaluate("() => ({...document.getElementById('page').dataset})")
