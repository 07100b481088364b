"""VICReg (Bardes, Ponce & LeCun, ICLR 2022): invariance between views, variance and decorrelation within a batch."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor
from torch.nn.functional import relu

from hlss.errors import UserError
from hlss.objectives.base import Gathered, Given, Objective, ObjectiveSpec, Projected
from hlss.objectives.heads import perceptron
from hlss.objectives.pairs import occurrence, ordered_pairs
from hlss.registry import OBJECTIVES
from hlss.types import Level

_EPSILON = 1e-4  # under the root of the standard deviation (their eq. 2)


@OBJECTIVES.register("vicreg")
class VicReg(ObjectiveSpec):
    """Settings, with the paper's values (§4.2). width: of the expander's three layers."""

    name: Literal["vicreg"] = "vicreg"
    invariance: float = Field(default=25.0, gt=0)
    variance: float = Field(default=25.0, ge=0)
    covariance: float = Field(default=1.0, ge=0)
    width: int = Field(default=8192, ge=2)

    def build(self, given: Given) -> "VicRegObjective":
        return VicRegObjective(self, given)


class VicRegObjective(Objective):
    """Their eq. 6 as the authors' code weighs it: mean squares instead of sums in the invariance, and the mean instead
    of the sum of the two branches' variance. A branch holds one view of each patch; more than two branches weigh as
    two. Every rank computes the whole loss.
    """

    def __init__(self, spec: VicReg, given: Given) -> None:
        super().__init__()
        self.weights = (spec.invariance, spec.variance, spec.covariance)
        self.expander = perceptron((given.dim, *[spec.width] * 3), given.seed)

    def project(self, z: Float[Tensor, "m d"]) -> Projected:
        return Projected(shared={"z": self.expander(z)})

    def loss(self, gathered: Gathered) -> dict[str, Tensor]:
        """Terms `vicreg/invariance`, `vicreg/variance` and `vicreg/covariance`, weighted."""
        z, patches = gathered.shared["z"], gathered.ids[Level.PATCH]
        first, second = ordered_pairs(patches)
        centred = [branch - branch.mean(dim=0) for branch in branches(z, patches)]
        with torch.autocast(z.device.type, enabled=False):
            terms = (
                (z[first] - z[second]).square().mean(),
                torch.stack([variance(branch) for branch in centred]).mean(),
                2 * torch.stack([covariance(branch) for branch in centred]).mean(),
            )
        names = ("invariance", "variance", "covariance")
        return {f"vicreg/{name}": w * term for name, w, term in zip(names, self.weights, terms, strict=True)}


def branches(z: Float[Tensor, "M k"], patches: Int[Tensor, " M"]) -> list[Float[Tensor, "_ k"]]:
    """First views of all patches, second views, and so on, as far as there are two patches that have one.

    Raises UserError where not even the first are two.
    """
    number = occurrence(patches)
    found = [z[number == n] for n in range(int(number.max()) + 1)]
    found = [branch for branch in found if len(branch) > 1]
    if not found:
        raise UserError("a batch of one patch has no variance", fix="Draw more patients, slides or patches (batches).")
    return found


def variance(centred: Float[Tensor, "n k"]) -> Float[Tensor, ""]:
    """Their eq. 1: how far the standard deviation of each dimension falls below 1."""
    deviation = (centred.square().sum(dim=0) / (len(centred) - 1) + _EPSILON).sqrt()
    return relu(1 - deviation).mean()


def covariance(centred: Float[Tensor, "n k"]) -> Float[Tensor, ""]:
    """Their eq. 4: squares of the covariances off the diagonal, over the number of dimensions.

    ‖XᵀX‖² = ‖XXᵀ‖²: with fewer rows than dimensions the smaller product is formed.
    """
    n, k = centred.shape
    gram = centred @ centred.T if n < k else centred.T @ centred
    diagonal = centred.square().sum(dim=0)
    return (gram.square().sum() - diagonal.square().sum()) / ((n - 1) ** 2 * k)
