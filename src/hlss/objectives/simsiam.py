"""SimSiam (Chen & He, CVPR 2021): a view predicts the other view of its patch, whose gradient is stopped."""

from typing import Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from hlss.objectives.base import Gathered, Given, Objective, ObjectiveSpec, Projected
from hlss.objectives.heads import perceptron
from hlss.objectives.pairs import mean_over_pairs
from hlss.registry import OBJECTIVES


@OBJECTIVES.register("simsiam")
class SimSiam(ObjectiveSpec):
    """Settings, with the paper's widths (§3, "Baseline settings"): of the three layers of the projection, and between
    the two of the predictor.
    """

    name: Literal["simsiam"] = "simsiam"
    width: int = Field(default=2048, ge=2)
    hidden: int = Field(default=512, ge=2)

    def build(self, given: Given) -> "SimSiamObjective":
        return SimSiamObjective(self, given)


class SimSiamObjective(Objective):
    """Minus the cosine of prediction and stopped projection (their eq. 1 and 2), meaned over ordered pairs of views."""

    def __init__(self, spec: SimSiam, given: Given) -> None:
        super().__init__()
        # the last norm has weights as any other (the paper says BN); the authors' code gives it none (affine=False)
        self.projection = perceptron((given.dim, *[spec.width] * 3), given.seed, last_norm=True)
        self.predictor = perceptron((spec.width, spec.hidden, spec.width), given.seed + 1)

    def project(self, z: Float[Tensor, "m d"]) -> Projected:
        projected = self.projection(z)
        predicted = normalize(self.predictor(projected), dim=1)
        return Projected(own={"predicted": predicted, "target": normalize(projected.detach(), dim=1)})

    def loss(self, gathered: Gathered) -> dict[str, Tensor]:
        """Term `simsiam`, −1 at its least."""
        predicted, target = gathered.own["predicted"], gathered.own["target"]
        return {"simsiam": mean_over_pairs(gathered, lambda i, p: -(predicted[i] * target[p]).sum(dim=1))}
