"""Drawn tissue: a pure function of keys and place, seamless, with a truth that can be seen in the pixels."""

import subprocess
import sys

import numpy as np
import pytest

from hlss.cohorts.factors import CLASSES, FACTORS, PROTOTYPES, Nuisance, nuisance, slide_factors
from hlss.cohorts.phantom import MPP0, PhantomSpec
from hlss.cohorts.tissue import draw_tile, factor_map

LOOK = Nuisance(np.array([[0.65, 0.70, 0.29], [0.07, 0.93, 0.36]]), 1.0, 0.0)


def factors(**changes: float) -> np.ndarray:
    base = dict.fromkeys(FACTORS, 0.3) | {"necrosis": 0.0, "lymphocytes": 0.0}
    return np.array([(base | changes)[name] for name in FACTORS])


def tile(
    key: int = 1, px: int = 224, mpp: float = 0.5, xy: tuple[float, float] = (0, 0), **changes: float
) -> np.ndarray:
    return draw_tile(key, factors(**changes), LOOK, xy, px, mpp).astype(float)


def blue(pixels: np.ndarray) -> float:
    """Share of pixels as dark and blue as nuclei."""
    return float((pixels[..., 0] < 140).mean())


def test_overlapping_reads_give_identical_pixels() -> None:
    whole = tile(px=160)
    part = tile(px=64, xy=(40 * 0.5, 72 * 0.5))
    np.testing.assert_array_equal(part, whole[72:136, 40:104])
    np.testing.assert_array_equal(tile(px=50, mpp=2.0, xy=(64.0, 32.0)), tile(px=120, mpp=2.0)[16:66, 32:82])


def test_another_process_draws_the_same() -> None:
    code = (
        "from hlss.cohorts.phantom import PhantomSpec as P; import hashlib; c = P(tile_px=64).open();"
        "print(hashlib.sha256(b''.join(c.read_tile(i).tobytes() for i in (0, 7, 20))).hexdigest(), c.fingerprint)"
    )
    found = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout for _ in "ab"
    }
    assert len(found) == 1


@pytest.mark.parametrize(
    ("factor", "low", "high", "measure"),
    [
        ("density", 0.1, 0.9, blue),
        ("nuclear_size", 0.1, 0.9, blue),
        ("chromatin", 0.0, 1.0, lambda p: -np.percentile(p[..., 0], 3)),
        ("lymphocytes", 0.0, 1.0, blue),
        ("necrosis", 1.0, 0.0, blue),
        ("stroma", 0.0, 1.0, lambda p: -p[..., 1].mean()),
    ],
)
def test_a_factor_shows_in_the_pixels(factor, low, high, measure) -> None:
    few, many = ([measure(tile(key, **{factor: value})) for key in range(4)] for value in (low, high))
    assert np.mean(many) > np.mean(few) + 0.005
    assert sum(m > f for m, f in zip(many, few, strict=True)) >= 3


def test_colours_are_those_of_haematoxylin_and_eosin() -> None:
    cohort = PhantomSpec(patients=7).open()
    mean = np.mean([cohort.read_tile(row).reshape(-1, 3).mean(axis=0) for row in range(0, cohort.n_tiles, 9)], axis=0)
    assert mean[1] < mean[2] < mean[0] + 25  # pink to purple: green is absorbed most
    assert 90 < mean.mean() < 225


def test_truth_at_a_place_is_the_slide_and_a_smooth_deviation() -> None:
    truth = factor_map(5, factors(density=0.5), np.linspace(0, 4000, 200), np.linspace(0, 4000, 200))
    assert set(truth) == set(FACTORS)
    assert truth["density"].mean() == pytest.approx(0.5, abs=0.05)
    assert 0.05 < truth["density"].std() < 0.2
    steps = np.abs(np.diff(factor_map(5, factors(), np.arange(0, 50, 0.5), np.zeros(1))["density"], axis=1))
    assert steps.max() < 0.02


def test_true_factors_tell_classes_apart_and_patients_scatter() -> None:
    found = np.array([[slide_factors(0, p, s, CLASSES[p % 7]) for s in range(2)] for p in range(70)]).reshape(140, -1)
    labels = np.repeat(np.arange(70) % 7, 2)
    prototypes = np.array(list(PROTOTYPES.values()))
    nearest = np.linalg.norm(found[:, None] - prototypes[None], axis=2).argmin(axis=1)
    assert 0.85 < (nearest == labels).mean() <= 1.0
    assert found[labels == 0].std(axis=0).min() > 0.03


def test_stain_belongs_to_the_site_more_than_to_the_slide() -> None:
    def od(patient: int, slide: int, site: int) -> np.ndarray:
        return nuisance(0, patient, slide, site).od

    same = np.mean([np.abs(od(p, 0, 1) - od(p + 1, 0, 1)).mean() for p in range(20)])
    other = np.mean([np.abs(od(p, 0, s) - od(p, 0, s + 1)).mean() for p in range(4) for s in range(6)])
    assert other > 1.3 * same > 0


def test_cohort_has_the_truth_of_its_slides_and_a_coarser_read() -> None:
    spec = PhantomSpec(patients=3, slides=1, side=2, tile_px=32, mpp=2.0)
    cohort = spec.open()
    assert cohort.n_tiles == 12
    assert cohort.read_tile(1).shape == (32, 32, 3)
    assert cohort.tile_xy_px0[1, 0] == 32 * 2.0 / MPP0
    truth = cohort.source.truth(0, np.array([0.0]), np.array([0.0]))
    assert 0 <= truth["density"][0, 0] <= 1
    assert cohort.read_tile(0).tolist() != PhantomSpec(**spec.model_dump() | {"seed": 1}).open().read_tile(0).tolist()
