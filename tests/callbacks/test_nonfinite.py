import re

import pytest
import torch

from visionkit.callbacks.nonfinite import NonFiniteGuard, batch_keys
from visionkit.errors import NonFiniteError


def spoil_at(step, value, term="dice"):
    def spoil(module, terms):
        if module.global_step == step:
            terms[term] = terms[term] * value

    return spoil


def fit(folder, make, fake, spoil, guard, **options):
    module = fake.Module(spoil)
    make(folder, [guard], **options).fit(module, *fake.loaders())


@pytest.mark.parametrize(("value", "shown"), [(float("nan"), "nan"), (float("inf"), "inf")])
def test_the_error_names_step_term_and_samples(tmp_path, make, fake, value, shown):
    guard = NonFiniteGuard(gradients=False)
    with pytest.raises(NonFiniteError) as caught:
        fit(tmp_path, make, fake, spoil_at(4, value), guard)
    assert str(caught.value) == (
        f"error[N01] step 4: the loss is {shown} (segmentation/dice={shown}) on the samples camvid/frame_2, "
        "camvid/frame_3; lower optimizer.lr, set trainer.precision=32, or look at these samples"
    )
    assert caught.value.exit_code == 4


def test_the_first_bad_step_is_named_when_losses_are_looked_at_rarely(tmp_path, make, fake):
    with pytest.raises(NonFiniteError, match=r"step 1: the loss is nan .*camvid/frame_2, camvid/frame_3"):
        fit(tmp_path, make, fake, spoil_at(1, float("nan")), NonFiniteGuard(every_n_steps=1000, gradients=False))


def test_no_checkpoint_is_written_after_a_bad_step(tmp_path, make, fake):
    from lightning.pytorch.callbacks import ModelCheckpoint

    saver = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    trainer = make(tmp_path, [saver, NonFiniteGuard(every_n_steps=1000, gradients=False)], enable_checkpointing=True)
    with pytest.raises(NonFiniteError, match="step 2"):
        trainer.fit(fake.Module(spoil_at(2, float("inf"))), *fake.loaders())
    assert sorted(path.name for path in tmp_path.glob("*.ckpt")) == ["step=1.ckpt", "step=2.ckpt"]


def test_a_bad_gradient_is_found_before_the_weights_change(tmp_path, make, fake):
    def spoil(module, terms):  # the square root of zero: a finite value with an infinite slope
        if module.global_step == 2:
            terms["dice"] = terms["dice"] + (module.body[0].weight * 0).square().sum().sqrt()

    module = fake.Module(spoil)
    with pytest.raises(NonFiniteError, match=r"error\[N02\] step 2: the gradient is not finite in body.0.weight on"):
        make(tmp_path, [NonFiniteGuard()]).fit(module, *fake.loaders())
    assert all(parameter.isfinite().all() for parameter in module.parameters())


def test_a_healthy_training_is_left_alone(tmp_path, make, fake):
    fit(tmp_path, make, fake, None, NonFiniteGuard(), max_epochs=3)


def test_a_sum_may_overflow_where_its_terms_do_not(tmp_path, make, fake):
    def spoil(module, terms):
        for name in terms:
            terms[name] = terms[name] * 0 + 3e38

    with pytest.raises(NonFiniteError, match="the loss is inf, though each of its terms is finite on"):
        fit(tmp_path, make, fake, spoil, NonFiniteGuard(gradients=False))


def test_long_lists_of_samples_are_cut(tmp_path, make, fake):
    guard = NonFiniteGuard(gradients=False)
    trainer, module = make(tmp_path, [guard]), fake.Module()
    guard.on_train_batch_start(trainer, module, {"camvid": {"key": [f"k{i}" for i in range(30)]}}, 0)
    with pytest.raises(NonFiniteError) as caught:
        guard.on_train_batch_end(trainer, module, {"loss": torch.tensor(float("nan")), "terms": {}}, {}, 0)
    assert re.search(r"camvid/k11 and 18 more; ", str(caught.value))


def test_keys_of_batches():
    assert batch_keys({"key": ["a"]}) == ["a"]
    assert batch_keys({"x": {"key": ["a"]}, "y": {"key": ["b", "c"]}}) == ["x/a", "y/b", "y/c"]
    assert batch_keys([1]) == []
