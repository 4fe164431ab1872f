"""A network reads with what it learnt, whatever the data says that it is tried on."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from visionkit import learnt_labels as module
from visionkit.bundle.labels import labels_to_json
from visionkit.errors import ConfigError
from visionkit.labels import Charset, Classes, Edges, Objects, TableTokens
from visionkit.learnt_labels import (
    counts_anew,
    learnt_labels,
    read_as_learnt,
    resumed_labels,
    run_labels,
    write_labels,
)
from visionkit.text.character_ngrams import packed

CLASSES = Classes(("sky", "road"), ((0, 0, 0), (9, 9, 9)))
CHARSET = Charset(("a", "b"), ngrams=packed({"ab": 2}))
CONFIG = {"dataset": {"layout": {"text": {"ngrams": None}}}}
COUNTED = {"dataset": {"layout": {"text": {"ngrams": {"order": 2}}}}}


def learnt(folder: Path, run, data, config=CONFIG):
    (folder / "labels.json").write_text(json.dumps(labels_to_json({"it": run})))
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(CONFIG))
    return learnt_labels(folder, OmegaConf.create(config), {} if data is None else {"it": data})["it"]


@pytest.mark.parametrize("known", [CLASSES, CHARSET, Edges(0.01), TableTokens(("<tr>",), ("a",))])
def test_data_that_says_the_same_or_nothing_changes_nothing(known, tmp_path: Path) -> None:
    assert learnt(tmp_path, known, known) == known
    assert learnt(tmp_path, known, None) == known


def test_characters_are_those_of_the_run(tmp_path: Path) -> None:
    other = Charset(("b", "c", "d"), "NFD", right_to_left=True, ngrams=packed({"cd": 1}))
    assert learnt(tmp_path, CHARSET, other) == CHARSET


def test_n_grams_are_those_that_the_configuration_counts_anew(tmp_path: Path) -> None:
    other = Charset(("b", "c"), ngrams=packed({"bb": 3}))
    assert learnt(tmp_path, CHARSET, other, COUNTED) == replace(CHARSET, ngrams=other.ngrams)
    assert counts_anew(tmp_path, OmegaConf.create(COUNTED))
    assert not counts_anew(tmp_path, OmegaConf.create(CONFIG))


def test_n_grams_of_any_source_count(tmp_path: Path) -> None:
    of_two = {"dataset": {"sources": {"a": CONFIG["dataset"], "b": COUNTED["dataset"]}}}
    learnt(tmp_path, CHARSET, None)
    (tmp_path / "config.yaml").write_text(OmegaConf.to_yaml(of_two))
    assert not counts_anew(tmp_path, OmegaConf.create(of_two))
    of_two["dataset"]["sources"]["b"] = {"layout": {"text": {"ngrams": {"order": 3}}}}
    assert counts_anew(tmp_path, OmegaConf.create(of_two))


def test_data_of_which_nothing_is_said_of_n_grams_keeps_those_of_the_run(tmp_path: Path) -> None:
    other = Charset(("b", "c"))
    learnt(tmp_path, CHARSET, None)
    (tmp_path / "config.yaml").write_text(OmegaConf.to_yaml(COUNTED))
    silent = OmegaConf.create({"dataset": {"layout": {"text": {}}}})
    assert learnt_labels(tmp_path, silent, {"it": other})["it"] == CHARSET
    none = OmegaConf.create(CONFIG)
    assert learnt_labels(tmp_path, none, {"it": other})["it"].ngrams == ()  # asked for none


def test_the_datas_own_characters_give_way_to_the_runs(tmp_path: Path) -> None:
    rules = {"_target_": "visionkit.datasets.text_rules.TextRules", "characters": None, "right_to_left": None}
    listed = rules | {"characters": "xyz", "right_to_left": True}
    cfg = OmegaConf.create({"dataset": {"sources": {"a": {"layout": {"text": rules}}, "b": {"text": listed}}}})
    read_as_learnt(cfg, {"text": CHARSET, "mask": CLASSES})
    assert cfg.dataset.sources.a.layout.text.characters == "ab"
    assert cfg.dataset.sources.a.layout.text.right_to_left is False
    assert cfg.dataset.sources.b.text == listed
    read_as_learnt(cfg, {"mask": CLASSES})


def test_a_run_that_goes_on_keeps_what_it_learnt(tmp_path: Path) -> None:
    assert resumed_labels(tmp_path, {"it": CHARSET, "no": None}) == {
        "it": CHARSET,
        "no": None,
    }  # stopped before it began
    write_labels(tmp_path, {"it": CHARSET, "no": None})
    assert run_labels(tmp_path) == {"it": CHARSET}
    recounted = replace(CHARSET, ngrams=packed({"ba": 7}))
    assert resumed_labels(tmp_path, {"it": recounted}) == {"it": CHARSET}


@pytest.mark.parametrize(
    ("known", "found", "said"),
    [
        (CHARSET, Charset(("a", "b", "ß")), r"'it' .* \(characters: 'ß'\)"),
        (CLASSES, Classes(("road", "sky"), CLASSES.colors), r"\(names: their order\)"),
        (Edges(0.0075), Edges(0.01), r"tolerance: 0\.01 for 0\.0075"),
        (CHARSET, None, "'it'"),
    ],
)
def test_data_that_says_something_else_does_not_go_on(known, found, said: str, tmp_path: Path) -> None:
    write_labels(tmp_path, {"it": known})
    before = (tmp_path / "labels.json").read_bytes()
    with pytest.raises(ConfigError, match=f"C235.*labels.json.*{said}.*start_from"):
        resumed_labels(tmp_path, {"it": found})
    assert (tmp_path / "labels.json").read_bytes() == before


def test_labels_that_no_bundle_holds_are_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_JSON_BYTES", 100)
    with pytest.raises(ConfigError, match=r"C236.*ngrams\.order"):
        write_labels(tmp_path, {"it": CHARSET})
    assert not list(tmp_path.iterdir())


def test_how_it_is_judged_is_the_datas(tmp_path: Path) -> None:
    assert learnt(tmp_path, Edges(0.0075), Edges(0.011)) == Edges(0.011)
    assert learnt(tmp_path, Objects("people"), Objects("cars")) == Objects("cars")


@pytest.mark.parametrize(
    ("names", "said"),
    [(("road", "sky"), "has road where the run learnt sky"), (("sky", "road", "tree"), "3 classes .* learnt 2")],
)
def test_other_classes_or_another_order_are_refused(names, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"C234.*{said}"):
        learnt(tmp_path, CLASSES, Classes(names))


def test_other_colours_of_the_same_classes_are_no_other_classes(tmp_path: Path) -> None:
    assert learnt(tmp_path, CLASSES, Classes(CLASSES.names)) == CLASSES


def test_a_run_without_labels_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"C61.*labels\.json"):
        run_labels(tmp_path)
