"""Starts `tinysight serve` as a process, and talks to it over HTTP or raw sockets."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx


class RunningService:
    """A service in a process of its own, with its `port`, `url` and `pid`."""

    def __init__(self, process, announced, log):
        self.process, self.announced, self.log = process, announced, log
        self.pid = process.pid
        self.port = int(re.search(r":(\d+)/", announced).group(1))
        self.url = f"http://127.0.0.1:{self.port}"

    def client(self, **options):
        return httpx.Client(base_url=self.url, timeout=60, **options)

    def log_lines(self):
        """Return what the service has logged so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def children(self):
        """Return the ids of the processes that it has started, from any thread."""
        lists = [path.read_text().split() for path in Path(f"/proc/{self.pid}/task").glob("*/children")]
        return [pid for pids in lists for pid in pids]

    def resident_mib(self):
        """Return the memory of the service and its worker process."""
        texts = [Path(f"/proc/{pid}/status").read_text() for pid in (self.pid, *self.children())]
        return sum(int(re.search(r"VmRSS:\s+(\d+) kB", text).group(1)) for text in texts) / 1024

    def stop(self, number=signal.SIGTERM):
        """Send a signal; return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(60)

    def send_raw(self, data, timeout=20, end=True):
        """Send bytes over a new connection; return all that is answered until it is closed or silent."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            answer = b""
            with suppress(OSError):  # it may have answered with an error and closed before all was sent
                connection.sendall(data)
                if end:
                    connection.shutdown(socket.SHUT_WR)
            with suppress(ConnectionError, TimeoutError):
                while piece := connection.recv(65_536):
                    answer += piece
            return answer


@contextmanager
def running(tmp_path, *options, **environment):
    """Start ``tinysight serve`` on a free port."""
    log = tmp_path / "service.log"
    command = [sys.executable, "-m", "tinysight", "serve", "--port", "0", *map(str, options)]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, **environment}
        ) as process,
    ):
        announced = process.stdout.readline()
        assert announced, log.read_text()
        service = RunningService(process, announced, log)
        try:
            yield service
        finally:
            if process.poll() is None:
                process.kill()


def raw_status(answer):
    """Return the HTTP status of a raw answer, 0 if there is none."""
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(found.group(1)) if found else 0


def assert_error(response, status, *words):
    """Check that a response is an error of the service: its status, and JSON with one line that holds these words."""
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}
    assert "\n" not in response.json()["error"]
    for word in words:
        assert word in response.json()["error"]
    assert response.headers["content-type"] == "application/json"
