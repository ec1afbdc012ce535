"""The files of the drawing page, and errors of routing."""

from importlib.resources import files

from services import assert_error, raw_status


def test_the_page_and_its_files_are_served_and_nothing_else(service, client):
    folder = files("tinysight") / "page"
    assert client.get("/").content == (folder / "index.html").read_bytes()
    for file in folder.iterdir():
        assert client.get(f"/page/{file.name}").content == file.read_bytes()
    assert client.get("/page/page.js").headers["content-type"].startswith("text/javascript")
    secret = "src/tinysight/errors.py"
    for path in (
        "/page/", "/page/../index.html", "/page/..%2f__init__.py", "/page/%2e%2e/%2e%2e/errors.py", "/page//etc/passwd",
        "/page/..%5cerrors.py", f"/{secret}", "/page/page.js%00.css", "/page/page.js/", "/../../etc/passwd",
    ):  # fmt: skip
        answer = service.send_raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert raw_status(answer) in (400, 404), path


def test_unknown_paths_and_methods_get_an_error_that_helps(client):
    assert_error(client.get("/nothing"), 404, "/openapi.json")
    assert_error(client.get("/page/nothing.js"), 404, "the page has no such file")
    response = client.get("/predict")
    assert_error(response, 405, "GET", "POST")
    assert response.headers["allow"] == "POST"
