"""What drawn tissue is made of: named factors with known values in 0..1, by class, patient, slide and place."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from hlss.cohorts.phantom.noise import rng_of
from hlss.types import Level

_BY_LEVEL: dict[Level, tuple[str, ...]] = {
    Level.PATCH: (
        "density",
        "nuclear_size",
        "size_variation",
        "elongation",
        "chromatin",
        "mitoses",
        "inclusions",
        "membrane",
        "cytoplasm",
    ),
    Level.SLIDE: ("stroma", "lymphocytes", "necrosis", "vessels", "haemorrhage", "glands", "rosettes"),
    Level.PATIENT: ("nesting", "heterogeneity", "invasion"),
}
FACTOR_LEVEL: dict[str, Level] = {name: level for level, names in _BY_LEVEL.items() for name in names}
FACTORS: tuple[str, ...] = tuple(FACTOR_LEVEL)
INDEX: dict[str, int] = {name: number for number, name in enumerate(FACTORS)}

# A class is a tendency, not a recipe: prototypes lie closer together than places of one class scatter.
# In the order of FACTORS, hundredths:  de nu si el ch mi in me cy   st ly ne ve ha gl ro   ne he in
_PROTOTYPES: dict[str, str] = {
    "follicular": "45 35 20 15 35 15 35 55 60  30 25 10 30 25 75 10  30 30 25",
    "spindled": "55 40 30 80 50 35 10 25 45  55 15 15 35 30 10 05  20 35 55",
    "round_cell": "80 30 20 15 75 60 10 25 20  20 20 30 30 25 10 70  30 35 60",
    "pleomorphic": "50 75 75 35 65 60 55 45 60  40 25 35 35 40 15 10  30 65 70",
    "desmoplastic": "35 50 40 30 55 30 20 35 45  70 25 15 25 20 45 10  60 40 70",
    "inflamed": "60 50 35 20 45 35 20 50 50  35 75 15 40 30 20 15  40 40 40",
    "necrotic": "55 55 50 25 60 45 25 40 50  30 30 60 35 55 15 25  50 50 55",
}
PROTOTYPES: dict[str, Float64[ndarray, " f"]] = {
    name: np.array([int(number) for number in text.split()]) / 100 for name, text in _PROTOTYPES.items()
}
CLASSES = tuple(PROTOTYPES)
_ORGAN_SPREAD, _PATIENT_SPREAD, _SLIDE_SPREAD = 0.07, 0.11, 0.08
_PLACE_SPREAD = (0.25, 0.50)  # of a slide without and with full heterogeneity
FIELD_UM = 160.0  # scale on which factors change over a slide


@dataclass(frozen=True)
class SlideTruth:
    """A slide's factors, and the key all its randomness hangs on."""

    key: int
    factors: Float64[ndarray, " f"]

    def __getitem__(self, factor: str) -> float:
        return float(self.factors[INDEX[factor]])

    @property
    def spread(self) -> float:
        """How far places deviate from the slide, at most."""
        low, high = _PLACE_SPREAD
        return low + (high - low) * self["heterogeneity"]

    def reaches(self, factor: str, value: float) -> bool:
        """Whether a place of this slide may have this factor at or above a value."""
        return self[factor] + self.spread >= value


def organ_shift(organ: int) -> Float64[ndarray, " f"]:
    """What all classes of an organ share; organ 0 is the reference."""
    if organ == 0:
        return np.zeros(len(FACTORS))
    return rng_of(0x0E6A, organ).normal(0, _ORGAN_SPREAD, len(FACTORS))


def patient_factors(seed: int, patient: int, label: str, organ: int = 0) -> Float64[ndarray, " f"]:
    """Factors of a patient: those of class and organ, and the patient's own deviation."""
    own = rng_of(seed, 1, patient).normal(0, _PATIENT_SPREAD, len(FACTORS))
    return np.clip(PROTOTYPES[label] + organ_shift(organ) + own, 0, 1)


def slide_truth(seed: int, patient: int, slide: int, label: str, organ: int = 0) -> SlideTruth:
    """Factors of a slide: those of the patient, and the slide's own deviation (none at patient level)."""
    own = rng_of(seed, 2, patient, slide).normal(0, _SLIDE_SPREAD, len(FACTORS))
    own[[INDEX[name] for name in _BY_LEVEL[Level.PATIENT]]] = 0
    key = int(rng_of(seed, 6, patient, slide).integers(1 << 62))
    return SlideTruth(key, np.clip(patient_factors(seed, patient, label, organ) + own, 0, 1))
