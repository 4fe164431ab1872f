"""Charsets from texts."""

from collections import Counter

from visionkit.labels import Charset
from visionkit.text.charset import charset_of
from visionkit.text.normalise import normalised, right_to_left

COMPOSED, APART = "\u00e9", "e\u0301"


def test_the_same_whatever_the_order_and_the_form():
    assert charset_of(["bca", APART]) == charset_of([COMPOSED, "abc"]) == Charset(("a", "b", "c", COMPOSED))
    assert charset_of([COMPOSED], "NFD").characters == ("e", "\u0301")
    assert charset_of([]) == Charset(())


def test_rare_characters_can_be_left_out():
    assert charset_of(["aab", "a"], least=2).characters == ("a",)


def test_direction_of_writing():
    for text, expected in (("שלום 12, a", True), ("مرحبا", True), ("abc א", False), ("12, 3", False), ("", False)):
        assert right_to_left(Counter(text)) == expected
    assert charset_of(["שלום", "ab"]).right_to_left
    assert normalised("שלום abc") == "שלום abc"
