"""ONNX models of recognisers: logits of columns, or the map that a sequence is read from."""

from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from visionkit.bundle.onnx import export_onnx
from visionkit.decoders.autoregressive import TransformerDecoder
from visionkit.decoders.ctc import CTC
from visionkit.decoders.line_map import LineMap
from visionkit.encoders.conv import ConvEncoder
from visionkit.encoders.crnn import CRNN
from visionkit.encoders.line_blocks import LineBlocks
from visionkit.generation.ctc import ctc_greedy
from visionkit.generation.greedy import greedy
from visionkit.labels import Charset
from visionkit.network import Network
from visionkit.tasks.column_reader import ColumnReader
from visionkit.tasks.handwriting import TextRecognition
from visionkit.tasks.token_reader import TokenReader

READERS = {
    "columns": partial(ColumnReader, decoder=CTC, search=ctc_greedy),
    "tokens": partial(TokenReader, decoder=partial(TransformerDecoder, width=8, heads=2), search=greedy),
}


@pytest.mark.parametrize("name", READERS)
def test_lines_of_any_size_and_number(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = CRNN((2, 4, 4, 6), (1, 1, 1, 1), 5)
    task = partial(TextRecognition, reader=READERS[name], line_map=LineMap)
    network = Network(encoder, {"handwriting": task}, {"text": Charset(("a", "b"))}).eval()
    file = export_onnx(network, tmp_path / "m.onnx", {}, {})
    session = onnxruntime.InferenceSession(str(file))
    for size in ((1, 1, 32, 150), (2, 1, 20, 3)):
        image = torch.rand(*size)
        (found,) = session.run(["handwriting"], {"image": image.numpy()})
        with torch.no_grad():
            assert np.abs(found - network(image)["handwriting"].numpy()).max() <= 1e-4


@pytest.mark.parametrize("right_to_left", [pytest.param(False, marks=pytest.mark.slow), True])
def test_lines_in_rows_of_any_size_and_number(right_to_left: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    body = ConvEncoder((4, 6), (4, 2), spatial_dims=2, in_chans=1)
    encoder = LineBlocks(body, height=16, row_px=32, rows=3, right_to_left=right_to_left)
    task = partial(TextRecognition, reader=READERS["columns"], line_map=partial(LineMap, column_px=8))
    network = Network(encoder, {"handwriting": task}, {"text": Charset(("a", "b"))}).eval()
    session = onnxruntime.InferenceSession(str(export_onnx(network, tmp_path / "m.onnx", {}, {})))
    for size in ((1, 1, 16, 90), (3, 1, 16, 500), (2, 1, 33, 1), (1, 1, 1, 40)):
        image = torch.rand(*size)
        image[..., size[3] // 2 :] = 0.5
        (found,) = session.run(["handwriting"], {"image": image.numpy()})
        with torch.no_grad():
            assert np.abs(found - network(image)["handwriting"].numpy()).max() <= 1e-4
