import json

import pytest

from tinysight.escapes import printable, printable_json


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ä 漢字 👩‍👧", "ä 漢字 👩‍👧"),
        ("\x1b[31m\x07\n", "\\x1b[31m\\x07\\x0a"),
        ("\x7f\x9b\x85", "\\x7f\\x9b\\x85"),
        ("a\u202egnp.exe\u2066\u200f\u061c", "a\\u202egnp.exe\\u2066\\u200f\\u061c"),
        ("\udcff\ud800", "\\udcff\\ud800"),
        ("\u2028\u2029", "\\u2028\\u2029"),
    ],
)
def test_what_acts_on_a_terminal_is_escaped(text, expected):
    assert printable(text) == expected
    printable(text).encode()


def test_escaped_json_has_the_same_values():
    values = {"name": "\x1b\x9b\u202e\udcffä", "number": 0.5}
    text = printable_json(json.dumps(values, ensure_ascii=False))
    assert json.loads(text) == values
    assert "ä" in text
    assert not {"\x9b", "\u202e", "\udcff"} & {*text}
