"""AdamW, linear warm-up and cosine decay (SPEC §5), and what of a tower stays frozen."""

import math

import torch
from torch import nn

from hlss.encoders.base import ImageEncoder
from hlss.errors import UserError
from hlss.objectives.base import Objective
from hlss.train.settings import FreezeSpec, TrainSpec

_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)


def freeze(encoder: ImageEncoder, spec: FreezeSpec) -> None:
    """Put the tower into training mode with the frozen parts in evaluation mode and without gradient.

    Raises UserError where there are fewer stages than are to be frozen.
    """
    stages = encoder.stages() if spec.stages else []
    if spec.stages > len(stages):
        raise UserError(
            f"cannot freeze {spec.stages} stages, the encoder has {len(stages)}", where="train.freeze.stages"
        )
    encoder.train()
    for module in (module for stage in stages[: spec.stages] for module in stage):
        module.eval().requires_grad_(False)
    if spec.norms:
        for module in encoder.modules():
            if isinstance(module, _NORMS):
                module.eval().requires_grad_(False)


def optimiser(encoder: ImageEncoder, objective: Objective, spec: TrainSpec) -> torch.optim.AdamW:
    """AdamW over what takes gradient: pretrained parameters at lr · lr_scale, fresh ones and heads at lr.

    Fused: one pass over each parameter and its moments, on a CPU 4 to 10 times as fast as the default's many.
    Raises UserError where nothing is left to train.
    """
    fresh = {id(parameter) for parameter in encoder.fresh_parameters()}
    trained = [p for p in encoder.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if id(p) not in fresh], "scale": spec.lr_scale},
        {"params": [p for p in trained if id(p) in fresh], "scale": 1.0},
        {"params": [p for p in objective.parameters() if p.requires_grad], "scale": 1.0},
    ]
    groups = [group for group in groups if group["params"]]
    if not trained:
        raise UserError("nothing of the encoder is left to train", where="train.freeze", fix="Freeze fewer stages.")
    return torch.optim.AdamW(groups, lr=spec.lr, weight_decay=spec.weight_decay, fused=True)


def learning_rate(spec: TrainSpec, step: int, steps: int) -> float:
    """Rate of step `step` (from 0): linear over the first `warmup` of the steps, then half a cosine down to 0."""
    warm = round(spec.warmup * steps)
    if step < warm:
        return spec.lr * (step + 1) / warm
    return spec.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]
