"""Projections: small trained layers between a feature and a loss, with unit rows out."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, TypeVar

import torch
import torch.nn.functional as F  # noqa: N812 — torch's own name for it
from jaxtyping import Float
from torch import Tensor, nn


class UnitLinear(nn.Linear):
    """normalize(W x + b), one layer: HiDisc's projection, and PPM's, where x is a unit row and W starts as t_l."""

    def forward(self, input: Float[Tensor, "m d"]) -> Float[Tensor, "m k"]:
        """Unit rows, float32 whatever autocast says."""
        with torch.autocast(input.device.type, enabled=False):
            return F.normalize(super().forward(input.to(self.weight.dtype)), dim=1)


Rows = Literal["text", "centred", "orthogonal", "completed"]


def text_layer(texts: Float[Tensor, "k d"], rows: Rows = "text") -> UnitLinear:
    """PPM's layer of a level: W_l starts from the text rows t_l, b_l as 0.

    rows: text:       the rows themselves (the paper).
          centred:    less their mean, so that what all texts share (most of each, in CLIP models) does not fill z'.
          orthogonal: of the centred rows the nearest matrix whose singular values are all 1 (Löwdin 1950), so that
                      every direction in which texts differ counts alike, and each row stays with its text.
          completed:  these, and below them an orthonormal basis of what no text names, d − rank rows more: z' then
                      starts with all the angles of z, and what has no word is still contrasted.
    """
    start = texts.to(torch.promote_types(texts.dtype, torch.float32))
    if rows != "text":
        start = start - start.mean(dim=0)
    if rows in ("orthogonal", "completed"):
        start = _orthogonal(start, complete=rows == "completed")
    width, dim = start.shape
    layer = UnitLinear(dim, width, device="meta", dtype=start.dtype).to_empty(device=start.device)
    with torch.no_grad():
        layer.weight.copy_(start)
        layer.bias.zero_()
    return layer


def _orthogonal(rows: Float[Tensor, "k d"], complete: bool) -> Float[Tensor, "k_or_more d"]:
    left, values, right = torch.linalg.svd(rows.double(), full_matrices=complete)
    rank = int((values > 1e-6 * values[0]).sum())  # centred rows lack a direction
    named = left[:, :rank] @ right[:rank]
    return torch.cat([named, right[rank:]] if complete else [named]).to(rows.dtype)


def random_layer(dim: int, width: int, seed: int) -> UnitLinear:
    """A layer drawn uniformly within ±1/√dim, b = 0, by a generator of its own (the global one stays untouched)."""
    layer = UnitLinear(dim, width, device="meta").to_empty(device="cpu")
    return _drawn(layer, torch.Generator().manual_seed(seed))


class Head(nn.Sequential):
    """Layers between a feature and a loss, float32 whatever autocast says."""

    def forward(self, input: Float[Tensor, "m d"]) -> Float[Tensor, "m k"]:
        with torch.autocast(input.device.type, enabled=False):
            rows: Tensor = super().forward(input)  # type: ignore[no-untyped-call]
        return rows


def perceptron(widths: Sequence[int], seed: int, norm: bool = True, last_norm: bool = False) -> Head:
    """Linear layers from each width to the next with ReLU between them; `norm`: BatchNorm before each ReLU,
    `last_norm`: after the last layer too. Weights as in `random_layer`; a layer before a norm has no bias.
    """
    draw = torch.Generator().manual_seed(seed)
    modules: list[nn.Module] = []
    for number, (dim, width) in enumerate(pairwise(widths), start=1):
        last = number == len(widths) - 1
        normed = last_norm if last else norm
        layer = nn.Linear(dim, width, bias=not normed, device="meta").to_empty(device="cpu")
        modules.append(_drawn(layer, draw))
        modules.extend([nn.BatchNorm1d(width)] * normed)
        modules.extend([nn.ReLU(inplace=True)] * (not last))
    return Head(*modules)


LinearT = TypeVar("LinearT", bound=nn.Linear)


def _drawn(layer: LinearT, draw: torch.Generator) -> LinearT:
    bound = 1 / math.sqrt(layer.in_features)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=draw)
        if layer.bias is not None:
            layer.bias.zero_()
    return layer
