"""Lines from the right against cases written by hand and against another implementation of the same standard."""

import random

import pytest

from visionkit.text.reading_order import as_spoken, from_right, order_as_spoken, order_from_right

SHALOM, DAY, SALAM = "\u05e9\u05dc\u05d5\u05dd", "\u05d9\u05d5\u05dd", "\u0633\u0644\u0627\u0645"
ONE, TWO, THREE = "\u0661", "\u0662", "\u0663"

BY_HAND = {
    "": "",
    SHALOM: SHALOM,
    f"{SHALOM} {DAY}.": f"{SHALOM} {DAY}.",
    f"{SHALOM} 2024 {DAY}": f"{SHALOM} 4202 {DAY}",
    f"{DAY} 12.5": f"{DAY} 5.21",
    f"{DAY} 10% {SHALOM}": f"{DAY} %01 {SHALOM}",
    f"{DAY} $12,000.": f"{DAY} 000,21$.",
    f"{DAY} 1, 2": f"{DAY} 1, 2",  # a sign and a space are no part of a number
    f"{DAY} 10..20": f"{DAY} 01..02",
    f"{DAY} 12-15": f"{DAY} 51-21",
    f"{SALAM} 12-15": f"{SALAM} 21-51",  # behind Arabic letters a hyphen parts two numbers
    f"{SALAM} {ONE}{TWO}.{THREE}": f"{SALAM} {THREE}.{TWO}{ONE}",
    f"{SHALOM} Anna Li 12 {DAY}": f"{SHALOM} 21 iL annA {DAY}",
    f"{SHALOM} Anna, {DAY} Li": f"{SHALOM} annA, {DAY} iL",
    f"{SHALOM}12abc": f"{SHALOM}cba21",
    f"{SHALOM}abc {ONE}{TWO}": f"{SHALOM}cba {TWO}{ONE}",  # Arabic digits stay apart from Latin letters
    "abc": "cba",
    "Anna Li": "iL annA",
    "2024": "4202",
    f"{SHALOM}\u05bc cafe\u0301": f"{SHALOM}\u05bc e\u0301fac",  # a mark stays behind its letter
    "\u0301": "\u0301",
    " ": " ",
}

BY_ANOTHER = {  # python-bidi 0.6.12, get_display(text, base_dir="R")[::-1], of random characters
    "c+1%-$+, \u05d0": "%1+c-$+, \u05d0",
    "\u0660/b,\u05d1\u062c\u06271\u0661!b2": "\u0660/b,\u05d1\u062c\u0627\u06611!2b",
    "\u0627 b\u05d0+a3c\u062c!": "\u0627 b\u05d0+c3a\u062c!",
    "\u05d0a/a\u062c!\u062cZ0a :": "\u05d0a/a\u062c!\u062ca0Z :",
    "a\u062c-a2Z\u05d013\u062c\u0628": "a\u062c-Z2a\u05d031\u062c\u0628",
    "\u05d20Z$. \u05d0.": "\u05d2Z0$. \u05d0.",
    "-0\u05d2Z1$Z\u0661-0\u062c": "-0\u05d2\u0661Z$1Z-0\u062c",
    "\u05d0 %312 $\u05d0": "\u05d0 213% $\u05d0",
    "/%1!Z\u05d13\u05d2a0 ": "/1%!Z\u05d13\u05d20a ",
    "1\u06280c- \u05d2Z:0": "1\u0628c0- \u05d20:Z",
    ".1$c\u0660,3\u0628\u05d1,\u05d1": ".\u0660c$1,3\u0628\u05d1,\u05d1",
    "\u06610$a\u0628+ \u0628,%3\u0627": "a$0\u0661\u0628+ \u0628,%3\u0627",
    "31\u0628\u05d1!3Z": "13\u0628\u05d1!Z3",
    "\u0660.!\u062c \u0660\u0661": "\u0660.!\u062c \u0661\u0660",
    "+0\u0661cZ\u06612\u0628\u06272$": "+2\u0661Zc\u06610\u0628\u06272$",
    "\u062c,\u0661!0\u062c\u05d2\u0661c ": "\u062c,\u0661!0\u062c\u05d2c\u0661 ",
}


@pytest.mark.parametrize(("text", "seen"), [*BY_HAND.items(), *BY_ANOTHER.items()], ids=ascii)
def test_runs_from_the_left_stand_from_behind(text, seen):
    assert from_right(text) == seen


@pytest.mark.parametrize(("text", "seen"), BY_HAND.items(), ids=ascii)
def test_what_is_seen_is_turned_back(text, seen):
    assert as_spoken(seen) == text


RIGHT, LEFT = [SHALOM, DAY, SALAM, f"{DAY}\u05bc"], ["a", "Anna", "Li-Mu", "x2"]
NUMBERS, ARABIC = ["1", "12", "2024", "12.5", "1,000", "7%"], [f"{ONE}{TWO}", f"{TWO}.{THREE}", f"{THREE}"]
MIXTURES = [
    {"right": RIGHT, "number": NUMBERS, "left": LEFT},
    {"right": RIGHT, "arabic": ARABIC, "left": LEFT},
    {"right": RIGHT, "number": NUMBERS, "arabic": ARABIC},
]


@pytest.mark.parametrize("kinds", MIXTURES, ids=" ".join)
def test_random_mixtures_come_back(kinds):
    """Words and numbers in any order, but for a number right before Latin letters: its picture has two texts."""
    chance, turned = random.Random(0), 0
    for _ in range(2000):
        words, last = [], "right"
        for _ in range(chance.randrange(7)):
            last = chance.choice([kind for kind in kinds if (last, kind) != ("number", "left")])
            words.append(chance.choice(kinds[last]))
        text = " ".join(words)
        seen = from_right(text)
        turned += seen != text
        assert sorted(seen) == sorted(text)
        assert as_spoken(seen) == text
    assert turned > 1000


def test_of_two_texts_with_one_picture_the_number_follows():
    assert from_right("12 abc") == from_right("abc 12") == "21 cba"
    assert as_spoken("21 cba") == "abc 12"


def test_clusters_are_moved_whole():
    tokens = [SHALOM[0] + "\u05bc", "1", "2", "e\u0301", "a"]
    assert order_from_right(tokens) == [0, 4, 3, 2, 1]
    assert order_as_spoken([tokens[place] for place in order_from_right(tokens)]) == [0, 4, 3, 2, 1]
