"""Weights of an encoder from a file of the user's: read as data only, and never partly."""

import pickle
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from visionkit.errors import ConfigError, UnsafeFileError

_WRAPPERS = ("state_dict", "model", "state_dict_ema", "model_ema")
_PREFIXES = ("network.", "module.", "_orig_mod.")
_IN_FOLDER = ("model.safetensors", "bundle/model.safetensors", "checkpoints/best.ckpt")
"""Where the weights of a bundle or of a run are, the first that exists."""


def find_weights(place: str | Path) -> Path | None:
    """The file of weights that a path means: itself, or the one of a bundle or of a run; None where there is none."""
    place = Path(place).expanduser()
    files = [place / name for name in _IN_FOLDER] if place.is_dir() else [place]
    return next((file for file in files if file.is_file()), None)


def read_weights(place: str | Path) -> dict[str, Tensor]:
    """Tensors by name from a .safetensors file, a pickled state_dict (.pth, .pt, .bin, .ckpt), a bundle or a run.

    Raises:
        ConfigError: C23 no weights there, C24 not a file of weights.
        UnsafeFileError: U20 the pickle asks to run code.
    """
    path = find_weights(place)
    if path is None:
        what = "holds no weights" if Path(place).expanduser().is_dir() else "there is no such file of weights"
        raise ConfigError("C23", place, what, "name a file of weights, a bundle, or the folder of a run that has ended")
    try:
        content = load_file(path) if path.suffix == ".safetensors" else _unpickle(path)
    except (UnsafeFileError, OSError):
        raise
    except Exception as error:  # a damaged file can raise anything
        what = f"is damaged or no file of weights ({type(error).__name__})"
        raise ConfigError("C24", path, what, "copy it again; .safetensors and files of torch.save are read") from error
    for name in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
            break
    tensors = {}
    for name, value in content.items() if isinstance(content, dict) else ():
        if isinstance(name, str) and isinstance(value, Tensor):
            for prefix in _PREFIXES:
                name = name.removeprefix(prefix)
            tensors[name] = value
    if not tensors:
        raise ConfigError("C24", path, "holds no tensors by name", "save the model's state_dict() alone")
    return tensors


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors below a prefix, without it: ``part(tensors, "encoder.")`` of a trained network."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def load_exactly(module: nn.Module, tensors: dict[str, Tensor], path: str | Path) -> None:
    """Loads every tensor, or raises ConfigError C25 naming the first ones that do not fit."""
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise misfit(path, str(error)) from error


def load_encoder(encoder: nn.Module, path: str | Path | None) -> None:
    """Loads an encoder's own weights, or those of the encoder in a trained network; nothing where there is no path."""
    if path:
        tensors = read_weights(path)
        load_exactly(encoder, part(tensors, "encoder.") or tensors, path)


def misfit(path: str | Path, what: str) -> ConfigError:
    """The error for weights of another model; ``what`` is shortened to one line."""
    what = " ".join(what.split())
    what = what if len(what) <= 200 else f"{what[:200]} ..."
    return ConfigError(
        "C25", path, f"these weights do not fit the encoder: {what}", "choose the encoder whose weights they are"
    )


def _unpickle(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not any(word in str(error) for word in ("GLOBAL", "add_safe_globals", "reduce")):
            raise
        raise UnsafeFileError(
            "U20",
            path,
            "this pickle asks for more than tensors, which could run code",
            "convert it where you trust it: safetensors.torch.save_file(model.state_dict(), FILE)",
        ) from error
