import pytest
import segmentation_models_pytorch as smp
import torch
from torch.nn import functional as F

from visionkit.errors import ConfigError
from visionkit.losses import segmentation as losses

FUNCTIONS = (losses.cross_entropy, losses.dice_loss, losses.focal_loss, losses.ohem_cross_entropy)
MODULES = (losses.CrossEntropy, losses.Dice, losses.Focal, losses.OhemCrossEntropy)
K = 4


def example(*space: int, ignored: float = 0.2, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, K, *space, generator=random, dtype=torch.float64) * 3
    target = torch.randint(K, (2, *space), generator=random)
    return logits, target.masked_fill(torch.rand(target.shape, generator=random) < ignored, -1)


@pytest.mark.parametrize("space", [(7, 5), (3, 5, 4), (1, 1)])
@pytest.mark.parametrize("class_weights", [None, [0.5, 2.0, 0.0, 1.0]])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_equals_torch(space, class_weights, smoothing) -> None:
    logits, target = example(*space, ignored=0.0 if space == (1, 1) else 0.2)
    weight = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float64)
    expected = F.cross_entropy(logits, target, weight=weight, ignore_index=-1, label_smoothing=smoothing)
    torch.testing.assert_close(losses.cross_entropy(logits, target, class_weights, smoothing), expected)


@pytest.mark.parametrize("space", [(7, 5), (3, 5, 4)])
def test_dice_equals_smp(space) -> None:
    logits, target = example(*space)
    target[target == 3] = 2  # class 3 is absent
    # There, smooth is added to half of each sum, and an absent class enters the mean with loss 0.
    reference = smp.losses.DiceLoss("multiclass", smooth=0.5, ignore_index=-1)
    expected = reference(logits, target) * K / 3
    torch.testing.assert_close(losses.dice_loss(logits, target, smooth=1.0), expected)


def test_dice_by_hand() -> None:
    p = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.3, 0.3, 0.4]], dtype=torch.float64)
    logits, target = p.log().T.reshape(1, 3, 1, 3), torch.tensor([[[0, 1, -1]]])
    class_0 = 1 - (2 * 0.7 + 0.5) / (0.8 + 1 + 0.5)
    class_1 = 1 - (2 * 0.6 + 0.5) / (0.8 + 1 + 0.5)
    class_2 = 1 - 0.5 / (0.4 + 0.5)  # absent: pays for the probability spent on it

    def dice(**options) -> float:
        return float(losses.dice_loss(logits, target, smooth=0.5, **options))

    assert dice() == pytest.approx((class_0 + class_1) / 2)
    assert dice(present_only=False) == pytest.approx((class_0 + class_1 + class_2) / 3)
    assert dice(class_weights=[3.0, 1.0, 5.0]) == pytest.approx((3 * class_0 + class_1) / 4)


def test_dice_of_a_perfect_prediction_is_zero() -> None:
    _, target = example(9, 9, ignored=0.0)
    logits = F.one_hot(target, K).movedim(-1, 1) * 100.0
    assert float(losses.dice_loss(logits, target)) == pytest.approx(0, abs=1e-6)
    assert float(losses.dice_loss(logits.roll(1, dims=1), target, smooth=0)) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("alpha", [None, [0.25, 1.0, 2.0, 0.5]])
def test_focal_equals_its_formula(gamma, alpha) -> None:
    logits, target = example(5, 6)
    log_p = logits.log_softmax(1).movedim(1, -1)[target != -1]
    true = target[target != -1]
    log_p = log_p[torch.arange(len(true)), true]
    factor = 1.0 if alpha is None else torch.tensor(alpha, dtype=torch.float64)[true]
    expected = -(factor * (1 - log_p.exp()) ** gamma * log_p).mean()
    torch.testing.assert_close(losses.focal_loss(logits, target, gamma, alpha), expected)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_gradient_is_finite_where_the_prediction_is_certain(gamma) -> None:
    logits = torch.tensor([200.0, -200.0]).view(1, 2, 1, 1).requires_grad_()
    for target in (0, 1):
        (gradient,) = torch.autograd.grad(losses.focal_loss(logits, torch.full((1, 1, 1), target), gamma), logits)
        assert gradient.isfinite().all()


def ohem_by_sorting(logits, target, threshold, min_kept, weights) -> float:
    pixels = logits.softmax(1).movedim(1, -1)[target != -1]
    true = target[target != -1]
    hardest = sorted((float(p[t]), int(t)) for p, t in zip(pixels, true, strict=True))
    kept = [pair for i, pair in enumerate(hardest) if pair[0] <= threshold or i < min_kept]
    cost = sum(-weights[t] * torch.tensor(p).double().log() for p, t in kept)
    return float(cost / sum(weights[t] for _, t in kept))


@pytest.mark.parametrize(("threshold", "min_kept"), [(0.3, 0), (0.05, 20), (0.3, 10), (0.0, 7), (1.0, 0), (0.1, 10**6)])
@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0, 1.5]])
def test_ohem_equals_sorting(threshold, min_kept, weights) -> None:
    logits, target = example(6, 5)
    expected = ohem_by_sorting(logits, target, threshold, min_kept, weights or [1.0] * K)
    assert float(losses.ohem_cross_entropy(logits, target, threshold, min_kept, weights)) == pytest.approx(expected)


def test_ohem_that_keeps_all_is_cross_entropy() -> None:
    logits, target = example(6, 5)
    expected = losses.cross_entropy(logits, target)
    torch.testing.assert_close(losses.ohem_cross_entropy(logits, target, threshold=1.0, min_kept=0), expected)
    torch.testing.assert_close(losses.ohem_cross_entropy(logits, target, threshold=0.0, min_kept=10**9), expected)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("space", [(4, 3), (2, 3, 2), (0, 3)])
def test_nothing_labelled_is_zero_with_a_graph(function, space) -> None:
    logits = torch.randn(2, K, *space).requires_grad_()
    loss = function(logits, torch.full((2, *space), -1))
    loss.backward()
    assert float(loss) == 0
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_ignored_pixels_do_not_matter(function) -> None:
    logits, target = example(6, 5)
    changed = torch.where((target == -1).unsqueeze(1), torch.randn_like(logits) * 50, logits)
    torch.testing.assert_close(function(changed, target), function(logits, target))
    other = function(logits, target.masked_fill(target == -1, 255), ignore_index=255)
    torch.testing.assert_close(other, function(logits, target))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_volume_is_a_picture_with_more_rows(function) -> None:
    logits, target = example(4, 3, 5)
    flat = function(logits.flatten(2, 3), target.flatten(1, 2))
    torch.testing.assert_close(function(logits, target), flat)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_permuting_classes_changes_nothing(function) -> None:
    logits, target = example(6, 5)
    order = torch.tensor([2, 0, 3, 1])
    renamed = torch.where(target < 0, target, order.argsort()[target.clamp(min=0)])
    torch.testing.assert_close(function(logits[:, order], renamed), function(logits, target))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_half_precision_is_computed_in_float32(function) -> None:
    logits, target = example(40, 40)
    rounded = logits.bfloat16()
    loss = function(rounded, target)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, function(rounded.float(), target))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_gradients(function) -> None:
    logits, target = example(3, 2, seed=1)
    torch.autograd.gradcheck(lambda x: function(x, target), logits.requires_grad_())


@pytest.mark.parametrize("module", MODULES)
def test_modules_carry_their_weight_and_leave_no_trace_in_checkpoints(module) -> None:
    name = "alpha" if module is losses.Focal else "class_weights"
    weights = [1.0, 2.0, 3.0, 4.0]
    term = module(weight=0.5, **{name: weights})
    function = FUNCTIONS[MODULES.index(module)]
    logits, target = example(5, 5)
    assert term.weight == 0.5
    assert not term.state_dict()
    torch.testing.assert_close(term(logits, target), function(logits, target, **{name: weights}))
    assert float(term(logits, target)) != float(module()(logits, target))


@pytest.mark.parametrize("module", MODULES)
def test_wrong_number_of_weights_is_named(module) -> None:
    name = "alpha" if module is losses.Focal else "class_weights"
    with pytest.raises(ConfigError, match=rf"C41.*{name}: 3 numbers for 4 classes"):
        module(**{name: [1.0, 2.0, 3.0]})(*example(2, 2))


@pytest.mark.parametrize("space", [(7, 5), (3, 5, 4)])
def test_dice_without_background_is_the_batch_dice_of_nnunet(space) -> None:
    """Sums over the whole batch, the mean over the foreground, 1e-5 in numerator and denominator."""
    logits, target = example(*space, ignored=0.0)
    probability, truth = logits.softmax(1), F.one_hot(target, K).movedim(-1, 1)
    axes = (0, *range(2, logits.ndim))
    overlap, both = (probability * truth).sum(axes), probability.sum(axes) + truth.sum(axes)
    expected = 1 - ((2 * overlap + 1e-5) / (both + 1e-5))[1:].mean()
    found = losses.dice_loss(logits, target, smooth=1e-5, present_only=False, background=False)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(losses.Dice(smooth=1e-5, present_only=False, background=False)(logits, target), expected)
    nothing = losses.dice_loss(logits, torch.zeros_like(target), background=False)
    assert float(nothing) == 0.0
