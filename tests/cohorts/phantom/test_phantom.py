"""Drawn tissue: a pure function of keys and place, seamless, with a truth that can be seen in the pixels."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from hlss.cohorts.base import TileSource
from hlss.cohorts.phantom.factors import (
    CLASSES,
    FACTOR_LEVEL,
    FACTORS,
    PROTOTYPES,
    SlideTruth,
    organ_shift,
    slide_truth,
)
from hlss.cohorts.phantom.noise import Grid
from hlss.cohorts.phantom.nuclei import nuclei_of
from hlss.cohorts.phantom.nuisance import RED_CELLS, Band, Look, look_of
from hlss.cohorts.phantom.scene import RING_UM, STRUCTURAL, local, rings, rings_about, scene
from hlss.cohorts.phantom.spec import MPP0, PhantomSpec, drawn_slides
from hlss.cohorts.phantom.tissue import draw_tile
from hlss.cohorts.phantom.truth import tile_truth, tile_truths, visible
from hlss.errors import UserError
from hlss.types import LEVELS

LOOK = Look(np.array([[0.65, 0.70, 0.29], [0.07, 0.93, 0.36], RED_CELLS]), np.ones(3))
NOTHING = dict.fromkeys(
    ("stroma", "lymphocytes", "necrosis", "vessels", "haemorrhage", "glands", "rosettes", "nesting", "heterogeneity"),
    0.0,
)


def truth(key: int = 1, **changes: float) -> SlideTruth:
    base = dict.fromkeys(FACTORS, 0.4) | {"mitoses": 0.0, "inclusions": 0.0, "membrane": 0.0, "invasion": 0.0} | NOTHING
    return SlideTruth(key, np.array([(base | changes)[name] for name in FACTORS]))


def tile(
    key: int = 1, px: int = 224, mpp: float = 0.5, xy: tuple[float, float] = (0, 0), look: Look = LOOK, **changes: float
) -> np.ndarray:
    return draw_tile(truth(key, **changes), look, xy, px, mpp).astype(float)


def dark(pixels: np.ndarray) -> float:
    """Share of pixels as dark as nuclei."""
    return float((pixels[..., 0] < 140).mean())


def white(pixels: np.ndarray) -> float:
    return float((pixels.min(axis=-1) > 225).mean())


def red(pixels: np.ndarray) -> float:
    """Share of pixels that are orange red: little blue, much red."""
    return float((pixels[..., 0] - pixels[..., 2] > 40).mean())


def pink(pixels: np.ndarray) -> float:
    return -float(pixels[..., 1].mean())


SQUARE = (0.0, 0.0), (400.0, 400.0)


def nuclei(key: int, **changes: float):
    made = truth(key, **changes)
    return nuclei_of(made, *SQUARE, rings_about(made, *SQUARE))


@pytest.mark.parametrize("mpp", [0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 8.0, 16.0, 32.0, 64.0, 256.0])
def test_overlapping_reads_give_identical_pixels(mpp: float) -> None:
    slide = {"heterogeneity": 1.0, "glands": 0.6, "vessels": 0.6, "stroma": 0.5, "haemorrhage": 0.5, "membrane": 0.6}
    look = look_of(0, 3, 0, 1)
    whole = tile(px=160, mpp=mpp, look=look, **slide)
    part = tile(px=64, mpp=mpp, look=look, xy=(41 * mpp, 72 * mpp), **slide)
    np.testing.assert_array_equal(part, whole[72:136, 41:105])
    odd = tile(px=50, mpp=mpp, look=look, xy=(-21 * mpp, -33 * mpp), **slide)
    np.testing.assert_array_equal(odd[33:, 21:], whole[:17, :29])


@pytest.mark.parametrize(
    ("factor", "low", "high", "measure"),
    [
        ("density", 0.1, 0.9, dark),
        ("nuclear_size", 0.1, 0.9, dark),
        ("chromatin", 0.0, 1.0, lambda p: -np.percentile(p[..., 0], 3)),
        ("mitoses", 0.0, 1.0, lambda p: float((p[..., 0] < 75).mean())),
        ("inclusions", 0.0, 1.0, lambda p: -dark(p)),
        ("membrane", 0.0, 1.0, pink),
        ("cytoplasm", 0.0, 1.0, pink),
        ("stroma", 0.0, 1.0, pink),
        ("lymphocytes", 0.0, 1.0, dark),
        ("necrosis", 1.0, 0.0, dark),
        ("vessels", 0.0, 0.8, red),
        ("haemorrhage", 0.0, 1.0, red),
        ("glands", 0.0, 1.0, white),
        ("nesting", 0.0, 1.0, pink),
    ],
)
def test_a_factor_shows_in_the_pixels(factor, low, high, measure) -> None:
    few, many = ([measure(tile(key, **{factor: value})) for key in range(6)] for value in (low, high))
    assert np.mean(many) > np.mean(few)
    assert sum(m > f for m, f in zip(many, few, strict=True)) >= 5


def test_nuclei_have_the_sizes_and_shapes_of_their_factors() -> None:
    small, large = (nuclei(1, nuclear_size=value).radius_um for value in (0.0, 1.0))
    assert 2.0 < np.median(small) < 4.0 < np.median(large) < 6.5
    even, uneven = (nuclei(1, size_variation=value).radius_um for value in (0.0, 1.0))
    assert uneven.std() > 2 * even.std()
    round_, spindled = (nuclei(1, elongation=value) for value in (0.0, 1.0))
    assert np.median(round_.ratio) < 1.7 < 2.3 < np.median(spindled.ratio)
    assert np.std(spindled.angle) < np.std(round_.angle)


@pytest.mark.parametrize(("factor", "lumen_um"), [("glands", (7, 16)), ("rosettes", (4, 7))])
def test_nuclei_stand_in_rings_about_glands_and_rosettes(factor: str, lumen_um: tuple[float, float]) -> None:
    made = truth(1, **{factor: 1.0})
    table = rings(made, *SQUARE)
    assert (table.kind > 0).mean() > 0.8
    assert lumen_um[0] <= table.lumen_um.min() < table.lumen_um.max() <= lumen_um[1]
    found = nuclei(1, **{factor: 1.0})
    v, h = 2, 2
    off = np.hypot(found.x_um - table.x_um[v, h], found.y_um - table.y_um[v, h])
    lumen = table.lumen_um[v, h]
    assert (off < lumen - 1).sum() == 0
    assert ((off > lumen) & (off < lumen + RING_UM)).sum() >= 2 * np.pi * (lumen + 5) / 6.2 - 3


def test_heterogeneity_is_how_far_places_differ() -> None:
    def spread(value: float) -> float:
        places = Grid(np.arange(0, 4000, 40.0), np.arange(0, 4000, 40.0))
        return float(visible(truth(1, heterogeneity=value, density=0.5), places)["density"].std())

    assert spread(1.0) > 1.5 * spread(0.0) > 0


def test_a_ragged_margin_has_more_border_than_a_smooth_one() -> None:
    def border(value: float) -> float:
        places = Grid(np.arange(0, 3000, 6.0), np.arange(0, 3000, 6.0))
        made = truth(2, invasion=value)
        normal = scene(made, places, local(made, places, STRUCTURAL)).normal > 0.5
        edge = (normal[1:] != normal[:-1]).mean()
        return float(edge / max(normal.mean(), 1e-6))

    assert border(1.0) > 1.5 * border(0.0)


def test_colours_are_those_of_haematoxylin_and_eosin() -> None:
    cohort = PhantomSpec(patients=7).open()
    mean = np.mean([cohort.read_tile(row).reshape(-1, 3).mean(axis=0) for row in range(0, cohort.n_tiles, 9)], axis=0)
    assert mean[1] < mean[2] < mean[0] + 25  # pink to purple: green is absorbed most
    assert 90 < mean.mean() < 225


def test_truth_is_what_lies_there() -> None:
    slide = truth(4, glands=0.9, vessels=0.7, necrosis=0.6, heterogeneity=0.8)
    found = visible(slide, Grid(np.arange(0, 900, 5.0), np.arange(0, 700, 5.0)))
    assert list(found) == list(FACTORS)
    assert all(values.shape == (140, 180) for values in found.values())
    assert all(values.min() >= 0 and values.max() <= 1 for values in found.values())
    cover = found["glands"] + found["rosettes"] + found["vessels"] + found["necrosis"] + found["stroma"]
    assert cover.max() <= 1.0 + 1e-5  # structures part the place among them
    pixels = draw_tile(slide, LOOK, (0, 0), 140, 5.0).astype(float)
    flat = visible(slide, Grid((np.arange(140) + 0.5) * 5.0, (np.arange(140) + 0.5) * 5.0))
    assert pixels[flat["necrosis"] > 0.9][:, 0].mean() > pixels[flat["necrosis"] < 0.1][:, 0].mean() + 5


def test_truth_of_a_tile_is_a_mean_and_unknown_where_nothing_lives() -> None:
    found = tile_truth(truth(1, heterogeneity=0.0, density=0.5, necrosis=0.0), (0, 0), 100.0)
    assert found["density"] == pytest.approx(0.5, abs=0.25)
    dead = tile_truth(truth(1, necrosis=1.0), (0, 0), 100.0)
    assert dead["necrosis"] == 1.0
    assert np.isnan(dead["density"])


def test_class_signal_rises_from_patch_to_patient() -> None:
    cohort = PhantomSpec(patients=42, slides=2, side=2, tile_px=96, mpp=1.0, seed=5).open()
    rows = np.arange(cohort.n_tiles)
    factors = np.nan_to_num(tile_truths(cohort, rows), nan=0.4)
    labels, patients = cohort.tile_label(rows), cohort.tile_patient(rows)
    train = patients < 28
    probe = LogisticRegression(max_iter=1000).fit(factors[train], labels[train])
    found = probe.predict_proba(factors[~train])
    asked = patients[~train] - 28
    by_patient = np.stack([np.bincount(asked, column) for column in found.T], axis=1)
    patch = (found.argmax(axis=1) == labels[~train]).mean()
    patient = (by_patient.argmax(axis=1) == cohort.patient_label[28:]).mean()
    assert 0.4 < patch < 0.95
    assert patient > patch


def test_factors_are_of_a_level_and_classes_overlap() -> None:
    assert set(FACTOR_LEVEL.values()) == set(LEVELS)
    assert len(CLASSES) >= 7
    found = np.array([[slide_truth(0, p, s, CLASSES[p % 7]).factors for s in range(2)] for p in range(70)])
    labels = np.arange(70) % 7
    assert found[labels == 0].std(axis=(0, 1)).min() > 0.02
    prototypes = np.array(list(PROTOTYPES.values()))
    nearest = np.linalg.norm(found.mean(axis=1)[:, None] - prototypes[None], axis=2).argmin(axis=1)
    assert 0.7 < (nearest == labels).mean() <= 1.0
    assert not organ_shift(0).any()
    assert organ_shift(3).any()


def test_stain_belongs_to_the_site_more_than_to_the_slide() -> None:
    def od(patient: int, slide: int, site: int, spread: float = 1.0) -> np.ndarray:
        return look_of(0, patient, slide, site, spread).od[:2]

    same = np.mean([np.abs(od(p, 0, 1) - od(p + 1, 0, 1)).mean() for p in range(20)])
    other = np.mean([np.abs(od(p, 0, s) - od(p, 0, s + 1)).mean() for p in range(4) for s in range(6)])
    assert other > 1.3 * same > 0
    np.testing.assert_allclose(od(0, 0, 0, 0.0), od(5, 1, 3, 0.0))


def test_folds_darken_and_pens_colour_a_band_only() -> None:
    band = Band((1.0, 0.0), 50.0, 1000.0, 12.0)
    plain = tile(px=200)
    folded = tile(px=200, look=Look(LOOK.od, LOOK.light, fold=band))
    assert folded[:, 100].mean() < plain[:, 100].mean() - 10  # 50 µm
    np.testing.assert_array_equal(folded[:, :60], plain[:, :60])
    marked = tile(px=200, look=Look(LOOK.od, LOOK.light, pen=((0.1, 0.2, 0.9), band)))
    assert marked[:, 100, 0].mean() < 0.3 * marked[:, 100, 2].mean()


def test_no_band_is_missed_in_a_square_that_it_crosses() -> None:
    random, crossed = np.random.default_rng(0), 0
    for _ in range(200):
        angle, x, y = random.uniform((0, -900, -900), (np.pi, 900, 900))
        band = Band((np.cos(angle), np.sin(angle)), 50.0, 300.0, 12.0)
        places = Grid(x + np.arange(0, 80, 2.0), y + np.arange(0, 80, 2.0))
        crossed += bool(band.cover(places).any())
        assert band.meets(places) or not band.cover(places).any()
    assert 50 < crossed < 150


def test_some_slides_have_folds_and_some_pens() -> None:
    looks = [look_of(0, p, 0, 0) for p in range(1000)]
    assert np.mean([look.fold is not None for look in looks]) == pytest.approx(0.2, abs=0.04)
    assert np.mean([look.pen is not None for look in looks]) == pytest.approx(0.08, abs=0.03)


def test_cohort_has_the_truth_of_its_slides_and_a_coarser_read() -> None:
    spec = PhantomSpec(patients=3, slides=1, side=2, tile_px=32, mpp=2.0)
    cohort = spec.open()
    assert cohort.n_tiles == 12
    assert cohort.tile_xy_px0(np.array([1]))[0, 0] == 32 * 2.0 / MPP0
    found = drawn_slides(cohort).truth(0, np.array([0.0]), np.array([0.0, 9.0]))
    assert found["density"].shape == (2, 1)
    assert tile_truths(cohort, [0, 5]).shape == (2, len(FACTORS))
    assert cohort.read_tile(0).tolist() != PhantomSpec(**spec.model_dump() | {"seed": 1}).open().read_tile(0).tolist()


def test_a_million_slides_cost_nothing_until_they_are_read() -> None:
    source = drawn_slides(PhantomSpec(patients=1, slides=1, side=1).open()).__class__(PhantomSpec(patients=500_000))
    assert source.read(999_999, (10**6, 10**6), 32, 0.5).shape == (32, 32, 3)


def test_only_drawn_tissue_has_a_truth(tmp_path) -> None:
    class Other(TileSource):
        fingerprint = "other"
        image_name = read = lambda self, *place: ""

    cohort = replace(PhantomSpec(patients=2).open(), source=Other())
    with pytest.raises(UserError, match="only drawn tissue"):
        tile_truths(cohort, [0])
