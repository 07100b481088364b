"""SimCLR (Chen et al., ICML 2020): views of a patch against all other views of the batch."""

from typing import Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from hlss.objectives.base import Gathered, Given, Objective, ObjectiveSpec, Projected
from hlss.objectives.contrast import Tau, contrast
from hlss.objectives.heads import perceptron
from hlss.registry import OBJECTIVES
from hlss.types import Level


@OBJECTIVES.register("simclr")
class SimClr(ObjectiveSpec):
    """Settings. tau: temperature (0.1, their Table 5 and ImageNet setting); hidden: width between the head's two
    layers (None: the feature's, as theirs); width: length of the projection.
    """

    name: Literal["simclr"] = "simclr"
    tau: Tau = 0.1
    hidden: int | None = Field(default=None, ge=2)
    width: int = Field(default=128, ge=2)

    def build(self, given: Given) -> "SimClrObjective":
        return SimClrObjective(self, given)


class SimClrObjective(Objective):
    """NT-Xent (their eq. 1). With more than two views of a patch, the mean over its ordered pairs."""

    def __init__(self, spec: SimClr, given: Given) -> None:
        super().__init__()
        self.tau = spec.tau
        # g(h) = W₂ relu(W₁ h) as in the paper, §2.1; the authors' code puts a BatchNorm after each layer
        self.head = perceptron((given.dim, spec.hidden or given.dim, spec.width), given.seed, norm=False)

    def project(self, z: Float[Tensor, "m d"]) -> Projected:
        return Projected(shared={"z": normalize(self.head(z), dim=1)})

    def loss(self, gathered: Gathered) -> dict[str, Tensor]:
        """Term `simclr`."""
        patches = {Level.PATCH: gathered.ids[Level.PATCH]}
        return {"simclr": contrast(gathered.shared["z"], patches, self.tau, gathered.rows)[Level.PATCH]}
