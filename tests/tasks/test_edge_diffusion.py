"""Both stages of edge detection by diffusion as tasks."""

from functools import partial

import pytest
import torch

from visionkit.config import build, compose
from visionkit.datasets.collate import collate
from visionkit.datasets.unbatch import prediction_of, sample_of
from visionkit.decoders.autoencoder import LatentDecoder
from visionkit.encoders.conv import ConvEncoder
from visionkit.encoders.edge_autoencoder import EdgeAutoencoderEncoder
from visionkit.errors import ConfigError
from visionkit.inference import SlidingWindow
from visionkit.labels import Edges
from visionkit.losses.autoencoder import Divergence, Likelihood
from visionkit.losses.distillation import ConstantDistillation
from visionkit.losses.edge_targets import agreement, soft
from visionkit.network import Network
from visionkit.tasks.edge_autoencoder import EdgeAutoencoding
from visionkit.tasks.edge_truth import known_target

SMALL = ("encoder.width=8", "decoder.width=8", "encoder.blocks=1", "decoder.blocks=1")


def second_stage(*words: str) -> Network:
    torch.manual_seed(0)
    overrides = [f"tasks.edges.decoder.autoencoder.{word}" for word in SMALL]
    overrides += ["tasks.edges.decoder.denoiser.width=8", "tasks.edges.decoder.denoiser.multipliers=[1,2]"]
    overrides += ["tasks.edges.decoder.steps=2", *words]
    task = build(compose("train", ["task=edges/diffusionedge", *overrides]).tasks.edges)
    encoder = ConvEncoder((4, 6), (4, 2), spatial_dims=2, in_chans=3)
    return Network(encoder, {"edges": task}, {"edges": Edges()})


def first_stage() -> Network:
    torch.manual_seed(0)
    small = {"width": 8, "multipliers": (1, 2), "blocks": 1}
    losses = {"likelihood": Likelihood(), "divergence": Divergence(0.5)}
    task = partial(EdgeAutoencoding, decoder=partial(LatentDecoder, **small), losses=losses, truth=soft)
    return Network(EdgeAutoencoderEncoder(**small), {"edges": task}, {"edges": Edges()})


def sample(height: int, width: int, annotators: int = 3, values: tuple[int, int] = (0, 2), channels: int = 3) -> dict:
    random = torch.Generator().manual_seed(height)
    return {
        "key": f"{height}x{width}",
        "image": torch.randint(256, (channels, height, width), generator=random, dtype=torch.uint8),
        "edges": torch.randint(*values, (annotators, height, width), generator=random, dtype=torch.int8),
    }


def test_the_target_knows_real_pixels_alone():
    batch = collate([sample(16, 24), sample(12, 20, annotators=1)])
    target = known_target(batch, soft)
    torch.testing.assert_close(target[0], soft(agreement(batch["edges"][0])))
    assert (target[1, 12:] == -1).all()
    assert (target[1, :, 20:] == -1).all()
    assert (target[1, :12, :20] >= 0).all()


@pytest.mark.parametrize("make", [second_stage, first_stage])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (19, 23)])
@pytest.mark.parametrize(("values", "annotators"), [((0, 1), 3), ((-1, 0), 1), ((-1, 2), 1)])
def test_small_pictures_and_empty_drawings(make, size, values, annotators):
    network = make().train()
    batch = collate([sample(*size, annotators, values, network.encoder.in_chans)])
    terms = network.loss(batch)["edges"]
    assert all(torch.isfinite(term) for term in terms.values())
    sum(terms.values()).backward()
    learnt = [value for value in network.parameters() if value.requires_grad]
    assert all(torch.isfinite(value.grad).all() for value in learnt)
    task = network.eval().named_tasks["edges"]
    with torch.no_grad():
        prediction = network.predict(batch)["edges"]
    assert prediction["edges"].shape == (1, *size)
    assert 0 <= prediction["edges"].min() <= prediction["edges"].max() <= 1
    task.update(prediction, batch)
    assert 0 <= float(task.metrics.compute()["ods"]) <= 1
    assert task.draw(sample_of(batch, 0), prediction_of(prediction, batch, 0)).ndim == 3


def test_terms_of_the_second_stage_are_weighted():
    batch = collate([sample(16, 24), sample(12, 20, annotators=1)])
    network = second_stage("tasks.edges.losses.restoration.weight=3").eval()
    task, features = network.named_tasks["edges"], network.encode(batch["image"])
    terms = task.loss(features, batch)
    step = task.decoder.denoise(features, known_target(batch, soft))
    assert set(terms) == {"drift_and_noise", "restoration", "distillation"}
    for name, loss in task.losses.items():
        torch.testing.assert_close(terms[name], {"restoration": 3.0}.get(name, 1.0) * loss(step))


def test_the_gradient_of_the_released_code_is_one_word():
    name = ConstantDistillation.__name__
    word = f"tasks.edges.losses.distillation._target_=visionkit.losses.distillation.{name}"
    network = second_stage(word).train()
    assert type(network.named_tasks["edges"].losses["distillation"]) is ConstantDistillation
    sum(network.loss(collate([sample(16, 24)]))["edges"].values()).backward()


def test_terms_of_the_first_stage():
    batch = collate([sample(16, 24, channels=1), sample(12, 20, 1, channels=1)])
    network = first_stage().eval()
    task, features = network.named_tasks["edges"], network.encode(batch["image"])
    posterior, target = task.decoder.posterior(features), known_target(batch, soft)
    found = network(batch["image"])["edges"][:, 0]
    terms = task.loss(features, batch)
    torch.testing.assert_close(terms["likelihood"], Likelihood()(posterior, found, target))
    torch.testing.assert_close(terms["divergence"], 0.5 * Divergence()(posterior, found, target))
    network.train()
    assert not torch.equal(task.loss(features, batch)["likelihood"], terms["likelihood"])  # the latent is drawn


def test_the_first_stage_learns_to_draw_lines():
    network = first_stage().train()
    drawn = torch.zeros(2, 1, 16, 16, dtype=torch.int8)
    drawn[0, 0, 5], drawn[1, 0, :, 9] = 1, 1
    batch = {"key": ["a", "b"], "image": (255 * drawn).byte(), "edges": drawn}
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    torch.manual_seed(0)
    for _ in range(50):
        optimizer.zero_grad()
        sum(network.loss(batch)["edges"].values()).backward()
        optimizer.step()
    with torch.no_grad():
        found = network.eval().predict(batch)["edges"]["edges"]
    assert (found - drawn[:, 0]).abs().mean() < 0.1


def test_windows_are_averaged():
    network = second_stage().eval()
    network.named_tasks["edges"].inference = SlidingWindow(16, overlap=0.0, weighting="uniform")
    image = torch.rand(1, 3, 16, 32)
    with torch.no_grad():
        halves = [network(part)["edges"] for part in image.split(16, 3)]
        found = network.predict({"image": image})["edges"]["edges"]
    torch.testing.assert_close(found, torch.cat(halves, 3)[:, 0])


def test_volumes_are_refused():
    task = build(compose("train", ["task=edges/diffusionedge_tiny"]).tasks.edges)
    with pytest.raises(ConfigError, match="C83"):
        Network(ConvEncoder((4, 6), (4, 2), spatial_dims=3, in_chans=1), {"edges": task}, {"edges": Edges()})
