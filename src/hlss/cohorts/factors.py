"""What drawn tissue is made of: named factors with known values, by class, patient, slide and place."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

# Each factor in 0..1. Patch level: density, nuclear_size, size_variation, elongation, chromatin; slide level: stroma,
# lymphocytes, necrosis; patient level: what of these a class has, and how much places differ (heterogeneity).
FACTORS = ("density", "nuclear_size", "size_variation", "elongation", "chromatin", "stroma", "lymphocytes", "necrosis")

# A class is a tendency, not a recipe: prototypes lie closer together than patients of one class scatter
PROTOTYPES: dict[str, tuple[float, ...]] = {
    "follicular": (0.45, 0.35, 0.20, 0.15, 0.40, 0.35, 0.25, 0.05),
    "spindled": (0.55, 0.40, 0.25, 0.85, 0.50, 0.60, 0.15, 0.10),
    "round_cell": (0.85, 0.25, 0.15, 0.10, 0.80, 0.15, 0.20, 0.20),
    "pleomorphic": (0.50, 0.80, 0.80, 0.35, 0.65, 0.40, 0.20, 0.30),
    "desmoplastic": (0.30, 0.50, 0.40, 0.30, 0.55, 0.85, 0.20, 0.10),
    "inflamed": (0.60, 0.45, 0.35, 0.20, 0.50, 0.35, 0.80, 0.10),
    "necrotic": (0.50, 0.55, 0.50, 0.25, 0.60, 0.30, 0.30, 0.70),
}
CLASSES = tuple(PROTOTYPES)
_PATIENT_SPREAD, _SLIDE_SPREAD, _PLACE_SPREAD = 0.10, 0.06, 0.22


@dataclass(frozen=True)
class Nuisance:
    """What must not be learnt. od: optical densities of haematoxylin and eosin in R, G, B, as unit rows times strength;
    light: brightness of the glass; blur: σ in µm.
    """

    od: Float64[ndarray, "2 3"]
    light: float
    blur: float


def rng_of(*keys: int) -> np.random.Generator:
    """A generator that hangs on these keys alone, on every platform."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(keys)))


def patient_factors(seed: int, patient: int, label: str) -> Float64[ndarray, " f"]:
    """Factors of a patient: those of the class, and the patient's own deviation."""
    own = rng_of(seed, 1, patient).normal(0, _PATIENT_SPREAD, len(FACTORS))
    return np.clip(np.array(PROTOTYPES[label]) + own, 0, 1)


def slide_factors(seed: int, patient: int, slide: int, label: str) -> Float64[ndarray, " f"]:
    """Factors of a slide: those of the patient, and the slide's own deviation."""
    own = rng_of(seed, 2, patient, slide).normal(0, _SLIDE_SPREAD, len(FACTORS))
    return np.clip(patient_factors(seed, patient, label) + own, 0, 1)


def place_deviation(noise: Float64[ndarray, "f *p"]) -> Float64[ndarray, "f *p"]:
    """How far places deviate from their slide, given smooth noise in −1..1 by factor."""
    return _PLACE_SPREAD * noise


def nuisance(seed: int, patient: int, slide: int, site: int) -> Nuisance:
    """Stain and scanner: a site's own, and a little of each slide's."""
    common, own = rng_of(seed, 3, site), rng_of(seed, 4, patient, slide)
    od = np.array([[0.65, 0.70, 0.29], [0.07, 0.93, 0.36]])
    od = od + common.normal(0, 0.035, (2, 3)) + own.normal(0, 0.015, (2, 3))
    od = np.clip(od, 0.02, None) / np.linalg.norm(od, axis=1, keepdims=True)
    strength = np.exp(common.normal(0, 0.12, 2) + own.normal(0, 0.06, 2))
    light = float(np.clip(0.96 + common.normal(0, 0.015), 0.9, 1.0))
    return Nuisance(od * strength[:, None], light, float(abs(own.normal(0.0, 0.25))))
