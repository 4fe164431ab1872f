"""The README.md inside a bundle: what it is and what to type."""

from collections.abc import Mapping, Sequence
from typing import Any


def bundle_readme(about: Mapping[str, Any], name: str, onnx: bool, allow: Sequence[str]) -> str:
    """Markdown for someone who was handed the folder ``name`` and has never seen visionkit."""
    parts = [_opening(about, name), _use(name, allow), _onnx(about) if onnx else "", _figures(about["metrics"])]
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
    size = about["preprocessing"]["size"]
    channels = about["preprocessing"]["channels"]
    fitted = f"resized to {size[0]} x {size[1]} (height x width)" if size else "used at their own size"
    lines += ["", f"Images: {channels} channel(s), {fitted}; results have the size of the image.", ""]
    for target, labels in about["labels"].items():
        if "names" in labels:
            lines += [f"`{target}`: {', '.join(f'{i} {label}' for i, label in enumerate(labels['names']))}.", ""]
    return "\n".join(lines)


def _use(name: str, allow: Sequence[str]) -> str:
    options = f", allow={list(allow)}" if allow else ""
    command = [f"    visionkit predict {name} PICTURE_OR_FOLDER --out predictions/", ""] if not allow else []
    return "\n".join(
        [
            "## Use",
            "",
            "    pip install visionkit",
            *command,
            "",
            "    import visionkit",
            f'    model = visionkit.load("{name}"{options})',
            '    for result in model.predict("PICTURE_OR_FOLDER"):',
            "        print(result.key, result.predictions)",
            '        result.save("predictions")',
            "",
            "The folder holds data only. All checksums are verified when it is loaded: leave the files as they are.",
            "",
        ]
    )


def _onnx(about: Mapping[str, Any]) -> str:
    outputs = ", ".join(f"`{task}`" for task in about["tasks"])
    return "\n".join(
        [
            "## ONNX",
            "",
            "`model.onnx` takes `image` (float32 in 0..1; batch, channels, height, width; any size and batch) and",
            f"gives the raw outputs of {outputs} at the image's size. Labels and preprocessing are in its metadata.",
            "",
        ]
    )


def _figures(metrics: Mapping[str, Any]) -> str:
    rows = [f"| {name} | {value:.4g} |" for name, value in _flat(metrics)]
    return "\n".join(["## Figures", "", "| metric | value |", "|---|---|", *rows, ""]) if rows else ""


def _flat(metrics: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    rows: list[tuple[str, float]] = []
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            rows.append((f"{prefix}{name}", value))
    return rows
