"""The contrastive kernel: Eq. 1 for every method, with positives by identity and no M × M matrix in memory."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import torch
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
    z: Float[Tensor, "M k"], ids: Mapping[KeyT, Int[Tensor, " M"]], tau: float, rows: slice | None = None
) -> dict[KeyT, Float[Tensor, ""]]:
    """Eq. 1 (SupCon's L_out, Khosla et al. 2020, eq. 2), meaned over anchors, for each way to say who is positive.

    z:    unit rows of all M views. float32 at least is used, whatever autocast says.
    ids:  by level, the identity of each view: an anchor's positives are the other views of equal id, its negatives
          all the rest. Levels that share z share the work.
    tau:  temperature, at least 0.002.
    rows: the anchors (this rank's own views); None: all views.

    Anchors without positives leave the mean. A level's loss is W / n_valid · Σ over own valid anchors, where
    W = M / own rows and n_valid counts over all M, so that the mean over ranks is the loss of one process.
    Raises UserError naming the level where no view has a positive.
    """
    rows = slice(0, len(z)) if rows is None else rows
    levels = [_grouping(level, identity, rows) for level, identity in ids.items()]
    with torch.autocast(z.device.type, enabled=False):
        losses: Tensor = _Contrast.apply(z.to(_working_dtype(z.dtype, tau)), levels, tau, rows)  # type: ignore[no-untyped-call]
    losses = losses.to(torch.promote_types(z.dtype, torch.float32))
    return dict(zip(ids, losses.unbind(), strict=True))


@dataclass(frozen=True, eq=False)
class _Grouping:
    """One level. group: (M,) number of each view's group; n_positives: (M,), at least 1; weight: (M,) each anchor's
    weight in the loss, 0 for a view of another rank and for one without positives.
    """

    group: Int[Tensor, " M"]
    n_positives: Int[Tensor, " M"]
    weight: Float[Tensor, " M"]


def _grouping(level: str, ids: Int[Tensor, " M"], rows: slice) -> _Grouping:
    _, group, sizes = torch.unique(ids, return_inverse=True, return_counts=True)
    n_positives = sizes.index_select(0, group) - 1
    valid = n_positives > 0
    n_valid = int(valid.sum())
    if n_valid == 0:
        raise UserError(
            f"no view of the batch has another view of its {level}: the {level} level has no positives",
            fix="Draw more views per patch, patches per slide or slides per patient.",
        )
    weight = torch.zeros(len(ids), dtype=torch.float64, device=ids.device)
    weight[rows] = valid[rows] * (len(ids) / (rows.stop - rows.start) / n_valid)
    return _Grouping(group, n_positives.clamp(min=1), weight)


def _working_dtype(dtype: torch.dtype, tau: float) -> torch.dtype:
    """Logits of unit rows lie within ±1/τ, so that sums of exp(logit) need no maximum taken out first: they stay in
    float32 for 1/τ ≤ 75 (e^±75 ≈ 10^±33) and in float64 for the rest.
    """
    return torch.promote_types(dtype, torch.float32 if tau * 75 >= 1 else torch.float64)


class _Contrast(torch.autograd.Function):
    """Losses of the levels, (L,). The gradient is formed in the forward pass, where the exponentials are at hand."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, levels: list[_Grouping], tau: float, rows: slice) -> Tensor:
        x = z * tau**-0.5  # logits are x xᵀ
        weights = [level.weight.to(x.dtype) for level in levels]
        kinds, kind_of_level = _distinct(weights)
        spreads = _spread(x, kinds, rows, with_gradient=ctx.needs_input_grad[0])
        losses, gradients = [], []
        for level, weight, kind in zip(levels, weights, kind_of_level, strict=True):
            apart, apart_gradient = spreads[kind]
            together, together_gradient = _pull(x, level, weight)
            losses.append(apart - together)
            gradients.append(apart_gradient - together_gradient)
        ctx.save_for_backward(*gradients)
        ctx.scale = tau**-0.5
        return torch.stack(losses)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        first, *others = ctx.saved_tensors
        factors = upstream * ctx.scale
        total = factors[0] * first
        for factor, gradient in zip(factors[1:], others, strict=True):
            total.addcmul_(factor, gradient)
        return total, None, None, None


def _distinct(weights: list[Tensor]) -> tuple[list[Tensor], list[int]]:
    """The different ones among `weights`, and which of them each level has: equal ones share the log-sum-exp."""
    kinds: list[Tensor] = []
    kind_of_level = []
    for weight in weights:
        same = [number for number, kind in enumerate(kinds) if torch.equal(kind, weight)]
        kind_of_level.append(same[0] if same else len(kinds))
        if not same:
            kinds.append(weight)
    return kinds, kind_of_level


def _pull(x: Float[Tensor, "M k"], level: _Grouping, weight: Tensor) -> tuple[Tensor, Float[Tensor, "M k"]]:
    """Σ_i w_i/|P_i| Σ_{p∈P_i} x_i·x_p and its gradient. A sum over positives is its group's sum less the anchor."""
    share = (weight / level.n_positives).unsqueeze(1)
    rows = torch.cat([x, share * x], dim=1)
    sums = torch.zeros_like(rows).index_add_(0, level.group, rows).index_select(0, level.group)
    (group, weighted_group), weighted = sums.chunk(2, dim=1), rows[:, x.shape[1] :]
    value = (weighted * (group - x)).sum()
    # x_k is pulled as an anchor by its positives, and as a positive by its anchors
    return value, torch.addcmul(weighted_group, share, group).sub_(weighted, alpha=2)


def _spread(
    x: Float[Tensor, "M k"], weights: list[Tensor], rows: slice, with_gradient: bool
) -> list[tuple[Tensor, Float[Tensor, "M k"]]]:
    """Σ_i w_i log Σ_{a≠i} exp(x_i·x_a) for each of `weights` (zero outside `rows`), with its gradient.

    Two passes over tiles of E = exp(x xᵀ): row sums R, then gradient = (E ∘ (u 1ᵀ + 1 uᵀ)) x with u = w/R. E is
    symmetric, so a pair of own tiles is made once for both.
    """
    blocks = _blocks(len(x), rows, CPU_TILE if x.device.type == "cpu" else GPU_TILE)
    kept = list(_exponentials(x, blocks)) if len(blocks) <= KEPT_TILES else None
    sums = x.new_zeros(len(x))
    for (anchors, others), tile in zip(blocks, kept or _exponentials(x, blocks), strict=True):
        sums[anchors] += tile.sum(1)
        if anchors != others:
            sums[others] += tile.sum(0)
    log_sums = sums.log()
    result = [(weight @ log_sums, torch.zeros_like(x)) for weight in weights]
    if not with_gradient:
        return result
    us = [weight / sums for weight in weights]
    for (anchors, others), tile in zip(blocks, kept or _exponentials(x, blocks), strict=True):
        for u, (_, gradient) in zip(us, result, strict=True):
            slopes = (u[anchors].unsqueeze(1) + u[others]).mul_(tile)
            gradient[anchors].addmm_(slopes, x[others])
            if anchors != others:
                gradient[others].addmm_(slopes.T, x[anchors])
    return result


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
