"""One step: views in, terms and gradients out. The only communication stands here."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule
from torch import Tensor

from hlss.objectives.base import Gathered, Projected
from hlss.train.network import Network, by_chunks, whole_batch
from hlss.types import ViewBatch


class NonFiniteLossError(ArithmeticError):
    """A term or a gradient is NaN or infinite on some rank; raised on all of them alike."""


@dataclass
class Step:
    """What a step gave: terms (detached, this rank's part), gradient norms at z by term, and z itself."""

    terms: dict[str, float] = field(default_factory=dict)
    gradient_norms: dict[str, float] = field(default_factory=dict)
    z: Tensor = field(default_factory=lambda: torch.empty(0))


def run_step(
    fabric: Fabric, network: _FabricModule, inner: Network, batch: ViewBatch, chunk: int | None, with_norms: bool
) -> Step:
    """Forward, gather, loss, backward. Gradients are left in the parameters. Raises NonFiniteLossError on every rank.

    network: as `fabric.setup` wrapped it; inner: the same without its wrapper.
    """
    result = Step()

    def loss_of(z: Tensor, projected: Projected) -> Tensor:
        terms = inner.objective.loss(_gathered(fabric, projected, batch))
        total = torch.stack(list(terms.values())).sum()
        _check_finite(fabric, total, terms)
        result.terms = {name: float(term.detach()) for name, term in terms.items()}
        if with_norms:
            result.gradient_norms = {name: _norm_at(z, term) for name, term in terms.items()}
        return total

    views = batch.flat()
    if chunk is None or chunk >= batch.m:
        result.z = whole_batch(network, inner, views, loss_of, fabric.backward)
    else:
        unsynced = partial(fabric.no_backward_sync, network, enabled=fabric.world_size > 1)
        result.z = by_chunks(network, inner, views, chunk, loss_of, fabric.backward, unsynced)
    return result


def step_seed(seed: int, step: int, rank: int) -> int:
    """Seed of everything random on the model side of a step (dropout), so that no generator state is saved."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> 1)


def gather(fabric: Fabric, tensor: Tensor, with_gradient: bool = False) -> Tensor:
    """Rows of all ranks, in rank order; the backward of the gather sums over ranks."""
    if fabric.world_size == 1:
        return tensor
    gathered = fabric.all_gather(tensor, sync_grads=with_gradient)
    assert isinstance(gathered, Tensor)
    return gathered.flatten(0, 1)


def _gathered(fabric: Fabric, projected: Projected, batch: ViewBatch) -> Gathered:
    labels = batch.flat_labels()
    start = fabric.global_rank * batch.m
    return Gathered(
        shared={name: gather(fabric, tensor, with_gradient=True) for name, tensor in projected.shared.items()},
        own=projected.own,
        ids={level: gather(fabric, ids) for level, ids in batch.flat_ids().items()},
        labels=None if labels is None else gather(fabric, labels),
        rows=slice(start, start + batch.m),
    )


def any_rank(fabric: Fabric, here: bool) -> bool:
    """Whether `here` holds on some rank; called by all of them."""
    if fabric.world_size == 1:
        return here
    total = fabric.all_reduce(torch.tensor(float(here), device=fabric.device), reduce_op="sum")
    return float(total) > 0  # type: ignore[arg-type]


def _check_finite(fabric: Fabric, total: Tensor, terms: dict[str, Tensor]) -> None:
    if any_rank(fabric, not bool(torch.isfinite(total.detach()))):
        raise NonFiniteLossError(", ".join(f"{name} = {float(term.detach()):.4g}" for name, term in terms.items()))


def _norm_at(z: Tensor, term: Tensor) -> float:
    if not term.requires_grad:
        return 0.0
    (gradient,) = torch.autograd.grad(term, z, retain_graph=True, allow_unused=True)
    return 0.0 if gradient is None else float(gradient.norm())


def clipped_norm(parameters: Sequence[Tensor], clip_norm: float | None) -> float:
    """Norm of the whole gradient, clipped to `clip_norm` where one is given. Raises NonFiniteLossError."""
    total = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    norm = float(total)
    if not math.isfinite(norm):
        raise NonFiniteLossError(f"gradient norm = {norm}")
    if clip_norm is not None:
        torch.nn.utils.clip_grads_with_norm_(parameters, clip_norm, total)
    return norm
