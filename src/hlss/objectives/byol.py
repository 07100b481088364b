"""BYOL (Grill et al., NeurIPS 2020): a view predicts what a slowly following copy makes of the other view."""

import copy
import math
from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from hlss.objectives.base import Gathered, Given, Objective, ObjectiveSpec, Projected
from hlss.objectives.heads import perceptron
from hlss.objectives.pairs import mean_over_pairs
from hlss.registry import OBJECTIVES


@OBJECTIVES.register("byol")
class Byol(ObjectiveSpec):
    """Settings, with the paper's values ("Implementation details"). momentum: of the target at the start, from where
    it rises to 1; hidden, width: of the projection's and the predictor's two layers.
    """

    name: Literal["byol"] = "byol"
    momentum: float = Field(default=0.996, ge=0, le=1)
    hidden: int = Field(default=4096, ge=2)
    width: int = Field(default=256, ge=2)

    def build(self, given: Given) -> "ByolObjective":
        return ByolObjective(self, given)


class ByolObjective(Objective):
    """Squared distance of unit prediction and unit target (their eq. 2), of both directions together."""

    def __init__(self, spec: Byol, given: Given) -> None:
        super().__init__()
        self.momentum = spec.momentum
        self.projection = perceptron((given.dim, spec.hidden, spec.width), given.seed)
        self.predictor = perceptron((spec.width, spec.hidden, spec.width), given.seed + 1)
        self.target_encoder = copy.deepcopy(given.encoder).requires_grad_(False)
        self.target_projection = copy.deepcopy(self.projection).requires_grad_(False)

    def project(self, z: Float[Tensor, "m d"]) -> Projected:
        return Projected(own={"predicted": normalize(self.predictor(self.projection(z)), dim=1)})

    @torch.no_grad()
    def targets(self, encode: Callable[[nn.Module], Tensor]) -> dict[str, Float[Tensor, "m _"]]:
        """Unit projections of the views by the target tower."""
        return {"target": normalize(self.target_projection(encode(self.target_encoder)), dim=1)}

    def loss(self, gathered: Gathered) -> dict[str, Tensor]:
        """Term `byol`, 0 to 8; twice the mean over ordered pairs is the paper's sum of two directions."""
        predicted, target = gathered.own["predicted"], gathered.own["target"]
        return {"byol": 2 * mean_over_pairs(gathered, lambda i, p: 2 - 2 * (predicted[i] * target[p]).sum(dim=1))}

    @torch.no_grad()
    def after_step(self, encoder: nn.Module, progress: float) -> None:
        """ξ ← τξ + (1 − τ)θ, τ = 1 − (1 − τ₀)·(cos(πk/K) + 1)/2 (their "Implementation details")."""
        share = (1 - self.momentum) * (math.cos(math.pi * progress) + 1) / 2
        pairs = ((self.target_encoder, encoder), (self.target_projection, self.projection))
        for follower, leader in pairs:
            for slow, fast in zip(follower.parameters(), leader.parameters(), strict=True):
                slow.lerp_(fast, share)
