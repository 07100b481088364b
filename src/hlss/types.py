"""The few facts that cross rooms: frozen dataclasses with their shapes as types."""

from __future__ import annotations  # the levels are known everywhere, and loading torch takes seconds

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxtyping import Float, Int, UInt8
    from torch import Tensor


class Level(StrEnum):
    """The three levels of the hierarchy, finest first."""

    PATCH = "patch"
    SLIDE = "slide"
    PATIENT = "patient"


LEVELS = tuple(Level)


@dataclass(frozen=True)
class ViewBatch:
    """What the data side hands to the model side: one rank's share of a global batch.

    views:  patients × slides × patches × views, then channels × height × width (uint8 in 0..255 or float in 0..1), or
            one axis of cached features.
    ids:    by level, row numbers of the cohort, unique over ranks: an equal id means the same patch, slide or patient,
            wherever it stands (SPEC §2: identity, not position, decides who is positive).
    labels: class number of each patch, −1 where it has none; None where the cohort has no labels.
    """

    views: Float[Tensor, "p s t a *x"] | UInt8[Tensor, "p s t a *x"]
    ids: Mapping[Level, Int[Tensor, "p s t a"]]
    labels: Int[Tensor, "p s t"] | None = None

    @property
    def m(self) -> int:
        """Number of views on this rank, P·n_s·n_p·n_a / W."""
        return self.ids[Level.PATCH].numel()

    def flat(self) -> Tensor:
        """Views as (m, …), in the order of `flat_ids`."""
        return self.views.flatten(0, 3)

    def flat_ids(self) -> dict[Level, Int[Tensor, " m"]]:
        """Identity of each view by level, (m,) each."""
        return {level: ids.flatten() for level, ids in self.ids.items()}

    def flat_labels(self) -> Int[Tensor, " m"] | None:
        """Label of each view (a patch's label repeated for its views)."""
        if self.labels is None:
            return None
        return self.labels.unsqueeze(-1).expand_as(self.ids[Level.PATCH]).flatten()
