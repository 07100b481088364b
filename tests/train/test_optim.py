"""The schedule against its formula, and who gets which rate."""

import math

import pytest
import torch
from torch import Tensor, nn

from hlss.errors import UserError
from hlss.train.optim import freeze, learning_rate, optimiser, set_learning_rate
from hlss.train.settings import FreezeSpec, TrainSpec

EPS, BETA1, BETA2 = 1e-8, 0.9, 0.999


def adamw(start: Tensor, gradients: list[Tensor], rates: list[float], decay: float) -> Tensor:
    """Where a parameter gets to, an entry at a time, in float64 (Loshchilov & Hutter 2019, "Decoupled Weight Decay
    Regularization", Algorithm 2).
    """
    reached = []
    for entry, value in enumerate(start.double().flatten().tolist()):
        m = v = 0.0
        for step, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
            g = float(gradient.flatten()[entry])
            m, v = BETA1 * m + (1 - BETA1) * g, BETA2 * v + (1 - BETA2) * g * g
            unbiased = m / (1 - BETA1**step), v / (1 - BETA2**step)
            value -= rate * (unbiased[0] / (math.sqrt(unbiased[1]) + EPS) + decay * value)
        reached.append(value)
    return torch.tensor(reached, dtype=torch.float64).view(start.shape)


def test_linear_warm_up_then_half_a_cosine():
    spec = TrainSpec(steps=100, lr=2.0, warmup=0.1)
    rates = [learning_rate(spec, step, 100) for step in range(100)]
    assert rates[:10] == pytest.approx([0.2 * (step + 1) for step in range(10)])
    assert rates[10] == 2.0
    assert rates[55] == pytest.approx(1.0)
    assert rates[99] == pytest.approx(1 + math.cos(math.pi * 89 / 90))


def test_no_warm_up_begins_at_the_full_rate():
    assert learning_rate(TrainSpec(steps=10, lr=1.0, warmup=0.0), 0, 10) == 1.0


def test_pretrained_parameters_get_the_scaled_rate(make_run):
    run = make_run(lr=0.1, lr_scale=0.01)
    groups = optimiser(run.encoder, run.objective, run.spec).param_groups
    assert [group["scale"] for group in groups] == [0.01, 1.0]
    assert sum(p.numel() for p in groups[0]["params"]) == sum(p.numel() for p in run.encoder.parameters())
    assert all(group["weight_decay"] == 0.01 for group in groups)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_steps_are_adamws_whatever_the_type_and_the_layout(make_run, dtype, tolerance, layout):
    run, draw = make_run(lr=1e-2, lr_scale=0.1, weight_decay=0.1), torch.Generator().manual_seed(0)
    run.encoder.to(dtype).to(memory_format=layout)
    run.objective.to(dtype)
    optimizer = optimiser(run.encoder, run.objective, run.spec)
    rates, gradients = [1e-2, 5e-3, 2e-2, 1e-3], {}
    moved = {"conv": run.encoder.stem[0].weight, "head": next(run.objective.parameters())}
    starts = {name: p.detach().clone() for name, p in moved.items()}
    for rate in rates:
        set_learning_rate(optimizer, rate)
        for name, p in moved.items():
            g = torch.randn(p.shape, generator=draw, dtype=torch.float64).to(dtype)
            gradients.setdefault(name, []).append(g)
            p.grad = torch.empty_like(p).copy_(g)
        optimizer.step()
    for name, scale in (("conv", 0.1), ("head", 1.0)):
        truth = adamw(starts[name], gradients[name], [rate * scale for rate in rates], 0.1) - starts[name]
        found = moved[name].detach().double() - starts[name]
        assert (found - truth).norm() <= tolerance * truth.norm(), name


def test_frozen_norms_keep_statistics_and_take_no_gradient(make_run):
    encoder = make_run().encoder
    encoder.stem.append(nn.BatchNorm2d(4))
    freeze(encoder, FreezeSpec(norms=True))
    norms = [m for m in encoder.modules() if isinstance(m, nn.BatchNorm2d | nn.GroupNorm)]
    assert len(norms) == 2
    assert all(not m.training and not any(p.requires_grad for p in m.parameters()) for m in norms)
    assert encoder.body.training


def test_nothing_left_to_train_is_an_error(make_run):
    run = make_run()
    freeze(run.encoder, FreezeSpec(stages=2))
    with pytest.raises(UserError, match="nothing of the encoder is left to train"):
        optimiser(run.encoder, run.objective, run.spec)


def test_length_in_steps_or_epochs():
    assert TrainSpec(epochs=2.5).length(4) == 10
    assert TrainSpec().length(2) == 80_000
    with pytest.raises(ValueError, match="not both"):
        TrainSpec(steps=1, epochs=1)
    assert torch.optim.AdamW([nn.Parameter(torch.zeros(1))]).defaults["weight_decay"] == TrainSpec().weight_decay
