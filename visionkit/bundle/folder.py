"""Bundle: a trained model as a folder that runs anywhere. Weights and JSON, never code.

model.safetensors   every weight
bundle.json         what to build, labels, preprocessing, metrics, and the checksum of every other file
README.md           how to use it
model.onnx          where it was asked for
"""

import hashlib
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor

from visionkit import config
from visionkit.bundle import description, safety, weights
from visionkit.bundle.labels import labels_from_json, labels_to_json
from visionkit.bundle.usage import bundle_readme
from visionkit.errors import ConfigError, ResourceError, UnsafeFileError
from visionkit.files import older, replaced_folder
from visionkit.network import Network

__all__ = ["Info", "labels_from_json", "labels_to_json", "load", "plain", "save"]

WEIGHTS, DESCRIPTION, README, ONNX = "model.safetensors", "bundle.json", "README.md", "model.onnx"
_AGAIN = "export the run again"
_COPY = "copy the whole folder again"


@dataclass(frozen=True)
class Info:
    """What a bundle says of itself."""

    folder: Path
    visionkit: str
    """Version that wrote it."""
    encoder: dict[str, Any]
    tasks: dict[str, dict[str, Any]]
    labels: dict[str, Any]
    preprocessing: dict[str, Any]
    """``channels`` of the image, ``size`` [h, w] to which it is resized or None, ``channels_last`` in memory.

    ``prepare`` lists what builds the transforms of every image, in their order, where there are any.

    Of volumes also ``spatial_dims`` 3, ``intensity`` (what builds it), ``spacing_mm`` and ``interpolation``."""
    metrics: dict[str, Any]


def save(
    network: Network,
    folder: str | Path,
    *,
    encoder_cfg: Any,
    tasks_cfg: Any,
    labels: Mapping[str, Any],
    preprocessing: Mapping[str, Any],
    metrics: Mapping[str, Any],
    onnx: bool = False,
) -> Path:
    """Writes a bundle as a whole or not at all; an older bundle at this place is replaced.

    Raises UnsafeFileError where ``load`` would refuse the configuration, StorageError S20 where the folder
    holds something other than a bundle, ExportError where the ONNX model differs from the network.
    """
    folder = Path(folder).absolute()
    about: dict[str, Any] = {"format": description.FORMAT, "visionkit": _version()}
    about |= {"encoder": plain(encoder_cfg), "tasks": plain(tasks_cfg), "labels": labels_to_json(labels)}
    about |= {"preprocessing": plain(preprocessing), "metrics": _finite(metrics), "sha256": {}}
    built = [about["preprocessing"].get(name) for name in ("intensity", "prepare")]
    wanted = safety.targets([about["encoder"], about["tasks"], *built])
    description.check(about, wanted, folder / DESCRIPTION)
    own = {WEIGHTS, DESCRIPTION, README, ONNX} if (folder / DESCRIPTION).is_file() else set()
    with replaced_folder(folder, own) as new:
        (new / WEIGHTS).write_bytes(weights.pack(network.state_dict()))
        text = bundle_readme(about, folder.name, onnx, sorted(wanted - safety.known_targets()))
        (new / README).write_text(text, encoding="utf-8")
        if onnx:
            from visionkit.bundle.onnx import export_onnx  # needs packages that are not always installed

            export_onnx(network, new / ONNX, about["labels"], about["preprocessing"])
        about["sha256"] = {file.name: _sha256(file.read_bytes()) for file in sorted(new.iterdir())}
        text = json.dumps(about, indent=1, ensure_ascii=False, allow_nan=False)
        (new / DESCRIPTION).write_text(text, encoding="utf-8")  # last, since it vouches for the others
    return folder


def load(folder: str | Path, allow: Collection[str] = ()) -> tuple[Network, Info]:
    """The network, in evaluation mode on the CPU, and what the bundle says of itself.

    ``allow`` names further classes (``["mine.MyEncoder"]``) that its configuration may ask for. Raises
    ConfigError C60 where there is no bundle, UnsafeFileError for everything that is not as it was exported.
    """
    folder = Path(folder)
    file = folder / DESCRIPTION
    if not file.is_file():
        raise ConfigError("C60", folder, *_no_bundle(folder))
    safety.inside(folder, DESCRIPTION, file)
    about = safety.read_json(file)
    allowed = {allow} if isinstance(allow, str) else set(allow)
    description.check(about, safety.known_targets() | allowed, file)
    kept = {name: about[name] for name in description.FIELDS if name not in ("format", "sha256")}
    info = Info(folder, **kept | {"labels": labels_from_json(about["labels"], file)})
    state = weights.unpack(_verified(folder, about["sha256"], file), folder / WEIGHTS)
    network = _build(info, file)
    problem = weights.difference(state, network.state_dict())
    if problem:
        raise UnsafeFileError("U13", folder / WEIGHTS, f"does not fit {DESCRIPTION}: {problem}", _AGAIN)
    network.load_state_dict(state)
    return network.eval(), info


def plain(cfg: Any) -> Any:
    """A configuration as JSON types, with everything that downloads switched off."""
    if OmegaConf.is_config(cfg):
        return plain(OmegaConf.to_container(cfg, resolve=True))
    if isinstance(cfg, Mapping):
        return safety.offline({key: plain(value) for key, value in cfg.items()})
    return [plain(value) for value in cfg] if isinstance(cfg, list | tuple) else cfg


def _finite(value: Any) -> Any:
    """Figures as JSON: tensors become numbers, and what is not a number becomes null."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, Tensor):
        return _finite(value.tolist())
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _version() -> str:
    try:
        return version("visionkit")
    except PackageNotFoundError:
        return "unknown"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _no_bundle(folder: Path) -> tuple[str, str]:
    if older(folder.absolute()).is_dir():
        return "was being replaced when something stopped it", f"rename {older(folder)} to {folder.name}"
    what = f"is not a bundle ({DESCRIPTION} is missing)" if folder.is_dir() else "there is no such folder"
    return what, "make a bundle: visionkit export run=runs/NAME"


def _verified(folder: Path, checksums: dict[str, Any], file: Path) -> bytes:
    """Verifies every file; returns the bytes of the weights, so that what is used is what was verified."""
    paths = {name: safety.inside(folder, name, file) for name in (WEIGHTS, *checksums)}
    for name, path in paths.items():
        if not path.is_file():
            raise UnsafeFileError("U08", path, "is missing from the bundle", _COPY)
        if name != WEIGHTS:
            with path.open("rb") as stream:
                _match(hashlib.file_digest(stream, "sha256").hexdigest(), checksums[name], path)
    data = paths[WEIGHTS].read_bytes()
    _match(_sha256(data), checksums.get(WEIGHTS), paths[WEIGHTS])
    return data


def _match(found: str, wanted: Any, path: Path) -> None:
    if found != wanted:
        raise UnsafeFileError("U07", path, "is not the file that was exported (its checksum differs)", _COPY)


def _build(info: Info, file: Path) -> Network:
    """The network as described; the caller's randomness stays as it was."""
    try:
        with torch.random.fork_rng(devices=[]):
            encoder = config.build(safety.offline(info.encoder))
            tasks = {name: config.build(safety.offline(task)) for name, task in info.tasks.items()}
            return Network(encoder, tasks, info.labels)
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        if isinstance(cause, ResourceError | MemoryError):
            raise cause from error
        reason = " ".join(str(cause).split())[:200]
        what = f"describes a model that cannot be built ({reason})"
        raise UnsafeFileError("U12", file, what, f"install visionkit {info.visionkit[:20]}, or {_AGAIN}") from error
