"""The report of an evaluation: one HTML page that holds everything it shows."""

import base64
import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from PIL import Image
from torch import Tensor

from visionkit.baselines.gains import Gain
from visionkit.errors import StorageError
from visionkit.files import replaced_file
from visionkit.reports.charts import bars, heat_map, line_chart, most_confused, number
from visionkit.reports.curves import COLORS, main_curves, other_curves
from visionkit.reports.examples import Example
from visionkit.reports.precision_recall import precision_recall

_STYLE = Path(__file__).with_name("style.css")
_LARGEST_HEAT_MAP = 40
_PICTURE_WIDTH_PX = 1000


def write_report(
    folder: Path | str,
    title: str,
    config: Mapping[str, Any],
    results: Mapping[str, Mapping[str, Tensor]],
    labels: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    pictures: Mapping[str, Sequence[Example]],
    split: str,
    facts: Mapping[str, str] | None = None,
    gains: Sequence[Gain] = (),
) -> Path:
    """Writes ``<folder>/index.html`` and returns its path. Raises StorageError S12 where it cannot be written.

    Args:
        folder: usually ``<run>/report``.
        title: heading, such as the run's name.
        config: the resolved configuration.
        results: ``results[task][metric]``: a figure (0-D), one value for each class (1-D), a confusion matrix (2-D), or
            threshold, recall and precision of a metric whose name ends in ``precision_recall`` (2-D).
        labels: what the data says of each task's target; class names are taken from its ``names``.
        history: rows of ``read_history``.
        pictures: chosen examples of each task, drawn.
        split: the part of the data that was evaluated.
        facts: further lines of the header (parameters, experiment ...); they replace those of the same name.
        gains: the network beside baselines.
    """
    path = Path(folder) / "index.html"
    page = build_page(title, config, results, labels, history, pictures, split, facts or {}, gains)
    try:
        with replaced_file(path) as new:
            new.write_text(page, encoding="utf-8")
    except OSError as error:
        fix = "free some space or check the permissions"
        raise StorageError("S12", path, f"the report cannot be written ({error.strerror})", fix) from error
    return path


def build_page(
    title: str,
    config: Mapping[str, Any],
    results: Mapping[str, Mapping[str, Tensor]],
    labels: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    pictures: Mapping[str, Sequence[Example]],
    split: str,
    facts: Mapping[str, str],
    gains: Sequence[Gain] = (),
) -> str:
    """The page as text; every text that comes from outside is escaped."""
    plain: Any = OmegaConf.to_container(config, resolve=True) if OmegaConf.is_config(config) else config
    tasks = list(dict.fromkeys([*results, *pictures]))
    sections = {"Against baselines": _gains(gains), "Figures": _figures(results, split)}
    for task in tasks:
        names = getattr(labels.get(task), "names", ())
        sections[task] = _task(results.get(task, {}), tuple(names), pictures.get(task, ()))
    sections["Training"] = _training(history)
    sections["Configuration"] = _configuration(plain)
    shown = {name: content for name, content in sections.items() if content}
    body = "".join(f'<section id="{_anchor(i)}"><h2>{escape(n)}</h2>{c}</section>' for i, (n, c) in _enumerated(shown))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE.read_text(encoding='utf-8')}</style></head><body>"
        f"{_header(title, split, _facts(plain, tasks) | dict(facts), list(shown))}<main>{body}</main>"
        "<footer>Written by visionkit.</footer></body></html>\n"
    )


def _header(title: str, split: str, facts: Mapping[str, str], sections: list[str]) -> str:
    listed = "".join(f"<div><dt>{escape(n)}</dt><dd>{escape(str(v))}</dd></div>" for n, v in facts.items())
    links = "".join(f'<a href="#{_anchor(i)}">{escape(name)}</a>' for i, name in enumerate(sections))
    return (
        f'<header><div><p class="kind">Evaluation on {escape(split)}</p><h1>{escape(title)}</h1>'
        f'<dl class="facts">{listed}</dl><nav>{links}</nav></div></header>'
    )


def _facts(config: Mapping[str, Any], tasks: Sequence[str]) -> dict[str, str]:
    layout = (config.get("dataset") or {}).get("layout")
    facts = {
        "Run": config.get("run"),
        "Tasks": ", ".join(tasks),
        "Encoder": _describe(config.get("encoder")),
        "Dataset": _describe(layout),
        "Seed": config.get("seed"),
        "Written": datetime.now().strftime("%Y-%m-%d %H:%M"),
    }
    return {name: str(value) for name, value in facts.items() if value not in (None, "")}


def _describe(node: Any) -> str:
    """``TimmEncoder: resnet18``: the last part of ``_target_`` and the arguments that are text."""
    if not isinstance(node, Mapping) or "_target_" not in node:
        return ""
    texts = [value for name, value in node.items() if isinstance(value, str) and not name.startswith("_")]
    name = str(node["_target_"]).rpartition(".")[2]
    return f"{name}: {', '.join(texts)}" if texts else name


def _figures(results: Mapping[str, Mapping[str, Tensor]], split: str) -> str:
    numbers = {task: {n: v for n, v in metrics.items() if v.ndim == 0} for task, metrics in results.items()}
    cards = [_figures_of(task, metrics, split) for task, metrics in numbers.items() if metrics]
    return f'<div class="cards{" one" if len(cards) == 1 else ""}">{"".join(cards)}</div>' if cards else ""


def _figures_of(task: str, metrics: Mapping[str, Tensor], split: str) -> str:
    rows = "".join(f"<tr><td>{escape(n)}</td><td>{number(float(value))}</td></tr>" for n, value in metrics.items())
    head = f"<tr><th><b>{escape(task)}</b></th><th>{escape(split)}</th></tr>"
    return f'<div class="card scroll"><table class="metrics"><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def _gains(gains: Sequence[Gain]) -> str:
    if not gains:
        return ""
    rows = "".join(
        f"<tr><td>{escape(gain.task)}</td><td>{escape(gain.metric)}</td><td>{number(gain.without)}</td>"
        f"<td>{escape(gain.baseline)}</td><td>{number(gain.figure)}</td>"
        f'<td class="{"better" if gain.better else "worse"}">{escape(gain.text())}</td></tr>'
        for gain in gains
    )
    names = ("task", "metric", "without a network", "what that is", "network", "better by")
    head = "".join(f"<th>{name}</th>" for name in names)
    table = f'<table class="metrics lead"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<div class="cards one"><div class="card scroll">{table}</div></div>'


def _task(metrics: Mapping[str, Tensor], names: tuple[str, ...], pictures: Sequence[Example]) -> str:
    drawn = "".join(_chart(name, value.detach().double().cpu().numpy(), names) for name, value in metrics.items())
    shown = f'<h3>Examples</h3><div class="examples">{"".join(map(_example, pictures))}</div>' if pictures else ""
    return (f'<div class="cards">{drawn}</div>' if drawn else "") + shown


def _chart(title: str, values: np.ndarray, names: tuple[str, ...]) -> str:
    if title.endswith("precision_recall"):
        return precision_recall(title.replace("_", " "), values)
    named = names if values.ndim and len(names) == len(values) else tuple(map(str, range(len(np.atleast_1d(values)))))
    if values.ndim == 1 and len(values):
        return bars(title, named, values.tolist())
    if values.ndim == 2 and values.size and values.shape[0] == values.shape[1]:
        return (heat_map if len(values) <= _LARGEST_HEAT_MAP else most_confused)(title, values, named)
    return ""


def _example(example: Example) -> str:
    alt = f"{example.kind} example, {example.key}"
    image = "" if example.picture is None else _image(example.picture, alt)
    return (
        f'<figure class="card example {escape(example.kind)}">{image}<div><b>{escape(example.kind)}</b>'
        f"<b>{number(example.score)}</b><span>{escape(example.source)}/{escape(example.key)}</span></div></figure>"
    )


def _image(picture: np.ndarray, alt: str) -> str:
    """As wide as its card, but a small one no more than twice as large as it is."""
    width = 2 * min(picture.shape[1], _PICTURE_WIDTH_PX)
    return f'<img alt="{escape(alt)}" style="max-width: {width}px" src="{_data_address(picture)}">'


def _data_address(picture: np.ndarray) -> str:
    image = Image.fromarray(picture)
    if image.width > _PICTURE_WIDTH_PX:
        size = (_PICTURE_WIDTH_PX, max(1, round(image.height * _PICTURE_WIDTH_PX / image.width)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=88, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _training(history: Sequence[Mapping[str, Any]]) -> str:
    shown, others = main_curves(history), other_curves(history)
    main = "".join(line_chart(title, series, colors=COLORS) for title, series in shown.items())
    rest = "".join(line_chart(title, series) for title, series in others.items())
    folded = f'<details><summary>Speed and schedule</summary><div class="cards">{rest}</div></details>' if rest else ""
    return (f'<div class="cards">{main}</div>' if main else "") + folded


def _configuration(config: Mapping[str, Any]) -> str:
    if not config:
        return ""
    text = OmegaConf.to_yaml(OmegaConf.create(dict(config)))
    return f"<details><summary>Everything this run was made with</summary><pre>{escape(text)}</pre></details>"


def _anchor(index: int) -> str:
    return f"section-{index}"


def _enumerated(items: Mapping[str, str]) -> list[tuple[int, tuple[str, str]]]:
    return list(enumerate(items.items()))
