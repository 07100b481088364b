"""The contrastive kernel: Eq. 1 for every method, with positives by identity and no M × M matrix in memory."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import torch
import torch.nn.functional as F  # noqa: N812 — torch's own name for it
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor
from torch.autograd.function import once_differentiable

from hlss.errors import UserError

KeyT = TypeVar("KeyT", bound=str)
Tau = Annotated[float, Field(ge=0.002)]  # below, exp(1/τ) leaves even float64 (see `_working_dtype`)

CPU_TILE, GPU_TILE = 512, 4096  # side of a tile: the exponentials should stay in the cache, and fill the device
KEPT_TILES = 6  # so few tiles of exponentials are kept between the two passes instead of being made again

Block = tuple[slice, slice]


def contrast(
    z: Float[Tensor, "M k"] | Mapping[KeyT, Float[Tensor, "M _"]],
    ids: Mapping[KeyT, Int[Tensor, " M"]],
    tau: float,
    rows: slice | None = None,
) -> dict[KeyT, Float[Tensor, ""]]:
    """Eq. 1 (SupCon's L_out, Khosla et al. 2020, eq. 2), meaned over anchors, for each way to say who is positive.

    z:    unit rows of all M views, one projection for all levels (which then share the work) or one for each.
          float32 at least is used, whatever autocast says.
    ids:  by level, the identity of each view: an anchor's positives are the other views of equal id, its negatives
          all the rest.
    tau:  temperature, at least 0.002.
    rows: the anchors (this rank's own views); None: all views.

    Anchors without positives leave the mean. A level's loss is W / n_valid · Σ over own valid anchors, where
    W = M / own rows and n_valid counts over all M, so that the mean over ranks is the loss of one process.
    Raises UserError naming the level where no view has a positive.
    """
    zs = z.unsqueeze(0) if isinstance(z, Tensor) else _stacked([z[level] for level in ids])
    rows = slice(0, zs.shape[1]) if rows is None else rows
    precise = zs.to(_working_dtype(zs.dtype, tau))
    levels = _levels(ids, rows, precise.dtype)
    with torch.autocast(zs.device.type, enabled=False):
        losses: Tensor = _Contrast.apply(precise, levels, tau, rows)  # type: ignore[no-untyped-call]
    return dict(zip(ids, losses.to(torch.promote_types(zs.dtype, torch.float32)).unbind(), strict=True))


def _stacked(projections: list[Tensor]) -> Float[Tensor, "l M k"]:
    """All projections at one width; zeros appended to a row change no dot product."""
    width = max(z.shape[1] for z in projections)
    return torch.stack([z if z.shape[1] == width else F.pad(z, (0, width - z.shape[1])) for z in projections])


def _working_dtype(dtype: torch.dtype, tau: float) -> torch.dtype:
    """Logits of unit rows lie within ±1/τ, so that sums of exp(logit) need no maximum taken out first: they stay in
    float32 for 1/τ ≤ 75 (e^±75 ≈ 10^±33) and in float64 for the rest.
    """
    return torch.promote_types(dtype, torch.float32 if tau * 75 >= 1 else torch.float64)


@dataclass(frozen=True, eq=False)
class _Levels:
    """Who is positive at each level, and what that weighs.

    group:  number of each view's group, no number being used at two levels.
    weight: of each anchor in the loss; 0 for a view of another rank, and for one without positives.
    pull:   weight / |P_i|, but of views of other ranks too.
    """

    group: Int[Tensor, "l M"]
    weight: Float[Tensor, "l M"]
    pull: Float[Tensor, "l M"]


def _levels(ids: Mapping[KeyT, Int[Tensor, " M"]], rows: slice, dtype: torch.dtype) -> _Levels:
    ordered, order = torch.stack(list(ids.values())).sort(dim=1)
    starts = F.pad(ordered.diff(dim=1) != 0, (1, 0), value=True)
    group = torch.empty_like(order).scatter_(1, order, starts.flatten().cumsum(0).view_as(starts) - 1)
    n_positives = group.flatten().bincount()[group] - 1
    valid = n_positives > 0
    n_valid = valid.sum(dim=1, keepdim=True)
    for level, count in zip(ids, n_valid.flatten().tolist(), strict=True):
        if count == 0:
            raise UserError(
                f"no view of the batch has another view of its {level}: the {level} level has no positives",
                fix="Draw more views per patch, patches per slide or slides per patient.",
            )
    world = group.shape[1] / (rows.stop - rows.start)
    weight = valid * (world / n_valid.double())
    pull = weight / n_positives.clamp(min=1)
    weight[:, : rows.start] = weight[:, rows.stop :] = 0
    return _Levels(group, weight.to(dtype), pull.to(dtype))


class _Contrast(torch.autograd.Function):
    """Losses of the levels, (l,), from their projections, (l, M, k) or one for all, (1, M, k).

    The gradient is formed in the forward pass, where the exponentials are at hand.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, levels: _Levels, tau: float, rows: slice) -> Tensor:
        x = z * tau**-0.5  # logits are x xᵀ
        together, gradients = _attraction(x.expand(len(levels.group), -1, -1), levels, rows)
        gradients.neg_()
        if len(x) > 1:
            pairs = zip(x, levels.weight.unsqueeze(1), gradients.unsqueeze(1), strict=True)
            apart = torch.cat([_repulsion(own_x, weight, rows, gradient) for own_x, weight, gradient in pairs])
        else:  # levels that weigh anchors alike repel alike, once for all
            kinds, kind_of_level = torch.unique(levels.weight, dim=0, return_inverse=True)
            slopes = x.new_zeros(len(kinds), *x.shape[1:])
            apart = _repulsion(x[0], kinds, rows, slopes)[kind_of_level]
            gradients += slopes[kind_of_level]
        ctx.save_for_backward(gradients)
        ctx.scale, ctx.shared = tau**-0.5, len(x) == 1
        return apart - together

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        (gradients,) = ctx.saved_tensors
        at_z = gradients * (upstream * ctx.scale).view(-1, 1, 1)
        return at_z.sum(0, keepdim=True) if ctx.shared else at_z, None, None, None


def _attraction(
    x: Float[Tensor, "l M k"], levels: _Levels, rows: slice
) -> tuple[Float[Tensor, " l"], Float[Tensor, "l M k"]]:
    """Σ_i w_i/|P_i| Σ_{p∈P_i} x_i·x_p and its gradient: a view is pulled by its positives if it is an own anchor, and
    by each own anchor whose positive it is. These are the same views where all anchors are own.
    """
    gradient = _sum_of_positives(x, levels.group)
    if rows.stop - rows.start == x.shape[1]:
        gradient *= 2
    else:
        own = torch.zeros_like(x)
        own[:, rows] = x[:, rows]
        by_anchors = _sum_of_positives(own, levels.group)
        by_anchors[:, rows] += gradient[:, rows]
        gradient = by_anchors
    gradient *= levels.pull.unsqueeze(2)
    return (x * gradient).sum(dim=(1, 2)) / 2, gradient  # a quadratic form is half its gradient times x


def _sum_of_positives(x: Float[Tensor, "l M k"], group: Int[Tensor, "l M"]) -> Float[Tensor, "l M k"]:
    """The sum of each view's group less the view itself."""
    flat_x, flat_group = x.flatten(0, 1), group.flatten()
    sums = torch.zeros_like(flat_x).index_add_(0, flat_group, flat_x)
    return sums.index_select(0, flat_group).view(x.shape).sub_(x)


def _repulsion(
    x: Float[Tensor, "M k"], weights: Float[Tensor, "g M"], rows: slice, gradients: Float[Tensor, "g M k"]
) -> Float[Tensor, " g"]:
    """Σ_i w_i log Σ_{a≠i} exp(x_i·x_a) for each of `weights` (zero outside `rows`); its gradient is added to
    `gradients`.

    Two passes over tiles of E = exp(x xᵀ): row sums R, then gradient = (E ∘ (u 1ᵀ + 1 uᵀ)) x with u = w/R. E is
    symmetric, so a pair of own tiles is made once for both.
    """
    blocks = _blocks(len(x), rows, CPU_TILE if x.device.type == "cpu" else GPU_TILE)
    kept = list(_exponentials(x, blocks)) if len(blocks) <= KEPT_TILES else None
    sums = x.new_zeros(len(x))
    for (anchors, others), tile in zip(blocks, kept or _exponentials(x, blocks), strict=True):
        sums[anchors].add_(tile.sum(1))
        if anchors != others:
            sums[others].add_(tile.sum(0))
    us = weights / sums
    for (anchors, others), tile in zip(blocks, kept or _exponentials(x, blocks), strict=True):
        for u, gradient in zip(us, gradients, strict=True):
            slopes = (u[anchors].unsqueeze(1) + u[others]).mul_(tile)
            gradient[anchors].addmm_(slopes, x[others])
            if anchors != others:
                gradient[others].addmm_(slopes.T, x[anchors])
    return weights @ sums.log_()


def _blocks(n: int, rows: slice, tile: int) -> list[Block]:
    """Pairs of tiles (own rows, any rows) that cover own × all, a pair of own tiles once."""
    before, own, after = (
        [slice(start, min(start + tile, stop)) for start in range(begin, stop, tile)]
        for begin, stop in ((0, rows.start), (rows.start, rows.stop), (rows.stop, n))
    )
    return [(anchors, others) for i, anchors in enumerate(own) for others in (*own[i:], *before, *after)]


def _exponentials(x: Float[Tensor, "M k"], blocks: list[Block]) -> Iterator[Tensor]:
    for anchors, others in blocks:
        tile = (x[anchors] @ x[others].T).exp_()
        if anchors == others:
            tile.fill_diagonal_(0)  # an anchor is not its own negative
        yield tile
