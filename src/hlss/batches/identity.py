"""Who each view of a batch is: patch, slide and patient by row number, and the label."""

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from hlss.batches.sampler import BatchPlan
from hlss.cohorts.base import Cohort
from hlss.types import Level


def shape_of(plan: BatchPlan, views: int) -> tuple[int, int, int, int]:
    """Patients × slides × patches × views."""
    patients, slides, patches = plan.tiles.shape
    return patients, slides, patches, views


def identities(
    cohort: Cohort, plan: BatchPlan, views: int
) -> tuple[dict[Level, Int[Tensor, "p s t a"]], Int[Tensor, "p s t"] | None]:
    """ids and labels of a ViewBatch."""
    rows = plan.tiles.reshape(-1)
    numbers = {
        Level.PATCH: rows,
        Level.SLIDE: cohort.tile_slide(rows),
        Level.PATIENT: cohort.tile_patient(rows),
    }
    shape = shape_of(plan, views)
    ids = {level: _repeated(number, shape) for level, number in numbers.items()}
    labels = torch.from_numpy(cohort.tile_label(rows).reshape(plan.tiles.shape)) if cohort.classes else None
    return ids, labels


def _repeated(numbers: np.ndarray, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(numbers.reshape(shape[:-1])).unsqueeze(-1).expand(shape)
