"""Projections: small trained layers between a feature and a loss, with unit rows out."""

import math

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


def text_layer(texts: Float[Tensor, "k d"]) -> UnitLinear:
    """PPM's layer of a level: W_l starts as the text rows t_l, b_l as 0."""
    width, dim = texts.shape
    dtype = torch.promote_types(texts.dtype, torch.float32)
    layer = UnitLinear(dim, width, device="meta", dtype=dtype).to_empty(device=texts.device)
    with torch.no_grad():
        layer.weight.copy_(texts)
        layer.bias.zero_()
    return layer


def random_layer(dim: int, width: int, seed: int) -> UnitLinear:
    """A layer drawn uniformly within ±1/√dim, b = 0, by a generator of its own (the global one stays untouched)."""
    layer = UnitLinear(dim, width, device="meta").to_empty(device="cpu")
    bound = 1 / math.sqrt(dim)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=torch.Generator().manual_seed(seed))
        layer.bias.zero_()
    return layer
