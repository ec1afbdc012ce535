import gzip
import http.server
import threading
from dataclasses import replace
from functools import partial
from hashlib import sha256

import pytest

from tinysight.data import downloads
from tinysight.data.downloads import check_content, find_named_set
from tinysight.data.named_sets import NAMED_SETS
from tinysight.errors import DataError, DownloadError

CONTENT = bytes(range(256)) * 4000
FILES = {"train-images-idx3-ubyte.gz": CONTENT, "train-labels-idx1-ubyte.gz": CONTENT[::-1]}


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; below /truncated/ it announces more than it sends, /elsewhere/ redirects to FTP."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path.startswith("/elsewhere/"):
            self.send_response(302)
            self.send_header("Location", "ftp://127.0.0.1:9/file")
            self.end_headers()
            return
        if not self.path.startswith("/truncated/"):
            super().do_GET()
            return
        data = gzip.compress(CONTENT)
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2])


@pytest.fixture
def host(tmp_path):
    """A local host with a good folder and one whose files hold something else."""
    for folder, changed in (("good", b""), ("wrong", b"!")):
        (tmp_path / "www" / folder).mkdir(parents=True)
        for name, content in FILES.items():
            (tmp_path / "www" / folder / name).write_bytes(gzip.compress(content + changed))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=tmp_path / "www"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def hosts(monkeypatch, tmp_path):
    """Make the set ``mnist`` one of two small files, at hosts of one's choice, with nothing cached."""
    monkeypatch.delenv("TINYSIGHT_DATA")
    monkeypatch.setenv("TINYSIGHT_CACHE", str(tmp_path / "cache"))

    def use(*addresses):
        hashes = {name: sha256(content).hexdigest() for name, content in FILES.items()}
        monkeypatch.setitem(NAMED_SETS, "mnist", replace(NAMED_SETS["mnist"], hosts=addresses, files=hashes))
        return tmp_path / "cache" / "downloads" / "mnist"

    return use


def left_behind(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_files_are_fetched_once_and_reported(hosts, host, monkeypatch):
    folder = hosts(host + "good/")
    reports = []
    found = find_named_set("mnist", lambda *report: reports.append(report))
    assert {name: gzip.decompress(path.read_bytes()) for name, path in found.items()} == FILES
    assert reports[-1][1] == reports[-1][2] > 0
    assert left_behind(folder) == sorted(FILES)
    monkeypatch.setattr(downloads, "_fetch", None)
    assert find_named_set("mnist") == found


@pytest.mark.parametrize(("bad", "reason"), [("truncated/", "connection|truncated|Incomplete"), ("wrong/", "hash")])
def test_a_bad_file_is_refused_and_removed(hosts, host, bad, reason):
    folder = hosts(host + bad)
    with pytest.raises(DownloadError, match=reason) as caught:
        find_named_set("mnist")
    assert host + bad in str(caught.value)
    assert "digits" in str(caught.value)
    assert left_behind(folder) == []


@pytest.mark.parametrize("first", ["http://127.0.0.1:9/", "truncated/", "wrong/", "missing/"])
def test_the_next_host_is_tried(hosts, host, first):
    folder = hosts(first if first.startswith("http") else host + first, host + "good/")
    find_named_set("mnist")
    assert left_behind(folder) == sorted(FILES)


def test_without_any_host_the_message_says_what_was_tried(hosts):
    folder = hosts("http://127.0.0.1:9/a/", "http://127.0.0.1:9/b/")
    with pytest.raises(DownloadError) as caught:
        find_named_set("mnist")
    for expected in ("127.0.0.1:9/a/", "127.0.0.1:9/b/", "$TINYSIGHT_DATA/mnist/", "'digits'"):
        assert expected in str(caught.value)
    assert left_behind(folder) == []


def test_more_than_expected_is_not_read(hosts, host, monkeypatch):
    monkeypatch.setattr(downloads, "MAX_DOWNLOAD_BYTES", 100)
    hosts(host + "good/")
    with pytest.raises(DownloadError, match="larger than expected"):
        find_named_set("mnist")


def test_the_data_folder_comes_before_the_hosts(hosts, tmp_path, monkeypatch):
    hosts("http://127.0.0.1:9/")
    (tmp_path / "data" / "mnist").mkdir(parents=True)
    for name, content in FILES.items():
        (tmp_path / "data" / "mnist" / name.removesuffix(".gz")).write_bytes(content)
    monkeypatch.setenv("TINYSIGHT_DATA", str(tmp_path / "data"))
    assert all(path.parent == tmp_path / "data" / "mnist" for path in find_named_set("mnist").values())


def test_content_is_checked(tmp_path):
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(b"right"))
    check_content(path, sha256(b"right").hexdigest())
    with pytest.raises(DataError, match="hash"):
        check_content(path, sha256(b"wrong").hexdigest())
    path.write_bytes(gzip.compress(b"right" * 1000)[:-9])
    with pytest.raises(DataError, match="truncated"):
        check_content(path, sha256(b"right").hexdigest())


@pytest.mark.parametrize("name", NAMED_SETS)
def test_the_pinned_hashes_are_those_of_the_published_files(data_folder, name):
    for file, expected in NAMED_SETS[name].files.items():
        check_content(data_folder / name / file, expected)


def test_a_redirect_away_from_the_web_is_not_followed(host, hosts):
    hosts(f"{host}elsewhere/")
    with pytest.raises(DownloadError, match="unknown url type"):
        find_named_set("mnist")


def test_a_download_has_a_time_limit(host, hosts, monkeypatch):
    monkeypatch.setattr(downloads, "MAX_SECONDS", -1.0)
    hosts(f"{host}good/")
    with pytest.raises(DownloadError, match="took longer"):
        find_named_set("mnist")
