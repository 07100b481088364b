"""The schedule against its formula, and who gets which rate."""

import math

import pytest
import torch
from torch import nn

from hlss.errors import UserError
from hlss.train.optim import freeze, learning_rate, optimiser
from hlss.train.settings import FreezeSpec, TrainSpec


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
