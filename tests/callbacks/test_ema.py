import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint

from visionkit.callbacks.ema import WeightAverage


class Weights(Callback):
    """Notes the weights of training after each step, and those that are validated."""

    def __init__(self):
        self.trained, self.validated = [], []

    @staticmethod
    def copy(module):
        return {name: value.clone() for name, value in module.state_dict().items()}

    def on_train_start(self, trainer, module):
        self.trained.append(self.copy(module))

    def on_train_batch_end(self, trainer, module, *args):
        self.trained.append(self.copy(module))

    def on_validation_batch_end(self, trainer, module, *args):
        if not trainer.sanity_checking:
            self.validated.append(self.copy(module))


def train(folder, make, fake, epochs=3, ckpt_path=None, decay=0.9, **options):
    torch.manual_seed(0)
    module, weights = fake.Module(), Weights()
    saver = ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, save_last=True, **options)
    trainer = make(folder, [WeightAverage(decay), weights, saver], max_epochs=epochs, enable_checkpointing=True)
    trainer.fit(module, *fake.loaders(), ckpt_path=ckpt_path)
    return module, weights


def averages(trained, decay):
    """The formula by hand, in float64."""
    average = {name: value.double() for name, value in trained[0].items()}
    for n, step in enumerate(trained[1:]):
        d = min(decay, (1 + n) / (10 + n))
        average = {name: d * value + (1 - d) * step[name].double() for name, value in average.items()}
        yield average


def equal(a, b):
    assert a.keys() == b.keys()
    return all(torch.equal(value, b[name]) for name, value in a.items())


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.999])
def test_the_validated_weights_follow_the_formula(tmp_path, make, fake, decay):
    module, weights = train(tmp_path, make, fake, decay=decay)
    expected = list(averages(weights.trained, decay))
    for epoch in range(3):
        for name, value in weights.validated[2 * epoch].items():
            if value.is_floating_point():
                torch.testing.assert_close(value.double(), expected[3 * epoch + 2][name], rtol=1e-5, atol=1e-6)
    assert equal(module.state_dict(), weights.validated[-1])


def test_integer_buffers_are_kept(tmp_path, make, fake):
    module, weights = train(tmp_path, make, fake)
    assert torch.equal(module.index, torch.arange(100))
    assert module.body[1].num_batches_tracked == weights.trained[-1]["body.1.num_batches_tracked"] == 18


def test_the_trained_weights_are_put_back(tmp_path, make, fake):
    _, with_average = train(tmp_path, make, fake)
    torch.manual_seed(0)
    weights = Weights()
    make(tmp_path, [weights], max_epochs=3).fit(fake.Module(), *fake.loaders())
    assert all(equal(a, b) for a, b in zip(with_average.trained, weights.trained, strict=True))


@pytest.mark.parametrize("options", [{}, {"save_on_train_epoch_end": False}])
@pytest.mark.parametrize("epoch", [0, 1])
def test_a_resumed_training_is_bit_identical(tmp_path, make, fake, options, epoch):
    whole, weights = train(tmp_path / "whole", make, fake, **options)
    path = tmp_path / "whole" / f"epoch={epoch}.ckpt"
    resumed, rest = train(tmp_path / "resumed", make, fake, ckpt_path=path, **options)
    assert equal(resumed.state_dict(), whole.state_dict())
    assert equal(rest.trained[-1], weights.trained[-1])


def test_a_longer_training_goes_on_from_the_last_checkpoint(tmp_path, make, fake):
    whole, _ = train(tmp_path / "whole", make, fake, epochs=3)
    train(tmp_path / "part", make, fake, epochs=2)
    resumed, _ = train(tmp_path / "part", make, fake, epochs=3, ckpt_path=tmp_path / "part" / "last.ckpt")
    assert equal(resumed.state_dict(), whole.state_dict())


def test_a_checkpoint_is_data_and_holds_the_averaged_weights(tmp_path, make, fake):
    _, weights = train(tmp_path, make, fake)
    checkpoint = torch.load(tmp_path / "epoch=1.ckpt", weights_only=True)
    assert equal(dict(checkpoint["state_dict"]), weights.validated[3])
    live = checkpoint["live_state_dict"]
    assert all(torch.equal(value, weights.trained[6][name]) for name, value in live.items())
    assert "index" not in live


def test_testing_a_checkpoint_uses_the_averaged_weights(tmp_path, make, fake):
    module = fake.Module()
    trainer = make(tmp_path, [WeightAverage(), ModelCheckpoint(tmp_path, filename="x")], enable_checkpointing=True)
    trainer.fit(module, *fake.loaders())
    trainer.validate(module, fake.loaders()[1], ckpt_path=tmp_path / "x.ckpt", verbose=False)
    stored = torch.load(tmp_path / "x.ckpt", weights_only=True)
    assert equal(dict(module.state_dict()), dict(stored["state_dict"]))
    assert not equal(stored["live_state_dict"], {k: stored["state_dict"][k] for k in stored["live_state_dict"]})


def test_a_checkpoint_in_the_midst_of_a_validation_is_the_same(tmp_path, make, fake):
    class SaveWithin(Callback):
        def on_validation_batch_end(self, trainer, *args):
            trainer.save_checkpoint(tmp_path / "within.ckpt")

    torch.manual_seed(0)
    saver = ModelCheckpoint(tmp_path, filename="after")
    callbacks = [WeightAverage(), SaveWithin(), saver]
    make(tmp_path, callbacks, max_epochs=1, enable_checkpointing=True).fit(fake.Module(), *fake.loaders())
    within = torch.load(tmp_path / "within.ckpt", weights_only=True)
    after = torch.load(tmp_path / "after.ckpt", weights_only=True)
    for part in ("state_dict", "live_state_dict"):
        assert equal(dict(within[part]), dict(after[part]))


def test_it_can_be_switched_on_at_a_resume(tmp_path, make, fake):
    torch.manual_seed(0)
    saver = ModelCheckpoint(tmp_path, filename="plain")
    make(tmp_path, [saver], max_epochs=1, enable_checkpointing=True).fit(fake.Module(), *fake.loaders())
    _, weights = train(tmp_path / "on", make, fake, epochs=2, ckpt_path=tmp_path / "plain.ckpt")
    plain = torch.load(tmp_path / "plain.ckpt", weights_only=True)["state_dict"]
    assert equal(weights.trained[0], dict(plain))
