"""Ordered pairs of views of one patch: the positives of methods that know no hierarchy."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hlss.errors import UserError
from hlss.objectives.base import Gathered
from hlss.types import Level

PairLoss = Callable[[Int[Tensor, " n"], Int[Tensor, " n"]], Float[Tensor, " n"]]


def ordered_pairs(ids: Int[Tensor, " M"]) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
    """Numbers of the two views of every ordered pair of different views of equal id; memory O(pairs).

    Raises UserError where there is none.
    """
    ordered, order = ids.sort(stable=True)
    firsts, seconds = [], []
    for apart in range(1, len(ids)):
        same = ordered[apart:] == ordered[:-apart]
        if not same.any():
            break
        firsts.append(order[:-apart][same])
        seconds.append(order[apart:][same])
    if not firsts:
        raise UserError(
            "no view of the batch has another view of its patch", fix="Draw more views per patch (batches.views)."
        )
    first, second = torch.cat(firsts), torch.cat(seconds)
    return torch.cat([first, second]), torch.cat([second, first])


def occurrence(ids: Int[Tensor, " M"]) -> Int[Tensor, " M"]:
    """How many views of equal id stand before each: 0 for a patch's first view, 1 for its second."""
    ordered, order = ids.sort(stable=True)
    places = torch.arange(len(ids), device=ids.device)
    starts = torch.where(torch.nn.functional.pad(ordered.diff() != 0, (1, 0), value=True), places, 0).cummax(0).values
    return torch.empty_like(order).scatter_(0, order, places - starts)


def mean_over_pairs(gathered: Gathered, loss: PairLoss) -> Float[Tensor, ""]:
    """Mean of a loss over all ordered pairs of views of a patch, of which this rank counts those of its own views.

    loss: of anchors and positives, given as numbers of *own* rows. The mean over ranks is the mean of one process.
    """
    first, second = ordered_pairs(gathered.ids[Level.PATCH])
    own = (first >= gathered.rows.start) & (first < gathered.rows.stop)
    anchors, positives = (numbers[own] - gathered.rows.start for numbers in (first, second))
    return loss(anchors, positives).sum() * (gathered.share / len(first))
