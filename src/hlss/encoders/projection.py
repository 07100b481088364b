"""A fresh linear projection after pretrained features, and where it starts (decision 0011)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hlss.errors import UserError


def orthogonal(features: int, dim: int, seed: int) -> nn.Linear:
    """A projection that keeps lengths as far as it can, drawn by `seed`, until it is placed."""
    with torch.random.fork_rng(devices=[]):
        projection = nn.Linear(features, dim)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        nn.init.orthogonal_(projection.weight, generator=generator)
        projection.bias.zero_()
    return projection


def place_as_pca(projection: nn.Linear, features: Float[Tensor, "n f"]) -> None:
    """Start a projection as a PCA of these features: W = principal axes, b = −W·mean, in float64.

    Where there are fewer features than dimensions, axes orthogonal to all of them fill up the rest. Raises UserError
    where more dimensions are asked for than a feature has.
    """
    dim = projection.out_features
    if features.shape[1] < dim:
        raise UserError(
            f"features of {features.shape[1]} numbers cannot be projected to {dim} by a PCA",
            where="encoder.dim",
            fix="Use a smaller dimension.",
        )
    rows = features.double()
    mean = rows.mean(dim=0)
    _, _, axes = torch.linalg.svd(rows - mean, full_matrices=len(rows) < dim)
    axes = axes[:dim]
    axes = axes * torch.where(axes.sum(dim=1, keepdim=True) < 0, -1.0, 1.0)  # no sign of its own: choose for good
    with torch.no_grad():
        projection.weight.copy_(axes)
        projection.bias.copy_(-(axes @ mean))
