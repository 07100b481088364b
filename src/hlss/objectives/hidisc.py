"""HiDisc (Jiang et al., CVPR 2023): three contrastive losses on one projection, no text. The nearest baseline."""

from typing import Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from hlss.objectives.base import Gathered, Given, Objective, ObjectiveSpec, Projected
from hlss.objectives.contrast import Tau, contrast
from hlss.objectives.heads import random_layer
from hlss.registry import OBJECTIVES
from hlss.types import LEVELS


@OBJECTIVES.register("hidisc")
class HiDisc(ObjectiveSpec):
    """Settings. tau: temperature (HiDisc's own 0.7); width: length of the projection."""

    name: Literal["hidisc"] = "hidisc"
    tau: Tau = 0.7
    width: int = Field(default=128, ge=2)

    def build(self, given: Given) -> "HiDiscObjective":
        return HiDiscObjective(self, given)


class HiDiscObjective(Objective):
    """Patch, slide and patient discrimination (SPEC §2, §4) with weight 1 each."""

    def __init__(self, spec: HiDisc, given: Given) -> None:
        super().__init__()
        self.tau = spec.tau
        self.layer = random_layer(given.dim, spec.width, given.seed)

    def project(self, z: Float[Tensor, "m d"]) -> Projected:
        return Projected(shared={"z": self.layer(z)})  # HiDisc does not normalise the feature itself

    def loss(self, gathered: Gathered) -> dict[str, Tensor]:
        """Terms `hidisc/patch`, `hidisc/slide`, `hidisc/patient`, which share one projection and its similarities."""
        losses = contrast(gathered.shared["z"], gathered.ids, self.tau, gathered.rows)
        return {f"hidisc/{level}": losses[level] for level in LEVELS}
