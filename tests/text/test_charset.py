"""Charsets from texts and files, and the characters that they lack."""

import json
from collections import Counter

import pytest

from visionkit.errors import DataError
from visionkit.text.charset import charset_of, printable_ascii, read_charset, unknown_characters
from visionkit.text.normalise import normalised, right_to_left
from visionkit.types import Charset

COMPOSED, APART = "\u00e9", "e\u0301"


def test_the_same_whatever_the_order_and_the_form():
    assert charset_of(["bca", APART]) == charset_of([COMPOSED, "abc"]) == Charset(("a", "b", "c", COMPOSED))
    assert charset_of([COMPOSED], "NFD").characters == ("e", "\u0301")
    assert charset_of([]) == Charset(())


def test_rare_characters_can_be_left_out():
    assert charset_of(["aab", "a"], least=2).characters == ("a",)


def test_printable_ascii():
    assert len(printable_ascii()) == 94
    assert sorted(printable_ascii(space=True).characters) == [chr(code) for code in range(32, 127)]


def test_direction_of_writing():
    for text, expected in (("שלום 12, a", True), ("مرحبا", True), ("abc א", False), ("12, 3", False), ("", False)):
        assert right_to_left(Counter(text)) == expected
    assert charset_of(["שלום", "ab"]).right_to_left
    assert normalised("שלום abc") == "שלום abc"


def test_from_a_file(tmp_path):
    path = tmp_path / "charset.txt"
    for content in (f"a\n \n{COMPOSED}\n\u2028\n", f"a\r\n \r\n{COMPOSED}\r\n\u2028"):
        path.write_text(content, encoding="utf-8", newline="")
        assert read_charset(path) == Charset(("a", " ", COMPOSED, "\u2028"))
    path = tmp_path / "charset.json"
    path.write_text(json.dumps(["ב", "ch"]))
    assert read_charset(path) == Charset(("ב", "ch"))


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("a.txt", "a\n\nb\n", "a.txt:2"),
        ("a.txt", f"a\n{APART}\n", "a.txt:2"),
        ("a.txt", "a\nb\na\n", "'a' (U+0061 LATIN SMALL LETTER A) occurs twice"),
        ("a.txt", "", "list"),
        ("a.json", '{"a": 1}', "list"),
        ("a.json", "[1]", "a.json:1"),
        ("a.json", "[", "JSON"),
    ],
)
def test_what_is_no_charset(tmp_path, name, content, place):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match="D110") as error:
        read_charset(tmp_path / name)
    assert place in str(error.value)
    (tmp_path / name).write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match="D110"):
        read_charset(tmp_path / name)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="D11]"):
        read_charset(tmp_path / "none.txt")


def test_every_unknown_character_is_reported():
    charset = Charset(("a", "b", COMPOSED, "ch"))
    lines = [("x.tsv", 1, "abba"), ("x.tsv", 2, f"a{APART}chz😀z"), ("y.txt", 0, "c")]
    found = list(unknown_characters(lines, charset))
    assert [(each.path, each.line, each.character, each.count) for each in found] == [
        ("x.tsv", 2, "z", 2),
        ("x.tsv", 2, "😀", 1),
        ("y.txt", 0, "c", 1),
    ]
    message = str(found[0].error())
    assert message.startswith("error[D111] x.tsv:2: the charset lacks 'z' (U+007A LATIN SMALL LETTER Z)")
    assert "2 times" in message
    assert str(found[2].error()).startswith("error[D111] y.txt: ")
