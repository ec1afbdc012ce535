"""Requests per second of ``tinysight serve`` and of a bare FastAPI route that only reads the body.

``wrk`` loads both in turn. The long benchmark measures the service's memory over half a million requests.
"""

import gzip
import io
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

CONNECTIONS = 64
SECONDS = 8
NUM_PICTURES = 1_000
LONG_REQUESTS = 500_000
BARE = """
import sys
import uvicorn
from fastapi import FastAPI, Request

app = FastAPI()

@app.post("/predict")
async def read(request: Request) -> dict[str, int]:
    return {"bytes": len(await request.body())}

port = int(sys.argv[1])
uvicorn.run(app, port=port, loop="uvloop", http="httptools", ws="none", log_level="critical", access_log=False)
"""
CYCLE = """
local number = 0
local requests = {}
init = function()
  local headers = {["Content-Type"] = "image/png"}
  for i, body in ipairs(bodies) do requests[i] = wrk.format("POST", "/predict", headers, body) end
end
request = function()
  number = number % #requests + 1
  return requests[number]
end
done = function(summary, latency)
  local failed = summary.errors
  local lost = failed.connect + failed.read + failed.write + failed.timeout
  print(string.format("FOUND %d %d %d %d %d", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), failed.status + lost))
end
"""


def measure(num_runs: int) -> dict:
    """Load the bare route and the service in turn; return the figures of all runs and their ratios."""
    runs: dict[str, list[dict]] = {"bare": [], "service": []}
    with tempfile.TemporaryDirectory() as folder, _bare() as bare, _service() as (service, _):
        script = _write_script(Path(folder))
        addresses = {"bare": bare, "service": service}
        for address in addresses.values():
            _load(address, script, 2)
        for _ in range(num_runs):
            for name, address in addresses.items():
                runs[name].append(_load(address, script, SECONDS))
            print({name: round(found[-1]["per_second"]) for name, found in runs.items()}, flush=True)
    ratios = [own["per_second"] / bare["per_second"] for own, bare in zip(runs["service"], runs["bare"], strict=True)]
    print(f"ratio {statistics.median(ratios):.2f}", flush=True)
    return {"connections": CONNECTIONS, "seconds": SECONDS, "runs": runs, "ratios": ratios}


def measure_memory() -> dict:
    """Measure the resident memory of the service and its worker over many requests."""
    rows, done, errors = [], 0, 0
    with tempfile.TemporaryDirectory() as folder, _service() as (address, pid):
        script = _write_script(Path(folder))
        while done < LONG_REQUESTS:
            found = _load(address, script, SECONDS)
            done += found["requests"]
            errors += found["errors"]
            rows.append([done, _resident_mib(pid)])
            print(f"{done:,} requests, {rows[-1][1]:.1f} MiB", flush=True)
    return {"connections": CONNECTIONS, "rows": rows, "errors": errors}


def _load(address: str, script: Path, seconds: int) -> dict:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), f"{address}/predict"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    requests, micros, median, p99, errors = map(int, re.search(r"FOUND (.*)", output).group(1).split())
    return {
        "requests": requests,
        "per_second": requests / (micros / 1e6),
        "median_ms": median / 1000,
        "p99_ms": p99 / 1000,
        "errors": errors,
    }


def _write_script(folder: Path) -> Path:
    """Write the Lua script for ``wrk``, which posts MNIST's test images as PNG, one after the other."""
    if shutil.which("wrk") is None:
        raise SystemExit("the program wrk is not installed; on Debian: apt-get install wrk")
    packed = (Path(os.environ["TINYSIGHT_DATA"]) / "mnist" / "t10k-images-idx3-ubyte.gz").read_bytes()
    images = np.frombuffer(gzip.decompress(packed), np.uint8, offset=16).reshape(-1, 28, 28)[:NUM_PICTURES]
    bodies = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        bodies.append('"' + "".join(f"\\{byte:03d}" for byte in file.getvalue()) + '"')
    script = folder / "pictures.lua"
    script.write_text(f"local bodies = {{{', '.join(bodies)}}}\n{CYCLE}")
    return script


@contextmanager
def _service():
    """Start the service as its users do, with its access log on and discarded."""
    command = [sys.executable, "-m", "tinysight", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield re.search(r"http://[\d.:]+", process.stdout.readline()).group(), process.pid
        finally:
            process.terminate()


@contextmanager
def _bare(port: int = 8765):
    with subprocess.Popen([sys.executable, "-c", BARE, str(port)]) as process:
        try:
            time.sleep(3)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _resident_mib(pid: int) -> float:
    """Return the resident memory of the service and its worker process."""
    pids = [pid, *Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    texts = [Path(f"/proc/{one}/status").read_text() for one in pids]
    return sum(int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) for text in texts) / 1024
