"""Labels of a run beside those of the data it is used on: what its outputs mean is its own, how they are judged the
data's."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from visionkit.bundle.labels import labels_from_json, labels_to_json
from visionkit.bundle.safety import MAX_JSON_BYTES, read_json
from visionkit.checkpoint import write_atomically
from visionkit.errors import ConfigError
from visionkit.labels import Charset, Classes, Edges, Objects
from visionkit.run_config import load_config


def run_labels(run: Path) -> dict[str, Any]:
    """The labels that a run was trained with. Raises ConfigError C61 where they are missing."""
    file = run / "labels.json"
    if not file.is_file():
        raise ConfigError("C61", file, "is missing", "continue the run with resume=auto to write it")
    return labels_from_json(read_json(file), file)


def resumed_labels(run: Path, data: Mapping[str, Any]) -> dict[str, Any]:
    """The labels of a run that goes on; n-grams are no part of what it learnt, and stay what they were.

    Raises:
        ConfigError: C235 the data no longer says what the run has learnt.
    """
    if not (run / "labels.json").is_file():
        return dict(data)
    learnt = run_labels(run)
    for target, known in learnt.items():
        found = data.get(target)
        if isinstance(known, Charset) and isinstance(found, Charset):
            found = replace(found, ngrams=known.ngrams)
        if found != known:
            what = f"the data says something else of '{target}' than when the run began{_news(known, found)}"
            fix = "restore the data, or begin a new run with what this one has learnt: run=OTHER start_from=RUN"
            raise ConfigError("C235", run / "labels.json", what, fix)
    return learnt


def write_labels(run: Path, labels: Mapping[str, Any]) -> None:
    """Writes them beside the run. Raises ConfigError C236 where they are more than a bundle may hold."""
    data = (json.dumps(labels_to_json(labels), indent=1, ensure_ascii=False) + "\n").encode()
    if len(data) > MAX_JSON_BYTES // 2:  # a bundle has more to say, and indents it further
        what = f"what it says of its targets takes {len(data) >> 20} MiB, which is too much for a bundle"
        fix = "count fewer n-grams: a lower dataset.layout.text.ngrams.order, or less text"
        raise ConfigError("C236", "dataset", what, fix)
    write_atomically(run / "labels.json", data)


def learnt_labels(run: Path, cfg: DictConfig, data: Mapping[str, Any]) -> dict[str, Any]:
    """The labels of a network that was trained in ``run``, for data that may say otherwise.

    Characters and tokens are those of the run, whatever the data's training split holds; n-grams too, unless the
    configuration was changed to count others. How edges are judged and what points stand on is the data's.

    Args:
        run: its folder.
        cfg: its configuration, as it was changed.
        data: the labels of the data.

    Raises:
        ConfigError: C61 the run's labels are missing, C234 masks of other classes.
    """
    recounted = counts_anew(run, cfg)
    return {target: _one(target, known, data.get(target), recounted) for target, known in run_labels(run).items()}


def counts_anew(run: Path, cfg: DictConfig) -> bool:
    """Whether a changed configuration counts n-grams that the run did not; one that says nothing of them does not."""
    before = list(_ngrams(load_config(run).dataset))
    return any(node not in before for node in _ngrams(cfg.dataset))


def read_as_learnt(cfg: DictConfig, learnt: Mapping[str, Any]) -> None:
    """Lists the run's characters wherever the data would have its own, so that it needs no training split for them."""
    charset = next((label for label in learnt.values() if isinstance(label, Charset)), None)
    if charset is not None:
        for rules in _text_rules(cfg.dataset):
            if rules.get("characters") is None and rules.get("charset") is None:
                own = rules.get("right_to_left")
                rules.characters = "".join(charset.characters)
                rules.right_to_left = charset.right_to_left if own is None else own


def _one(target: str, known: Any, found: Any, recounted: bool) -> Any:
    if isinstance(known, Charset) and isinstance(found, Charset):
        return replace(known, ngrams=found.ngrams) if recounted else known
    if isinstance(known, Edges | Objects) and type(found) is type(known):
        return found
    if isinstance(known, Classes) and isinstance(found, Classes) and known.names != found.names:
        differing = next((pair for pair in zip(known.names, found.names, strict=False) if pair[0] != pair[1]), None)
        counts = f"{len(found)} classes in the {target} where the run learnt {len(known)}"
        what = counts if differing is None else f"the {target} has {differing[1]} where the run learnt {differing[0]}"
        fix = "give the data's classes in the order of the run's labels.json, or train on this data: start_from=RUN"
        raise ConfigError("C234", "dataset", what, fix)
    return known


def _news(known: Any, found: Any) -> str:
    """The first things that only one of two labels names, for messages."""
    if type(known) is not type(found):
        return ""
    for field, old in vars(known).items():
        new = getattr(found, field)
        if old != new and isinstance(old, tuple):
            lone = [one for one in (*new, *old) if (one in new) != (one in old)]
            return f" ({field}: {', '.join(map(repr, lone[:3])) or 'their order'})"
        if old != new:
            return f" ({field}: {new!r} for {old!r})"
    return ""


def _ngrams(node: Any) -> Iterator[Any]:
    """Every setting of n-grams in a configuration of data."""
    if OmegaConf.is_config(node):
        node = OmegaConf.to_container(node, resolve=True)
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "ngrams":
                yield value
            else:
                yield from _ngrams(value)


def _text_rules(node: Any) -> Iterator[DictConfig]:
    if OmegaConf.is_dict(node):
        if str(node.get("_target_")).endswith(".TextRules"):
            yield node
        for key in node:
            yield from _text_rules(node[key])
