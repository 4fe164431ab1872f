"""Tokenizers: every text comes back, and nothing gets lost on the way."""

import json
from pathlib import Path

import pytest
from tokenizers.pre_tokenizers import ByteLevel

from visionkit.bundle.labels import labels_from_json, labels_to_json
from visionkit.errors import ConfigError, DataError
from visionkit.labels import BytePairs, Charset, WordList
from visionkit.text.bpe import BytePairTokenizer, byte_pairs_of
from visionkit.text.charset import charset_of
from visionkit.text.subwords import LETTERS, Subwords, SubwordTokenizer
from visionkit.text.tokenizers import ByteTokenizer, CharacterTokenizer, WordTokenizer

TEXTS = [
    "",
    " ",
    "low lower lowest",
    "new  newer\nnewest ",
    "caf\u00e9 na\u00efve",
    "שלום עולם",
    "😀👍🏽",
    "zz\tzz",
    "a",
]
PAIRS = byte_pairs_of(TEXTS, 48)
SUBWORDS = Charset((), merges=Subwords(300).merges(TEXTS))
MADE = {
    "characters": lambda: CharacterTokenizer(charset_of(TEXTS)),
    "bytes": lambda: ByteTokenizer(),
    "pairs": lambda: BytePairTokenizer(PAIRS),
    "subwords": lambda: SubwordTokenizer(SUBWORDS),
    "words": lambda: WordTokenizer(WordList((*charset_of(TEXTS).characters, "low", "new", "est"), "")),
}


@pytest.mark.parametrize("kind", MADE)
def test_there_and_back(kind):
    tokenizer = MADE[kind]()
    for text in TEXTS:
        ids = tokenizer.encode(text)
        assert all(0 < number < tokenizer.size for number in ids)
        assert tokenizer.decode(ids) == text
        assert tokenizer.decode([tokenizer.start, *ids, tokenizer.end, -1]) == text
        assert tokenizer.decode([number for token in ids for number in (tokenizer.blank, token)]) == text
    assert tokenizer.encode("cafe\u0301") == tokenizer.encode("caf\u00e9")


def test_ids_are_the_places_in_the_list():
    tokenizer = CharacterTokenizer(Charset(tuple("abc")))
    assert tokenizer.size == 4
    assert tokenizer.encode("cab") == [3, 1, 2]
    assert ByteTokenizer().encode("a\u00e9") == [98, 0xC3 + 1, 0xA9 + 1]


def test_clusters_and_words_take_the_longest():
    tokenizer = CharacterTokenizer(Charset(("s", "c", "h", "sch", "ch", ".")))
    assert tokenizer.encode("schch.sc") == [4, 5, 6, 1, 2]
    formulas = WordTokenizer(WordList(("\\frac", "{", "}", "x", "2")))
    assert formulas.encode("\\frac { x }  { 2 }") == [1, 2, 4, 3, 2, 5, 3]
    assert formulas.decode([1, 2, 4, 3, 2, 5, 3]) == "\\frac { x } { 2 }"
    assert formulas.encode_tokens(["x", "2"]) == [4, 5]
    assert formulas.decode_tokens([4, 0, 5]) == ["x", "2"]


@pytest.mark.parametrize("kind", ["characters", "pairs", "words"])
def test_what_is_not_known_is_an_error_or_a_token(kind):
    with pytest.raises(DataError, match="D112") as error:
        MADE[kind]().encode("lowQ")
    assert "'Q' (U+0051 LATIN CAPITAL LETTER Q)" in str(error.value)
    charset = charset_of(TEXTS)
    tolerant = {
        "characters": CharacterTokenizer(charset, unknown=True),
        "pairs": BytePairTokenizer(PAIRS, unknown=True),
        "words": WordTokenizer(WordList(charset.characters, ""), unknown=True),
    }[kind]
    assert tolerant.decode(tolerant.encode("lowQ low")) == "low\ufffd low"
    assert tolerant.encode_known("lowQ low") == tolerant.encode("lowQ low")
    assert MADE[kind]().decode(MADE[kind]().encode_known("lowQ low")) == "low low"
    assert tolerant.size == MADE[kind]().size + 1 - 3 * (kind == "words")


def test_bytes_know_everything_but_half_a_pair():
    assert ByteTokenizer().decode([256, 98]) == "\ufffda"
    for tokenizer in (ByteTokenizer(), SubwordTokenizer(SUBWORDS)):
        assert tokenizer.decode(tokenizer.encode("\u0628\u0650")) == "\u0628\u0650"
        with pytest.raises(DataError, match="D112"):
            tokenizer.encode("\ud800")
        assert tokenizer.encode_known("a\ud800b") == tokenizer.encode("ab")


def test_known_words_stay_whole_where_others_are_left_out():
    formulas = WordTokenizer(WordList(("\\frac", "{", "}", "x")))
    assert formulas.encode_known("\\frac { x } { \\sqrt }") == [1, 2, 4, 3, 2, 3]


def test_pairs_are_those_of_a_hand_made_case():
    pairs = byte_pairs_of(["aab aab aab", "aab"], 6)
    assert pairs.characters == (" ", "a", "b")
    assert pairs.merges == (("a", "a"), ("aa", "b"), (" ", "aab"))
    assert BytePairTokenizer(pairs).split("aab ab") == ["aab", " ", "a", "b"]
    with pytest.raises(ConfigError, match="C178"):
        byte_pairs_of(["abcd"], 3)


def test_labels_are_plain_json():
    labels = {"text": PAIRS, "formula": WordList(("x", "y")), "line": charset_of(TEXTS)}
    plain = json.loads(json.dumps(labels_to_json(labels)))
    again = labels_from_json(plain, Path("bundle.json"))
    assert again == labels
    assert isinstance(again["text"], BytePairs)
    assert BytePairTokenizer(again["text"]).encode("lowest") == BytePairTokenizer(PAIRS).encode("lowest")


def test_subwords_are_those_of_a_hand_made_case():
    merges = Subwords(259).merges(["aab aab aab", "aab"])
    space = LETTERS[ord(" ")]
    assert merges == (("a", "a"), ("aa", "b"), (space, "aab"))
    tokenizer = SubwordTokenizer(Charset((), merges=merges))
    assert tokenizer.size == 1 + 256 + 3
    assert [tokenizer.decode([number]) for number in tokenizer.encode("aab aab ab")] == ["aab", " aab", " ", "a", "b"]
    assert SubwordTokenizer(Charset(())).encode("\u00e9") == SubwordTokenizer(Charset(())).encode("e\u0301")
    letters = "".join(tokenizer.tokens[number - 1] for number in tokenizer.encode("\u00e9"))
    assert letters == "".join(LETTERS[byte] for byte in "\u00e9".encode())


def test_letters_of_bytes_are_those_of_the_library():
    assert set(LETTERS.values()) == set(ByteLevel.alphabet())
    text = "".join(map(chr, range(0x20, 0x250)))
    written = "".join(piece for piece, _ in ByteLevel(False, use_regex=False).pre_tokenize_str(text))
    assert written == "".join(LETTERS[byte] for byte in text.encode())


def test_subwords_come_from_files_and_travel_in_bundles(tmp_path):
    plain = labels_to_json({"text": SUBWORDS})
    assert labels_from_json(json.loads(json.dumps(plain)), Path("bundle.json"))["text"] == SUBWORDS
    rows = [f"{first} {second}" for first, second in SUBWORDS.merges]
    files = {
        "merges.txt": "#version: 0.2\n" + "\n".join(rows) + "\n",
        "tokenizer.json": json.dumps({"model": {"type": "BPE", "merges": rows}}),
        "newer.json": json.dumps({"model": {"type": "BPE", "merges": SUBWORDS.merges}}),
        "bundle.json": json.dumps({"labels": plain}),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert Subwords(file=tmp_path / name).merges([]) == SUBWORDS.merges


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.txt", "x y z"), ("a.txt", "xx y"), ("a.json", "[]"), ("a.json", "{"), ("a.json", '{"labels": {"text": {}}}')],
)
def test_files_that_hold_no_subwords_are_named(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=f"C181.*{name}"):
        Subwords(file=tmp_path / name).merges([])
    with pytest.raises(ConfigError, match="C181"):
        Subwords(file=tmp_path / "absent.txt").merges([])
    with pytest.raises(ConfigError, match="C179"):
        Subwords(size=255)
