import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from visionkit.datasets.collate import collate
from visionkit.datasets.unbatch import prediction_of, sample_of
from visionkit.decoders.attention_lstm import AttentionLSTM
from visionkit.decoders.autoregressive import TransformerDecoder
from visionkit.decoders.ctc import CTC
from visionkit.decoders.line_map import LineMap
from visionkit.decoders.recurrent_ctc import Shortcut
from visionkit.decoders.svtrv2_semantic import SemanticGuidance
from visionkit.errors import ConfigError, DataError
from visionkit.generation.beam import beam
from visionkit.generation.ctc import ctc_greedy
from visionkit.generation.ctc_beam import ctc_language_beam
from visionkit.generation.greedy import greedy
from visionkit.generation.joint_ctc import joint, joint_language
from visionkit.labels import Charset
from visionkit.losses.ctc import ctc_loss
from visionkit.network import Network, explained
from visionkit.tasks.column_reader import ColumnReader
from visionkit.tasks.handwriting import TextRecognition
from visionkit.tasks.token_reader import TokenReader
from visionkit.text.batches import from_code_points
from visionkit.text.character_ngrams import CharacterNGrams
from visionkit.text.tokenizers import ByteTokenizer
from visionkit.types import Monitor

LATIN = Charset(tuple(" abc\U0001f600"))
NGRAMS = CharacterNGrams(3).counts(["abc"] * 5)
COLUMNS = partial(ColumnReader, decoder=CTC, search=ctc_greedy)
GUIDED = partial(COLUMNS, guidance=SemanticGuidance)
WRITERS = {
    "attention": partial(AttentionLSTM, width=8, keys=4, dropout=0.0),
    "transformer": partial(TransformerDecoder, width=8, depth=1, heads=2, dropout=0.0),
}
TOKENS = {
    name: partial(TokenReader, decoder=decoder, search=partial(greedy, max_length=6))
    for name, decoder in WRITERS.items()
}
TOKENS["guided transformer"] = partial(TOKENS["transformer"], guidance=Shortcut)
TOKENS["joint"] = partial(TOKENS["guided transformer"], search=partial(joint, max_length=6))
READERS = {"columns": COLUMNS, "guided": GUIDED, **TOKENS}


class TinyEncoder(nn.Module):
    """One map, stride 4, each cell from its own pixels alone."""

    channels, strides, in_chans, spatial_dims = (6,), (4,), 1, 2

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(1, 6, 4, stride=4)

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        return [self.patch(image).tanh()]


def make(reader=COLUMNS, labels: Charset | None = LATIN, **options) -> Network:
    torch.manual_seed(0)
    task = partial(TextRecognition, reader=reader, line_map=LineMap, **options)
    return Network(TinyEncoder(), {"handwriting": task}, {"text": labels})


def sample(width: int, text: str, height: int = 8) -> dict:
    random = torch.Generator().manual_seed(width)
    image = torch.randint(256, (1, height, width), generator=random, dtype=torch.uint8)
    return {"key": f"{text}{width}", "image": image, "text": text}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("size", [(1, 1), (8, 3), (1, 90), (31, 17)], ids=str)
@pytest.mark.parametrize("text", ["", "ab c", "\U0001f600", "aaaaaaaaaaaa"])
def test_every_size_and_text_is_defined(reader, size: tuple[int, int], text: str) -> None:
    network = make(reader).train()
    batch = collate([sample(size[1], text, size[0]), sample(5, "b")])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        terms = network.loss(batch)["handwriting"]
    assert all(torch.isfinite(term) for term in terms.values())
    sum(terms.values()).backward()
    task, prediction = network.eval().named_tasks["handwriting"], network.predict(batch)["handwriting"]
    task.update(prediction, batch)
    assert all(np.isfinite(float(value)) for value in task.metrics.compute().values())
    assert len(task.scores(prediction, batch)) == 2
    assert task.draw(sample_of(batch, 0), prediction_of(prediction, batch, 0)).shape[2] == 3


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@torch.no_grad()
def test_padding_changes_nothing(reader) -> None:
    network = make(reader).eval()
    batch = collate([sample(61, "abc"), sample(21, "ba")])
    together = network.predict(batch)["handwriting"]
    batch["image"][1, :, :, 21:24] = batch["image"][1, :, :, 20:21]
    batch["image"][1, :, :, 24:] = 255 - batch["image"][1, :, :, 24:]
    assert torch.equal(network.predict(batch)["handwriting"]["text"], together["text"])
    alone = network.predict(collate([sample(21, "ba")]))["handwriting"]
    count = alone["text"].shape[1]
    assert torch.equal(together["text"][1, :count], alone["text"][0])
    assert (together["text"][1, count:] == -1).all()
    torch.testing.assert_close(together["text_confidence"][1], alone["text_confidence"][0])


def test_a_line_is_read_from_its_columns() -> None:
    network = make()
    task = network.named_tasks["handwriting"]
    columns = [2, 2, 0, 2, 3, 3, 1]
    logits = torch.full((1, len(columns), 6), -9.0)
    logits[0, range(len(columns)), columns] = 9.0
    batch = {"key": ["x"], "image": torch.zeros(1, 1, 8, 28), "text": ["aab "]}
    prediction = task.decide(logits, batch)
    assert from_code_points(prediction["text"]) == ["aab "]
    assert task.scores(prediction, batch) == [0]
    assert task.scores(prediction, {**batch, "text": ["ab"]}) == [-1.0]
    assert prediction["token_confidence"].shape == (1, 4)
    assert float(prediction["text_confidence"][0]) > 0.99


def test_scripts_from_the_right_are_read_from_the_right() -> None:
    network = make(labels=Charset(("\u05d0", "\u05d1"), right_to_left=True))
    task = network.named_tasks["handwriting"]
    logits = torch.full((2, 4, 3), -9.0)
    logits[0, range(4), [1, 0, 0, 2]] = 9.0
    logits[1, range(4), [1, 2, 1, 1]] = 9.0  # the last two columns are padding
    valid = torch.ones(2, 8, 16, dtype=torch.bool)
    valid[1, :, 8:] = False
    batch = {"key": ["x", "y"], "image": torch.zeros(2, 1, 8, 16), "valid": valid}
    assert from_code_points(task.decide(logits, batch)["text"]) == ["\u05d1\u05d0", "\u05d1\u05d0"]


@pytest.mark.parametrize("reader", [COLUMNS, TOKENS["joint"]], ids=["columns", "joint"])
def test_a_text_too_long_for_its_line_is_named_once_and_counted(reader) -> None:
    network = make(reader)
    batch = collate([sample(12, "abcabc"), sample(40, "ab")])
    with pytest.warns(UserWarning, match="abcabc12: its text needs 6 columns and has 3"):
        network.loss(batch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network.loss(batch)
    task = network.eval().named_tasks["handwriting"]
    task.update(network.predict(batch)["handwriting"], batch)
    assert int(task.metrics.compute()["unalignable"]) == 1


def test_a_character_without_an_id_stops_training_and_counts_as_an_error_in_evaluation() -> None:
    network = make()
    batch = collate([sample(40, "a\u00df")])
    with pytest.raises(DataError, match="D112"):
        network.train().loss(batch)
    assert torch.isfinite(network.eval().loss(batch)["handwriting"]["ctc"])
    task = network.named_tasks["handwriting"]
    read = {"text": torch.tensor([[ord("a")]])}
    task.update(read, batch)
    assert float(task.metrics.compute()["cer"]) == 0.5


@pytest.mark.parametrize("search", [greedy, partial(beam, width=3)])
def test_procedures_of_tokens_and_tokenizers_can_be_exchanged(search) -> None:
    reader = partial(TokenReader, decoder=WRITERS["transformer"], search=partial(search, max_length=4))
    network = make(reader, tokenizer=ByteTokenizer).eval()
    assert network.named_tasks["handwriting"].reader.decoder.vocabulary == 257
    network.predict(collate([sample(40, "ab")]))


@pytest.mark.parametrize(
    ("reader", "search"), [(COLUMNS, beam), (TOKENS["transformer"], ctc_greedy)], ids=["columns", "tokens"]
)
def test_a_search_of_the_other_kind_is_refused(reader, search) -> None:
    with pytest.raises(ConfigError, match="C182"):
        make(partial(reader, search=partial(search)))


@pytest.mark.parametrize("right_to_left", [False, True])
def test_joint_decoding_asks_the_guidance_of_the_columns(right_to_left: bool) -> None:
    labels = Charset(tuple(" abc"), right_to_left=right_to_left)
    reader = partial(TOKENS["transformer"], guidance=Shortcut, search=partial(joint, weight=1.0, search=greedy))
    own = make(reader, labels).eval().named_tasks["handwriting"].reader
    said = torch.full((2, 6, 5), -9.0)
    for row, seen in enumerate([[2, 0, 3, 0, 0, 0], [4, 0, 0, 2, 1, 1]]):
        said[row, torch.arange(6), torch.tensor(seen)] = 9.0
    own.guidance.logits = lambda line, valid: said
    valid = torch.ones(2, 4, 24, dtype=torch.bool)
    valid[1, :, 16:] = False  # its last two columns are padding
    read = own.decide(torch.zeros(2, own.decoder.enter.in_features, 1, 6), valid).rows()
    assert read == ([[3, 2], [2, 4]] if right_to_left else [[2, 3], [4, 2]])


def test_joint_decoding_without_guidance_is_refused() -> None:
    for guidance in (None, SemanticGuidance):
        with pytest.raises(ConfigError, match=r"C232.*generation=beam"):
            make(partial(TOKENS["transformer"], guidance=guidance, search=joint))


def test_joint_decoding_can_ask_a_language_too() -> None:
    reader = partial(TOKENS["guided transformer"], search=partial(joint_language, weight=1.0, model_weight=2.0))
    own = make(reader, replace(LATIN, ngrams=NGRAMS)).eval().named_tasks["handwriting"].reader
    said = torch.full((1, 3, own.tokenizer.size), -9.0)
    a, b, c = own.tokenizer.encode("abc")
    said[0, 0, a] = said[0, 2, c] = 9.0
    said[0, 1, b], said[0, 1, 0] = 0.0, 0.1  # "ac" is seen a little better than "abc", which the language knows
    own.guidance.logits = lambda line, valid: said
    decoded = own.decide(torch.zeros(1, own.decoder.enter.in_features, 1, 3), torch.ones(1, 4, 12, dtype=torch.bool))
    assert own.tokenizer.decode(decoded.rows()[0]) == "abc"


def test_a_search_by_language_asks_for_ngrams_and_uses_them() -> None:
    reader = partial(COLUMNS, search=ctc_language_beam)
    with pytest.raises(ConfigError, match=r"C198.*ngrams=training"):
        make(reader)
    with pytest.raises(ConfigError, match=r"C198.*ByteTokenizer.*generation=ctc_greedy"):
        make(reader, labels=replace(LATIN, ngrams=NGRAMS), tokenizer=ByteTokenizer)
    with pytest.raises(ConfigError, match=r"C198.*generation=joint"):
        make(partial(TOKENS["guided transformer"], search=joint_language))
    network = make(reader, labels=replace(LATIN, ngrams=NGRAMS)).eval()
    task = network.named_tasks["handwriting"]
    logits = torch.full((1, 3, task.tokenizer.size), -9.0)
    a, b, c = task.tokenizer.encode("abc")
    logits[0, 0, a] = logits[0, 2, c] = 9.0
    logits[0, 1, b], logits[0, 1, c] = 0.0, 0.1  # "acc" is seen a little better than "abc", which the language knows
    decoded = task.reader.decide(logits, torch.ones(1, 8, 12, dtype=torch.bool))
    assert task.tokenizer.decode(decoded.rows()[0]) == "abc"
    plain = make().named_tasks["handwriting"].reader.decide(logits, torch.ones(1, 8, 12, dtype=torch.bool))
    assert task.tokenizer.decode(plain.rows()[0]) == "ac"


def written(text: str) -> dict:
    """Each letter a bar at a height of its own, then a dark gap."""
    image = torch.zeros(1, 8, 12 * len(text) + 1, dtype=torch.uint8)
    for place, letter in enumerate(text):
        image[:, "abc".index(letter) :: 4, 12 * place : 12 * place + 8] = 255
    return {"key": text, "image": image, "text": text}


@pytest.mark.parametrize("reader", [COLUMNS, TOKENS["transformer"], TOKENS["attention"]])
def test_what_is_written_is_learnt(reader) -> None:
    network = make(reader).train()
    batch = collate([written(text) for text in ["abc", "cab", "bb", "", "acca", "b"]])
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(180):
        optimizer.zero_grad()
        sum(network.loss(batch)["handwriting"].values()).backward()
        optimizer.step()
    read = from_code_points(network.eval().predict(batch)["handwriting"]["text"])
    assert read == batch["text"]


@pytest.mark.parametrize("reader", [TOKENS["transformer"], TOKENS["attention"]])
@pytest.mark.parametrize("stride", [None, 8, 2])
@torch.no_grad()
def test_attention_is_told_by_pixels_and_drawn(reader, stride) -> None:
    network = make(partial(reader, decoder=partial(reader.keywords["decoder"], stride=stride))).eval()
    task, one = network.named_tasks["handwriting"], sample(61, "abc", 9)
    prediction = {"text": torch.tensor([ord(letter) for letter in "ab c"])}
    known = explained(network, "handwriting", one, prediction)
    assert known["attention"].shape == (4, 61)
    step = stride or 4
    total = known["attention"].sum(1) + (-61 % step) * known["attention"][:, -1]  # the last cell reaches beyond
    assert ((total > 0) & (total < 1 + 1e-6)).all()
    if reader is TOKENS["transformer"]:  # the LSTM can also look at the end of the line
        torch.testing.assert_close(total, torch.ones(4))
    assert task.draw(one, known).shape[0] > task.draw(one, prediction).shape[0]
    empty = explained(network, "handwriting", one, {"text": torch.zeros(0, dtype=torch.int64)})
    assert task.draw(one, empty).shape[2] == 3
    batch = collate([one, sample(20, "b")])
    outputs = task(network.encode(batch["image"]), batch["image"].shape[2:])
    texts = {"text": torch.tensor([[97, 98, 32, 99], [98, -1, -1, -1]])}
    both = task.explain(outputs, batch, texts)["attention"]
    torch.testing.assert_close(both[0], known["attention"])
    assert both[1, 1:].isnan().all()
    assert (both[1, 0, 24:] == 0).all()


def test_columns_explain_nothing() -> None:
    network = make().eval()
    prediction = {"text": torch.tensor([97])}
    assert explained(network, "handwriting", sample(30, "a"), prediction) == prediction


@pytest.mark.parametrize(
    ("options", "code"), [({"labels": None}, "C195"), ({"monitor": Monitor("miou", "max")}, "C196")], ids=str
)
def test_mistakes_are_named(options, code) -> None:
    with pytest.raises(ConfigError) as caught:
        make(**options)
    assert caught.value.code == code


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@torch.no_grad()
def test_no_lines_are_read_as_none(reader) -> None:
    task = make(reader).eval().named_tasks["handwriting"]
    line = torch.zeros(0, task.line_map.out_channels, 2, 5)
    decoded = task.reader.decide(task.reader(line), torch.zeros(0, 8, 20, dtype=torch.bool))
    assert decoded.rows() == []
    assert decoded.confidence.shape == (0,)


@pytest.mark.parametrize("search", [partial(greedy, max_length=4), partial(beam, max_length=4), greedy, beam])
def test_a_text_that_the_search_would_cut_is_named_once(search) -> None:
    network = make(partial(TOKENS["transformer"], search=search)).train()
    batch = collate([sample(60, "abca"), sample(40, "abc")])
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        for _ in range(2):
            network.loss(batch)
    said = [str(each.message) for each in heard if "the search stops" in str(each.message)]
    if not getattr(search, "keywords", None):  # 256 tokens, or the search does not say how many
        assert said == []
        return
    what = "its text has 4 tokens, and the search stops at 4, the end among them; set search.max_length to 5 or more"
    assert said == [f"abca60: {what}"]


HEBREW = Charset(tuple(" .012abc\u05d0\u05d1"), right_to_left=True)


def test_numbers_and_latin_words_of_a_line_from_the_right_stand_from_behind() -> None:
    network = make(labels=HEBREW)
    task = network.named_tasks["handwriting"]
    text, shown = "\u05d0\u05d1 ab 1.2 \u05d0", "\u05d0 ab 1.2 \u05d1\u05d0"
    seen = task.tokenizer.encode(shown)  # from left to right
    logits = torch.zeros(1, 2 * len(seen), task.tokenizer.size)
    logits[0, 1::2, 0] = 20.0
    logits[0, range(0, 2 * len(seen), 2), seen] = torch.arange(1.0, 1 + len(seen))  # every one surer than those before
    batch = {"key": ["x"], "image": torch.zeros(1, 1, 8, 8 * len(seen)), "text": [text]}
    prediction = task.decide(logits, batch)
    assert from_code_points(prediction["text"]) == [text]
    sure = dict(zip(seen, logits[0, ::2].softmax(1).amax(1).tolist(), strict=True))  # by its token
    for token in ("a", "b", "1", "."):
        place, number = text.index(token), task.tokenizer.encode(token)[0]
        assert float(prediction["token_confidence"][0, place]) == pytest.approx(sure[number])
    task.reader.decoder.forward = lambda line: logits
    line, valid = torch.zeros(1, 6, 2, 2 * len(seen)), torch.ones(1, 8, 8 * len(seen), dtype=torch.bool)
    terms = task.reader.loss(line, [task.tokenizer.encode(text)], valid, ["x"])
    expected = ctc_loss(logits.flip(1), [seen[::-1]], torch.tensor([2 * len(seen)]))
    torch.testing.assert_close(terms["ctc"], expected)


def test_texts_in_bytes_are_taught_in_their_own_order() -> None:
    reader = make(labels=HEBREW, tokenizer=ByteTokenizer).named_tasks["handwriting"].reader
    ids = reader.tokenizer.encode("\u05d0 12")
    logits = torch.zeros(1, 8, reader.tokenizer.size)
    logits[0, range(7, 7 - len(ids), -1), ids] = 9.0
    assert reader.decide(logits, torch.ones(1, 4, 32, dtype=torch.bool)).rows()[0][: len(ids)] == ids


@pytest.mark.parametrize("reader", [COLUMNS, TOKENS["transformer"]], ids=["columns", "tokens"])
@pytest.mark.parametrize("right_to_left", [False, True])
def test_guidance_sees_the_text_as_the_picture_shows_it(reader, right_to_left: bool) -> None:
    guided = partial(reader, guidance=Shortcut, guidance_weight=0.5)
    labels = Charset(tuple(" \u05d0\u05d1\u05d2ab"), right_to_left=right_to_left)
    network = make(guided, labels).train()
    batch = collate([sample(40, "\u05d0\u05d1"), sample(24, "\u05d2")])
    own = network.tasks["handwriting"].reader
    line, ids = network.encode(batch["image"])[0], ([[3, 2], [4]] if right_to_left else [[2, 3], [4]])
    valid = torch.zeros(2, *line.shape[2:], dtype=torch.bool)
    valid[0], valid[1, :, :6] = True, True
    expected = 0.5 * own.guidance(line, ids, valid)
    torch.testing.assert_close(network.loss(batch)["handwriting"]["guidance"], expected)
    assert "guidance" not in network.eval().loss(batch)["handwriting"]


def test_guidance_of_columns_sees_a_latin_word_in_a_line_from_the_right_as_it_is_written() -> None:
    network = make(partial(COLUMNS, guidance=Shortcut, guidance_weight=0.5), HEBREW).train()
    batch, own = collate([sample(40, "\u05d0 ab")]), network.tasks["handwriting"].reader
    seen = own.tokenizer.encode("ab \u05d0")
    line = network.encode(batch["image"])[0]
    expected = 0.5 * own.guidance(line, [seen], torch.ones(1, *line.shape[2:], dtype=torch.bool))
    torch.testing.assert_close(network.loss(batch)["handwriting"]["guidance"], expected)
