"""What is measured during training: nearest neighbours on validation patients, and the health of the features."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy import ndarray
from torch import Tensor

from hlss.batches.loader import tiles
from hlss.cohorts.base import Cohort
from hlss.encoders.base import ImageEncoder
from hlss.evaluate.health import alignment, effective_rank, knn_accuracy, site_predictability, uniformity
from hlss.evaluate.knn import SMALL
from hlss.experiment import Experiment
from hlss.jobs.setup import EMBED_BATCH

MOST_TILES = 2000  # of each side, spread evenly: validation must not cost more than training


@dataclass(frozen=True)
class ValidationMonitor:
    """Scores the encoder on the val side, with the train side as bank. Never looks at the test side."""

    train: Cohort
    val: Cohort
    device: torch.device
    workers: int
    score: str = "val/knn_patch"

    @classmethod
    def of(
        cls, sides: Mapping[str, Cohort], experiment: Experiment, device: torch.device
    ) -> "ValidationMonitor | None":
        """None where there are no validation patients, or no labels on one of the sides."""
        if "val" not in sides or not all((sides[side].image_label >= 0).any() for side in ("train", "val")):
            return None
        return cls(sides["train"], sides["val"], device, experiment.loader.workers)

    def __call__(self, encoder: ImageEncoder) -> dict[str, float]:
        bank_rows, bank = self._features(encoder, self.train)
        rows, queries = self._features(encoder, self.val)
        bank_labels, labels = self.train.tile_label(bank_rows), self.val.tile_label(rows)
        known, asked = bank_labels >= 0, labels >= 0
        protocol = replace(SMALL, k=min(SMALL.k, int(known.sum())))
        accuracy = knn_accuracy(bank[known], bank_labels[known], queries[asked], labels[asked], protocol)
        measures = {
            "val/knn_patch": accuracy,
            "val/feature_rank": effective_rank(queries),
            "val/alignment": alignment(queries, self.val.tile_slide(rows)),
            "val/uniformity": uniformity(queries),
        }
        sites = self.val.tile_site(rows)
        if len(np.unique(sites[sites >= 0])) > 1:
            patients = self.val.tile_patient(rows)
            measures |= site_predictability(queries, sites, patients)
        return measures

    @torch.no_grad()
    def _features(self, encoder: ImageEncoder, cohort: Cohort) -> tuple[Int64[ndarray, " n"], Float[ndarray, "n d"]]:
        wanted = np.unique(np.linspace(0, cohort.n_tiles - 1, min(MOST_TILES, cohort.n_tiles)).astype(np.int64))
        kept, found = [], list[Tensor]()
        for rows, pixels in tiles(cohort, wanted, encoder.input_px, EMBED_BATCH, self.workers):
            kept.append(rows)
            found.append(encoder(encoder.normalised(pixels.to(self.device))).float().cpu())
        return np.concatenate(kept), torch.cat(found).numpy()
