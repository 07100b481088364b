"""Tower and heads as one module, and how a batch goes through it: at once, or by two-pass gradient caching."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hlss.encoders.base import ImageEncoder
from hlss.objectives.base import Objective, Projected

Tensors = dict[str, Tensor]
LossOf = Callable[[Tensor, Projected], Tensor]  # z and its projections → the total


class Network(nn.Module):
    """Image tower under autocast, heads in float32. The wrapper of distributed training goes around this."""

    def __init__(self, encoder: ImageEncoder, objective: Objective, bf16: bool) -> None:
        super().__init__()
        self.encoder, self.objective, self.bf16 = encoder, objective, bf16

    def features(self, views: Tensor, encoder: nn.Module | None = None) -> Float[Tensor, "m d"]:
        """z of each view, float32; by a copy of the tower where one is given."""
        pixels = self.encoder.normalised(views)
        if pixels.dim() == 4:
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.bf16):
            z: Tensor = (self.encoder if encoder is None else encoder)(pixels)
        return z.to(torch.float32)

    @torch.no_grad()
    def targets(self, parts: Sequence[Tensor]) -> Tensors:
        """What the objective's own copy of the tower makes of the views, seen part by part, if it has one."""

        def encode(copy: nn.Module) -> Tensor:
            for leader, follower in zip(self.encoder.modules(), copy.modules(), strict=True):
                follower.training = leader.training
            return torch.cat([self.features(views, copy) for views in parts])

        return self.objective.targets(encode)

    def forward(self, views: Tensor, heads_on: Tensor | None = None) -> tuple[Tensor, Tensors, Tensors]:
        """z, its shared and its own projections; with `heads_on`, projections of those features (none if empty).

        Plain containers, because the wrappers of distributed training look into what comes out.
        """
        z = self.features(views)
        if heads_on is None:
            heads_on = z
        if heads_on.numel() == 0:
            return z, {}, {}
        projected = self.objective.project(heads_on)
        return z, dict(projected.shared), dict(projected.own)


def _with(projected: Projected, targets: Tensors) -> Projected:
    return Projected(projected.shared, {**projected.own, **targets})


def whole_batch(
    network: nn.Module, inner: Network, views: Tensor, loss_of: LossOf, backward: Callable[[Tensor], None]
) -> Tensor:
    """One forward, one backward. `inner` is the network without its wrapper. Returns z with its gradient kept."""
    z, shared, own = network(views)
    z.retain_grad()
    backward(loss_of(z, _with(Projected(shared, own), inner.targets([views]))))
    return z


def by_chunks(
    network: nn.Module,
    inner: Network,
    views: Tensor,
    chunk: int,
    loss_of: LossOf,
    backward: Callable[[Tensor], None],
    unsynced: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Tensor:
    """Two-pass gradient caching (Gao et al. 2021): exact where no layer looks across views, at the memory of a chunk.

    First z by chunks without a graph; then the loss and its gradient at z and at the projections; then the chunks
    again with a graph, the cached gradients flowing in. Heads are run once more with the last chunk, so that the
    gradients of all parameters are exchanged in that one backward. `inner` is the network without its wrapper.
    Returns z with its gradient.
    """
    parts = list(torch.split(views, chunk))
    with torch.no_grad():
        z = torch.cat([inner.features(part) for part in parts])
    projected = inner.objective.project(z.requires_grad_(True))
    loss = loss_of(z, _with(projected, inner.targets(parts)))
    gradients = torch.autograd.grad(loss, [z, *_with_gradient(projected.shared, projected.own)], allow_unused=True)
    z.grad = gradients[0]
    assert z.grad is not None
    offset = 0
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        heads_on = z.detach() if last else z.detach()[:0]
        with nullcontext() if last else unsynced():
            z_part, shared, own = network(part, heads_on)
            surrogate = (z_part * z.grad[offset : offset + len(part)]).sum()
            for tensor, gradient in zip(_with_gradient(shared, own), gradients[1:], strict=False):
                if gradient is not None:
                    surrogate = surrogate + (tensor * gradient).sum()
            backward(surrogate)
        offset += len(part)
    return z


def _with_gradient(*projections: Mapping[str, Tensor]) -> list[Tensor]:
    return [tensor for named in projections for tensor in named.values() if tensor.requires_grad]
