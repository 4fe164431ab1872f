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
from visionkit.encoders.crnn import CRNN
from visionkit.generation.ctc import ctc_greedy
from visionkit.generation.greedy import greedy
from visionkit.network import Network
from visionkit.tasks.handwriting import TextRecognition
from visionkit.tasks.readers import ColumnReader, TokenReader
from visionkit.types import Charset

READERS = {
    "columns": partial(ColumnReader, decoder=CTC, search=ctc_greedy),
    "tokens": partial(TokenReader, decoder=partial(TransformerDecoder, width=8, heads=2), search=greedy),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_lines_of_any_size_and_number(reader, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = CRNN((2, 4, 4, 6), (1, 1, 1, 1), 5)
    task = partial(TextRecognition, reader=reader, line_map=LineMap)
    network = Network(encoder, {"handwriting": task}, {"text": Charset(("a", "b"))}).eval()
    file = export_onnx(network, tmp_path / "m.onnx", {}, {})
    session = onnxruntime.InferenceSession(str(file))
    for size in ((1, 1, 32, 150), (2, 1, 20, 3)):
        image = torch.rand(*size)
        (found,) = session.run(["handwriting"], {"image": image.numpy()})
        with torch.no_grad():
            assert np.abs(found - network(image)["handwriting"].numpy()).max() <= 1e-4
