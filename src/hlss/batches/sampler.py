"""Which tiles make a batch: P patients × n_s slides × n_p patches, as a pure function of (seed, step, rank)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64
from numpy import ndarray
from pydantic import Field, model_validator

from hlss.batches.keyed import generator, shuffled
from hlss.cohorts.base import Cohort
from hlss.config import Part
from hlss.errors import UserError

_ORDER, _FILL, _TILES, _SLOTS = 1, 2, 3, 4  # what a generator is for: the first key after the seed


class SamplerSpec(Part):
    """P, n_s, n_p, n_a of SPEC §1. balanced: every class gets ⌊P/C⌋ patients of a batch, as far as it has them.

    by_site: the patients of a batch come from one site, so that stain and scanner cannot tell them apart and are not
    learnt in place of tissue; those of sites with fewer than P patients meet in mixed batches.
    """

    patients: int = Field(default=32, ge=1)
    slides: int = Field(default=2, ge=1)
    patches: int = Field(default=2, ge=1)
    views: int = Field(default=2, ge=1)
    balanced: bool = False
    by_site: bool = False

    @model_validator(mode="after")
    def _one_way_to_choose(self) -> "SamplerSpec":
        if self.balanced and self.by_site:
            raise ValueError("balanced and by_site cannot be had at once: set one of them to false")
        return self


@dataclass(frozen=True)
class BatchPlan:
    """One rank's share of a batch. first: place of its first patient in the global batch.

    patients: (p,) patient numbers; slides: (p, s) slide numbers; tiles: (p, s, t) tile rows.
    """

    first: int
    patients: Int64[ndarray, " p"]
    slides: Int64[ndarray, "p s"]
    tiles: Int64[ndarray, "p s t"]


class Sampler:
    """Draws patients in a new order each epoch, no patient twice in a batch over all ranks.

    A batch has min(P, number of patients) patients, rounded down to a multiple of `world`. It never crosses an epoch:
    the patients left over at the end of one (`by_site`: of each site) are left out of it. Raises UserError below
    max(2, world) patients, where balance is asked for without labels or with more classes than a batch has patients,
    and where batches by site are asked for and no site has patients enough.
    """

    def __init__(self, cohort: Cohort, spec: SamplerSpec, seed: int, world: int = 1) -> None:
        self.cohort, self.spec, self.seed, self.world = cohort, spec, seed, world
        n = len(cohort.patients)
        self.patients = min(spec.patients, n) // world * world
        if self.patients < max(2, world):
            raise UserError(
                f"a batch of {self.patients} patients cannot be contrasted (cohort: {n}, processes: {world})",
                where="batches.patients",
                fix=f"At least {max(2, world)} patients are needed: raise batches.patients or add patients.",
            )
        self.quotas = self._quotas() if spec.balanced else []
        self.mixed = 0  # patients of sites too small for a batch
        self.groups = self._sites() if spec.by_site else [np.arange(n)]
        places = [np.arange(max(1, len(group) // self.patients)) for group in self.groups]
        self.slots = [(number, int(place)) for number, group in enumerate(places) for place in group]
        self.steps_per_epoch = len(self.slots)

    @property
    def notices(self) -> tuple[str, ...]:
        """What a user should know of the batches that come out."""
        told, n = [], len(self.cohort.patients)
        if self.patients < self.spec.patients:
            why = f"the cohort has {n}, for {self.world} processes"
            told.append(f"batches have {self.patients} patients instead of {self.spec.patients}: {why}")
        if self.mixed:
            why = f"their sites have fewer than {self.patients}"
            told.append(f"{self.mixed} of {n} patients meet in batches of mixed sites: {why}")
        return tuple(told)

    def plan(self, step: int, rank: int = 0) -> BatchPlan:
        """The share of `rank` in the batch of `step`."""
        share = self.patients // self.world
        patients = self._patients(step)[rank * share : (rank + 1) * share]
        drawn = [self._tiles(step, int(patient)) for patient in patients]
        return BatchPlan(rank * share, patients, np.stack([s for s, _ in drawn]), np.stack([t for _, t in drawn]))

    def _patients(self, step: int) -> Int64[ndarray, " p"]:
        n = len(self.cohort.patients)
        chosen = self._by_class(step) if self.quotas else self._of_group(step)
        # whoever is missing comes from all the others, and everybody is then put in a drawn order
        fill = shuffled(np.arange(min(n, 2 * self.patients)), n, self.seed, _FILL, step).tolist()
        others = [patient for patient in fill if patient not in set(chosen)]
        batch = np.array(chosen + others[: self.patients - len(chosen)], dtype=np.int64)
        order = shuffled(np.arange(len(batch)), len(batch), self.seed, _FILL, step, 1)
        return np.take(batch, order)

    def _of_group(self, step: int) -> list[int]:
        epoch, place = divmod(step, self.steps_per_epoch)
        number, part = self.slots[int(shuffled(np.array([place]), len(self.slots), self.seed, _SLOTS, epoch)[0])]
        return self._next_of(self.groups[number], self.patients, (epoch, part), number)

    def _by_class(self, step: int) -> list[int]:
        chosen: list[int] = []
        for label, (members, quota) in enumerate(self.quotas):
            chosen += self._next_of(members, quota, divmod(step, len(members) // quota), label)
        return chosen

    def _next_of(self, members: Int64[ndarray, " n"], count: int, when: tuple[int, int], key: int) -> list[int]:
        """Part `when[1]`, `count` patients or all there are, of the order that epoch `when[0]` gives the members."""
        epoch, part = when
        places = np.arange(part * count, min((part + 1) * count, len(members)))
        chosen: list[int] = members[shuffled(places, len(members), self.seed, _ORDER, epoch, key)].tolist()
        return chosen

    def _sites(self) -> list[Int64[ndarray, " n"]]:
        """Patients of each site that can fill a batch, then all others."""
        sites = self.cohort.patient_site
        filling = [site for site in np.unique(sites[sites >= 0]) if (sites == site).sum() >= self.patients]
        if not filling:
            raise UserError(
                f"no site has the {self.patients} patients of a batch",
                where="batches.by_site",
                fix="Lower batches.patients, give the patients a site, or set batches.by_site to false.",
            )
        others = np.flatnonzero(~np.isin(sites, filling))
        self.mixed = len(others)
        return [np.flatnonzero(sites == site) for site in filling] + ([others] if len(others) else [])

    def _quotas(self) -> list[tuple[Int64[ndarray, " n"], int]]:
        labels = self.cohort.patient_label
        classes = np.unique(labels[labels >= 0])
        if len(classes) == 0:
            raise UserError(
                "balance needs labels", where="batches.balanced", fix="Label the patients, or set it false."
            )
        if len(classes) > self.patients:
            raise UserError(
                f"a batch of {self.patients} patients cannot be balanced over {len(classes)} classes",
                where="batches.balanced",
                fix="Raise batches.patients, or set batches.balanced to false.",
            )
        members = [np.flatnonzero(labels == label) for label in classes]
        return [(group, min(self.patients // len(classes), len(group))) for group in members]

    def _tiles(self, step: int, patient: int) -> tuple[Int64[ndarray, " s"], Int64[ndarray, "s t"]]:
        """Slides of a patient and patches of each; what there is too little of comes again, under its own number."""
        rng = generator(self.seed, _TILES, step, patient)
        n_s, n_t = self.spec.slides, self.spec.patches
        slides = _drawn(rng, self.cohort.patient_slides(patient), n_s)
        tiles = np.empty((n_s, n_t), dtype=np.int64)
        for slide in dict.fromkeys(slides.tolist()):  # a slide that fills several places shows other patches in each
            places = np.flatnonzero(slides == slide)
            tiles[places] = _drawn(rng, self.cohort.slide_tiles(slide), len(places) * n_t).reshape(-1, n_t)
        return slides, tiles


def _drawn(rng: np.random.Generator, members: Int64[ndarray, " n"], count: int) -> Int64[ndarray, " k"]:
    """`count` of `members` without repeats; where there are fewer, all of them again and again."""
    if count <= len(members):
        return members[rng.choice(len(members), count, replace=False)]
    return np.resize(rng.permutation(members), count)
