"""The README.md inside a bundle: what it is and what to type."""

from collections.abc import Mapping, Sequence
from typing import Any

_WORDS = {2: "picture", 3: "volume"}
"""What a bundle is used on, by the number of spatial dimensions."""
_ORDER = {2: "float32 in 0..1; batch, channels, height, width", 3: "float32; batch, channels, depth, height, width"}


def bundle_readme(about: Mapping[str, Any], name: str, onnx: bool, allow: Sequence[str]) -> str:
    """Markdown for someone who was handed the folder ``name`` and has never seen visionkit."""
    word = _WORDS[about["preprocessing"].get("spatial_dims") or 2]
    used = _use(name, allow, f"{word.upper()}_OR_FOLDER")
    parts = [_opening(about, name), used, _onnx(about) if onnx else "", _figures(about["metrics"])]
    return "\n".join(part for part in parts if part)


def _opening(about: Mapping[str, Any], name: str) -> str:
    lines = [
        f"# {name}",
        "",
        f"A trained model, written by visionkit (version {about['visionkit']}).",
        "",
        "| task | class |",
        "|---|---|",
    ]
    lines += [f"| {task} | `{cfg.get('_target_')}` |" for task, cfg in about["tasks"].items()]
    lines += ["", f"Images: {_fitted(about['preprocessing'])}; results have the size of the image.", ""]
    for target, labels in about["labels"].items():
        if "names" in labels:
            lines += [f"`{target}`: {', '.join(f'{i} {label}' for i, label in enumerate(labels['names']))}.", ""]
    return "\n".join(lines)


def _fitted(preprocessing: Mapping[str, Any]) -> str:
    size, spacing = preprocessing["size"], preprocessing.get("spacing_mm")
    fitted = f"resized to {size[0]} x {size[1]} (height x width)" if size else "used at their own size"
    if preprocessing.get("prepare"):
        fitted = (
            f"brought to size by {', '.join(step['_target_'].rpartition('.')[2] for step in preprocessing['prepare'])}"
        )
    fitted = f"resampled to voxels of {' x '.join(map(str, spacing))} mm" if spacing else fitted
    return f"{preprocessing['channels']} channel(s), {fitted}"


def _use(name: str, allow: Sequence[str], what: str) -> str:
    options = f", allow={list(allow)}" if allow else ""
    command = [f"    visionkit predict {name} {what} --out predictions/", ""] if not allow else []
    return "\n".join(
        [
            "## Use",
            "",
            "    pip install visionkit",
            *command,
            "",
            "    import visionkit",
            f'    model = visionkit.load("{name}"{options})',
            f'    for result in model.predict("{what}"):',
            "        print(result.key, result.predictions)",
            '        result.save("predictions")',
            "",
            "The folder holds data only. All checksums are verified when it is loaded: leave the files as they are.",
            "",
        ]
    )


def _onnx(about: Mapping[str, Any]) -> str:
    outputs = ", ".join(f"`{task}`" for task in about["tasks"])
    at = "before decoding" if "text" in about["labels"] else "at the image's size"
    order = _ORDER[about["preprocessing"].get("spatial_dims") or 2]
    return "\n".join(
        [
            "## ONNX",
            "",
            f"`model.onnx` takes `image` ({order}; any size and batch) and",
            f"gives the raw outputs of {outputs} {at}. Labels and preprocessing are in its metadata.",
            *_of_text(about),
            "",
        ]
    )


def _of_text(about: Mapping[str, Any]) -> list[str]:
    """What the outputs of a recogniser are."""
    if "text" not in about["labels"]:
        return []
    return [
        "Of text: logits of columns (batch, columns, tokens; 0 is the blank of CTC), or, where a decoder writes token",
        "by token, the map that it reads (batch, channels, rows, columns); the decoder itself is not in the model.",
    ]


def _figures(metrics: Mapping[str, Any]) -> str:
    rows = [f"| {name} | {value:.4g} |" for name, value in _flat(metrics)]
    changes = metrics.get("changes")
    how = [f"Evaluated with `{' '.join(changes)}`.", ""] if isinstance(changes, list) and changes else []
    return "\n".join(["## Figures", "", *how, "| metric | value |", "|---|---|", *rows, ""]) if rows else ""


def _flat(metrics: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    rows: list[tuple[str, float]] = []
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            rows.append((f"{prefix}{name}", value))
    return rows
