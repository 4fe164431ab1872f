"""Making a timm model that gives features, with every way that this can go wrong said in one line."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import huggingface_hub
import timm
import torch
from torch import Tensor, nn

from visionkit.encoders.weights import misfit, read_weights
from visionkit.errors import ConfigError, ResourceError, nearest

_FREE_SIZE: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})
"""How the families of timm are told that images may have any size: the first that a model accepts is used."""


def create(name: str, options: Mapping[str, Any], **source: Any) -> Any:
    """A timm model that returns its feature maps, its weights random unless ``source`` says otherwise.

    Raises:
        ConfigError: C20 unknown model or tag, C21 unknown option, C22 no such levels.
    """
    _check_name(name)
    for free_size in _FREE_SIZE:
        try:
            return timm.create_model(name, features_only=True, **{**free_size, **options}, **source)
        except TypeError as error:
            if any(f"'{option}'" in str(error) for option in free_size.keys() - options.keys()):
                continue
            what = f"timm's {name} does not accept these options ({error})"
            fix = "take the option away (for drop_path_rate: set it to 0)"
            raise ConfigError("C21", "encoder", what, fix) from error
        except (AssertionError, IndexError, AttributeError) as error:
            what = f"timm's {name} does not give feature maps as asked ({error or type(error).__name__})"
            raise ConfigError("C22", "encoder", what, "change encoder.out_indices or choose another model") from error
    raise AssertionError("the last entry of _FREE_SIZE adds no option that could be refused")


def create_from(name: str, options: Mapping[str, Any], tensors: dict[str, Tensor], path: str | Path) -> Any:
    """The same with the weights of a file, which timm renames and adapts; every tensor of the body must come from it.

    Raises:
        ConfigError: as ``create``, and C25 the weights are of another model.
    """
    with _loads() as loads:
        try:
            body = create(name, options, pretrained=True, pretrained_cfg_overlay={"state_dict": tensors})
        except (RuntimeError, KeyError, ValueError) as error:
            raise misfit(path, str(error)) from error
    for module in body.modules():  # timm notes its source, here all the weights, which copies would carry along
        if isinstance(getattr(module, "pretrained_cfg", None), dict):
            module.pretrained_cfg.pop("state_dict", None)
    needed = {_plain(key) for key in body.state_dict()}
    parts = {key.split("_")[0] for key in needed}
    missing = [key for result in loads for key in result.missing_keys if _plain(key) in needed]
    # What belongs to no part of the body is the classifier's; what does is of a deeper or wider model.
    strange = [key for result in loads for key in result.unexpected_keys if key.split(".")[0] in parts]
    for keys, how in ((missing, "missing"), (strange, "left over")):
        if keys:
            raise misfit(path, f"{len(keys)} tensors are {how}, the first is {keys[0]}")
    return body


def create_pretrained(name: str, options: Mapping[str, Any]) -> Any:
    """The same with timm's own weights: from the cache without asking the network, else downloaded.

    Raises:
        ConfigError: as ``create``, and C26 timm has no weights for this model.
        ResourceError: R10 the weights are not in the cache and cannot be downloaded.
    """
    _check_name(name)
    source = timm.get_pretrained_cfg(name)
    if source is None or not source.has_weights:
        fix = "set encoder.pretrained=false, or name another model"
        raise ConfigError("C26", "encoder.model", f"timm has no pretrained weights for {name}", fix)
    file = source.hf_hub_filename or "model.safetensors"
    if source.hf_hub_id and not source.custom_load:
        cached = huggingface_hub.try_to_load_from_cache(source.hf_hub_id, file)
        if isinstance(cached, str):
            return create_from(name, options, read_weights(cached), cached)
    try:
        if source.hf_hub_id:
            # One question first: the download itself would repeat its own for the better part of a minute.
            huggingface_hub.model_info(source.hf_hub_id, timeout=10)
        return create(name, options, pretrained=True)
    except ConfigError:
        raise
    except Exception as error:
        raise _unreachable(name, source, file, error) from error


def _unreachable(name: str, source: Any, file: str, error: Exception) -> ResourceError:
    if source.hf_hub_id:
        folder = huggingface_hub.constants.HF_HUB_CACHE
        address = f"https://huggingface.co/{source.hf_hub_id}/resolve/main/{file}"
    else:
        folder, address = f"{torch.hub.get_dir()}/checkpoints", source.url
    return ResourceError(
        "R10",
        name,
        f"its pretrained weights are not in {folder} and cannot be downloaded ({type(error).__name__})",
        f"fetch {address} on a machine with internet and set encoder.weights=FILE, or set encoder.pretrained=false",
    )


def _check_name(name: str) -> None:
    model, _, tag = name.partition(".")
    if not timm.is_model(model) or ":" in name:
        hint = nearest(model, timm.list_models())
        hint = hint if hint.startswith("did") else "python -c 'import timm; print(timm.list_models())' prints all"
        raise ConfigError("C20", "encoder.model", f"timm has no model {model}", hint)
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{model}.*")]
    if tag and tag not in tags:
        raise ConfigError("C20", "encoder.model", f"timm's {model} has no weights tagged {tag}", nearest(tag, tags))


def _plain(key: str) -> str:
    """A tensor's name as it is in the whole model and in the one that gives features, which joins and prefixes."""
    return key.replace(".", "_").removeprefix("model_").removeprefix("body_")


@contextmanager
def _loads() -> Iterator[list[Any]]:
    """Collects what load_state_dict returns inside timm, which only logs the names that it did not find."""
    original, results = nn.Module.load_state_dict, []

    def load(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        results.append(original(module, *args, **kwargs))
        return results[-1]

    nn.Module.load_state_dict = load  # type: ignore[method-assign, assignment]
    try:
        yield results
    finally:
        nn.Module.load_state_dict = original  # type: ignore[method-assign]
