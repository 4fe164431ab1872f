from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visionkit.decoders.fpn import FPN
from visionkit.decoders.unet import UNet
from visionkit.encoders.timm import TimmEncoder
from visionkit.layers.padding import pad_to_multiple

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
slow = pytest.mark.slow


class Segmenter(nn.Module):
    def __init__(self, model: str, decoder: type[nn.Module]) -> None:
        super().__init__()
        self.encoder = TimmEncoder(model)
        self.decoder = decoder(channels=self.encoder.channels, strides=self.encoder.strides)
        self.head = nn.Conv2d(self.decoder.out_channels, 3, 1)

    def forward(self, image: Tensor) -> Tensor:
        features = self.encoder(pad_to_multiple(image, self.encoder.strides[-1]))
        logits = F.interpolate(self.head(self.decoder(features)), scale_factor=self.decoder.stride, mode="bilinear")
        return logits[:, :, : image.shape[2], : image.shape[3]]


@pytest.mark.parametrize(
    ("model", "decoder"),
    [
        pytest.param("test_vit", UNet, marks=slow),
        pytest.param("resnet18", UNet, marks=slow),
        pytest.param("convnext_tiny", FPN, marks=slow),
        pytest.param("vit_tiny_patch16_224", UNet, marks=slow),
        pytest.param("vit_small_patch14_dinov2", FPN, marks=slow),
    ],
)
def test_onnx_of_free_size_and_batch_equals_eager(model: str, decoder: type[nn.Module], tmp_path: Path):
    torch.manual_seed(0)
    network = Segmenter(model, decoder).eval()
    for name, parameter in network.encoder.named_parameters():
        if "pos_embed" in name or "gamma" in name:
            nn.init.normal_(parameter)  # at its faint start a wrong position would not be seen
    free = torch.export.Dim.DYNAMIC
    program = torch.onnx.export(
        network,
        (torch.rand(2, 3, 70, 90),),
        input_names=["image"],
        output_names=["logits"],
        dynamo=True,
        dynamic_shapes={"image": {0: free, 2: free, 3: free}},
        verbose=False,
    )
    program.save(tmp_path / "network.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx")
    for batch in (1, 3):
        for size in ((1, 1), (97, 131), (160, 33), (224, 224)):
            image = torch.rand(batch, 3, *size)
            with torch.no_grad():
                expected = network(image)
            (found,) = session.run(None, {"image": image.numpy()})
            torch.testing.assert_close(torch.from_numpy(found), expected, atol=1e-4, rtol=1e-4)
