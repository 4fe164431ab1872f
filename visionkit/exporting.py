"""From the folder of a run to a bundle."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from visionkit import checkpoint, config
from visionkit.assemble import make_datamodule
from visionkit.bundle import folder, weights
from visionkit.learnt_labels import counts_anew, learnt_labels, run_labels
from visionkit.network import Network
from visionkit.run_config import change_config, load_config
from visionkit.runs import evaluation_place


def export_run(
    run: str | Path,
    out: str | Path | None = None,
    which: str = "best",
    onnx: bool = False,
    changes: Sequence[str] = (),
) -> Path:
    """The bundle of a run folder.

    Args:
        run: the folder.
        out: where to write; ``run/bundle`` unless said otherwise.
        which: checkpoint of the run (best, last).
        onnx: also an ONNX model.
        changes: of the run's configuration, as a command writes them, such as ``generation=ctc_beam``.

    Raises:
        ConfigError: the folder is no run (C08, C61) or has no such checkpoint (C13); those of the changes, among them
            C233 where weights do not fit them.
        StorageError: S21 the checkpoint does not fit the run.
    """
    run = Path(run)
    cfg = load_config(run)
    change_config(cfg, changes)
    config.check_tasks(cfg)
    labels = run_labels(run)
    if counts_anew(run, cfg):
        config.check_roots(cfg)
        labels = learnt_labels(run, cfg, make_datamodule(cfg).labels)
    encoder_cfg, tasks_cfg = folder.plain(cfg.encoder), folder.plain(cfg.tasks)
    network = Network(config.build(encoder_cfg), {name: config.build(task) for name, task in tasks_cfg.items()}, labels)
    source = checkpoint.find(run, which)
    saved = checkpoint.load_checkpoint(source)
    state = {key[8:]: value for key, value in saved["state_dict"].items() if key.startswith("network.")}
    weights.require_fitting(state, network.state_dict(), source, changes)
    network.load_state_dict(state)
    dataset: Any = OmegaConf.to_container(cfg.dataset, resolve=True)
    preprocessing = _preprocessing(dataset, network.encoder.spatial_dims)
    return folder.save(
        network.eval(),
        run / "bundle" if out is None else out,
        encoder_cfg=encoder_cfg,
        tasks_cfg=tasks_cfg,
        labels=labels,
        preprocessing=preprocessing | {"channels_last": bool(cfg.get("channels_last", True))},
        metrics=_figures(run, source, saved, changes),
        onnx=onnx,
    )


def _preprocessing(dataset: dict[str, Any], spatial_dims: int) -> dict[str, Any]:
    """Of the sources that were trained on; sizes only where all agree, since a network takes any."""
    sources = list(dataset.get("sources", {"": dataset}).values())
    prepare = [[step for step in (source.get("prepare") or {}).values() if step] for source in sources]
    channels = max(source["channels"] for source in sources)  # grey pictures pass through a network of colours
    common = {"channels": channels, "size": _agreed([source["size"] for source in sources])}
    common |= {"prepare": steps} if (steps := _agreed(prepare)) else {}
    return common | _of_volumes(sources[0]) if spatial_dims == 3 else common


def _agreed(values: list[Any]) -> Any:
    return values[0] if all(value == values[0] for value in values) else None


def _of_volumes(source: dict[str, Any]) -> dict[str, Any]:
    layout = source["layout"]
    grid = {name: layout.get(name) for name in ("spacing_mm", "interpolation")}
    return {"spatial_dims": 3, "intensity": source.get("intensity"), **grid}


def _figures(run: Path, source: Path, saved: Mapping[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """Figures of these very weights; an evaluation of others, of other data, or read in another way is left out."""
    places = dict.fromkeys([run, evaluation_place(run, source.stem, changes)])
    evaluated = [file for place in places for file in sorted(place.glob("evaluation/*/metrics.json"))]
    contents = {file.parent.name: json.loads(file.read_text(encoding="utf-8")) for file in evaluated}
    step, wanted = saved.get("global_step"), sorted(changes)
    own = {
        split: about["metrics"]
        for split, about in contents.items()
        if about["step"] == step and sorted(about["changes"]) == wanted
    }
    changed = {"changes": list(changes)} if changes else {}
    return {"checkpoint": source.name, "epoch": saved.get("epoch"), "step": step, **changed, **own}
