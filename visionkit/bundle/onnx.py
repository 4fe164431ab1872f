"""ONNX export: every task's raw outputs for images of any size and any number, compared before it is kept."""

import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from visionkit.bundle.onnx_operations import translations
from visionkit.errors import ExportError, ResourceError
from visionkit.files import replaced_file
from visionkit.layers.strides import per_axis
from visionkit.network import Network

TOLERANCE = 1e-4
"""Largest absolute difference to the outputs of the network."""
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def export_onnx(
    network: Network, path: str | Path, labels: Mapping[str, Any], preprocessing: Mapping[str, Any]
) -> Path:
    """Writes ``image`` (float32 in 0..1, b c h w) -> one output for each task, under the task's name.

    ``labels`` (as ``labels_to_json`` gives them) and ``preprocessing`` become JSON in the model's metadata.
    Raises ResourceError R11 where packages are missing, ExportError E01 where the network cannot be exported
    E02 where the result differs from it, E03 where it does not run; then no file is written.
    """
    require_packages()
    path = Path(path)
    model = _Outputs(network)
    was_training = network.training
    network.eval()
    try:
        with replaced_file(path) as new, torch.no_grad():
            notes = {"labels": json.dumps(labels), "preprocessing": json.dumps(preprocessing)}
            _write(model, new, path, notes)
            _compare(model, new, path)
    finally:
        network.train(was_training)
    return path


def require_packages() -> None:
    """Raises ResourceError R11 where what the export needs is not installed."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise ResourceError("R11", "", f"ONNX needs {', '.join(missing)}", "pip install 'visionkit[onnx]'")


class _Outputs(nn.Module):
    """Outputs as a tuple, in the order of the tasks."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network(image).values())


def _write(model: _Outputs, file: Path, path: Path, notes: Mapping[str, str]) -> None:
    encoder = model.network.encoder
    strides = per_axis(encoder.strides[-1], encoder.spatial_dims)
    axes = range(2, 2 + len(strides))
    free = dict.fromkeys((0, *axes), torch.export.Dim.DYNAMIC)
    image = _image(model, 2, [stride * (3 + axis) for axis, stride in zip(axes, strides, strict=True)])
    names, shapes = list(model.network.tasks), {"image": free}
    try:
        with _quiet():
            program = torch.onnx.export(
                model,
                (image,),
                input_names=["image"],
                output_names=names,
                dynamic_shapes=shapes,
                custom_translation_table=translations(),
                dynamo=True,
            )
        assert program is not None  # it is only without dynamo
        for node in program.model.graph.all_nodes():
            node.metadata_props.clear()  # source lines and folders of this machine
        program.model.metadata_props.update(notes)
        program.save(str(file), external_data=False)
    except Exception as error:  # the exporter raises whatever the model's operations meet
        reason = " ".join(str(error).split())[:200]
        raise ExportError("E01", path, f"the model cannot be exported ({reason})", "export with onnx=false") from error


def _compare(model: _Outputs, file: Path, path: Path) -> None:
    """Runs the file on three sizes, one smaller than the grid and one that does not divide, and two batches."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    names = list(model.network.tasks)
    encoder = model.network.encoder
    strides = per_axis(encoder.strides[-1], encoder.spatial_dims)
    try:
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        for batch in (1, 3):
            for halves, more in ((1, 1), (4, 0), (6, 5)):
                sides = [stride * halves // 2 + more + 3 * axis for axis, stride in enumerate(strides)]
                image = _image(model, batch, sides)
                outputs = session.run(names, {"image": image.cpu().numpy()})
                for name, want, got in zip(names, model(image), outputs, strict=True):
                    _same(want.cpu(), torch.from_numpy(got), f"{name} at {list(image.shape)}", path)
    except ExportError:
        raise
    except Exception as error:  # onnxruntime's own errors share no useful base
        reason = " ".join(str(error).split())[:200]
        raise ExportError(
            "E03", path, f"the exported model does not run ({reason})", "export with onnx=false"
        ) from error


def _same(want: Tensor, got: Tensor, where: str, path: Path) -> None:
    fix = "export with onnx=false"
    if want.shape != got.shape:
        what = f"the exported model gives {list(got.shape)} for {where} where the network gives {list(want.shape)}"
        raise ExportError("E02", path, what, fix)
    worst = (want - got).abs().max().item()
    if not worst <= TOLERANCE:
        raise ExportError("E02", path, f"the exported model differs by {worst:.2g} in {where}", fix)


def _image(model: _Outputs, batch: int, size: list[int]) -> Tensor:
    device = next(model.parameters()).device
    draw = torch.Generator().manual_seed(0)
    return torch.rand(batch, model.network.encoder.in_chans, *size, generator=draw).to(device)


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter narrates on stdout, by warnings and by several loggers."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
