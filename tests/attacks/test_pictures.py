"""Attacks by pictures: each is decoded or refused by name, with bounded time and memory."""

import json
import subprocess
import sys

import pytest
from picture_bombs import picture_bombs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="a process's largest memory is read from /proc"),
]

MAX_MIB, MAX_SECONDS = 1_000, 20  # of a process and of its processor; 700 MiB and 4 s are usual
# Reads the pictures in a folder, each in a process of its own; prints what each needed
READ_EACH = """
import json, os, resource, sys
from pathlib import Path
from tinysight.errors import PictureError
from tinysight.preprocessing.decode import read_picture
from tinysight.preprocessing.framing import Framing, frame_picture

for path in sorted(Path(sys.argv[1]).iterdir()):
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        answer = ""
        try:
            picture = read_picture(path)
            for method in ("whole", "ink"):
                frame_picture(picture, Framing(method))
        except PictureError as error:
            answer = str(error)
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    answer = os.read(reader, 10_000).decode()
    os.close(reader)
    _, status, usage = os.wait4(pid, 0)
    seconds = usage.ru_utime + usage.ru_stime
    print(json.dumps([path.name, status, answer, usage.ru_maxrss / 1024, seconds]), flush=True)
"""


def test_pictures_that_unpack_to_much_need_bounded_time_and_memory(tmp_path):
    names = []
    for number, (name, content) in enumerate(picture_bombs()):
        (tmp_path / f"{number:02d}").write_bytes(content)
        names.append(name)
    command = [sys.executable, "-c", READ_EACH, str(tmp_path)]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(found) == len(names)
    for (file, status, answer, mebibytes, seconds), name in zip(found, names, strict=True):
        assert status == 0, name
        assert not answer or answer.startswith(f"{tmp_path / file}: "), (name, answer)
        assert mebibytes < MAX_MIB, (name, mebibytes)
        assert seconds < MAX_SECONDS, (name, seconds)
