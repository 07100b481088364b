"""Supervised learning: cross entropy of one linear layer, the ceiling and the caution of self-supervision."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy

from hlss.errors import UserError
from hlss.objectives.base import Gathered, Given, Objective, ObjectiveSpec, Projected
from hlss.objectives.heads import perceptron
from hlss.registry import OBJECTIVES


@OBJECTIVES.register("supervised")
class Supervised(ObjectiveSpec):
    """Settings: none."""

    name: Literal["supervised"] = "supervised"

    def build(self, given: Given) -> "SupervisedObjective":
        """Raises UserError where the cohort has fewer than two classes."""
        if given.classes < 2:
            raise UserError(
                f"supervised learning needs at least two classes, the cohort has {given.classes}",
                where="objective",
                fix="Give slides or patients a label, or take a self-supervised objective.",
            )
        return SupervisedObjective(given)


class SupervisedObjective(Objective):
    """Cross entropy, meaned over the views whose patch has a label."""

    def __init__(self, given: Given) -> None:
        super().__init__()
        self.classifier = perceptron((given.dim, given.classes), given.seed)

    def project(self, z: Float[Tensor, "m d"]) -> Projected:
        return Projected(own={"logits": self.classifier(z)})

    def loss(self, gathered: Gathered) -> dict[str, Tensor]:
        """Term `supervised`. Raises UserError where no view of the batch has a label."""
        labels = gathered.labels
        labelled = 0 if labels is None else int((labels >= 0).sum())
        if labels is None or labelled == 0:
            raise UserError("no view of the batch has a label", fix="Leave patients without label out of the cohort.")
        with torch.autocast(labels.device.type, enabled=False):
            losses = cross_entropy(gathered.own["logits"], labels[gathered.rows], ignore_index=-1, reduction="sum")
        return {"supervised": losses * (gathered.share / labelled)}
