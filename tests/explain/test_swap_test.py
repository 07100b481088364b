"""Faithfulness: chance is 0.5 for maps that know nothing, 1 for those that know all, and swaps are real swaps."""

import tracemalloc

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from hlss.explain.faithfulness import Faithfulness
from hlss.explain.lattice import Lattice
from hlss.explain.swap_test import SwapTest

SIDE, WIDTH = 20, 12  # tiles of a slide's side; dimensions


def lattice(side: int = SIDE, step: int = 100) -> Lattice:
    y, x = np.mgrid[:side, :side]
    return Lattice.of(np.stack([x.ravel(), y.ravel()], axis=1) * step, 100)


def field(rng: np.random.Generator, width: float, side: int = SIDE) -> np.ndarray:
    values = rng.standard_normal((side, side))
    return (gaussian_filter(values, width, mode="wrap") if width else values).ravel()


def slide(seed: int, width: float = 1.5, side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """Features of tissue that changes from place to place, and a text."""
    rng = np.random.default_rng(seed)
    features = np.stack([one / one.std() for one in (field(rng, width, side) for _ in range(WIDTH))], axis=1) + 1
    text = rng.standard_normal(WIDTH)
    return features, text / np.linalg.norm(text)


def random_maps(width: float, draws: int) -> list[Faithfulness]:
    found = []
    for seed in range(draws):
        features, text = slide(seed)
        values = field(np.random.default_rng([seed, 1]), width)
        found.append(SwapTest(lattice(), features, seed).tested(text, values, maps=39, resamples=100))
    return found


@pytest.mark.parametrize("width", [0.0, 2.0])
def test_random_maps_are_at_chance_and_their_p_is_uniform(width: float) -> None:
    found = random_maps(width, 60)
    values = np.array([one.auroc for one in found], dtype=np.float64)
    assert abs(values.mean() - 0.5) < 3 * values.std() / np.sqrt(60)
    p = np.array([one.random_maps.p for one in found if one.random_maps], dtype=np.float64)
    for level in (0.1, 0.25, 0.5, 0.75):  # 3 standard errors of a share among 60
        assert abs((p <= level).mean() - level) <= 3 * np.sqrt(level * (1 - level) / 60) + 0.025
    assert np.mean([one.above_chance for one in found]) <= 0.1
    assert sum("not above chance" in one.verdict for one in found) >= 54


@pytest.mark.slow
@pytest.mark.parametrize("width", [0.0, 2.0])
def test_random_maps_are_at_chance_over_many_draws(width: float) -> None:
    values = np.array([one.auroc for one in random_maps(width, 400)], dtype=np.float64)
    assert abs(values.mean() - 0.5) < 3 * values.std() / np.sqrt(400)


def test_turning_a_map_round_turns_its_faithfulness_round() -> None:
    """So that chance is 0.5 for every source of maps that gives a map and its opposite alike."""
    features, text = slide(0, side=24)
    test = SwapTest(lattice(24), features)
    values = test.scores(text)
    pointed, opposite = test.pointed(values), test.pointed(-values)
    assert pointed is not None
    assert opposite is not None
    assert not (pointed & opposite).any()
    there, back = test.tested(text, values, maps=9), test.tested(text, -values, maps=9)
    assert there.auroc is not None
    assert back.auroc is not None
    assert there.auroc > 0.9
    assert back.auroc < 0.1
    assert (there.drop or 0) > 0 > (back.drop or 0)


def test_a_map_that_knows_all_is_near_one_and_one_of_noise_features_is_not() -> None:
    features, text = slide(3, width=2.0, side=30)
    known = SwapTest(lattice(30), features).tested(text, maps=39)
    assert known.auroc is not None
    assert known.auroc > 0.95
    assert known.interval is not None
    assert known.interval.low > 0.85
    assert known.above_chance
    assert known.random_maps is not None
    assert known.random_maps.p == 1 / 40
    features, text = slide(4, width=0.0)  # every tile for itself: no map of one half tells of the other
    alone = SwapTest(lattice(), features).tested(text, maps=39)
    assert alone.auroc == pytest.approx(0.5, abs=0.08)
    assert not alone.above_chance


def test_the_share_is_that_of_real_swaps() -> None:
    """Each held-out tile pointed to is swapped for each that is not, and the cosine is computed anew."""
    features, text = slide(1, width=1.0, side=10)
    grid = lattice(10)
    test = SwapTest(grid, features)
    pointed = test.pointed(test.scores(text))
    assert pointed is not None
    z = features / np.linalg.norm(features, axis=1, keepdims=True)
    shares = []
    for held in (grid.half, ~grid.half):
        total = z[held].sum(axis=0)
        before = total @ text / np.linalg.norm(total)
        fell = []
        for i in np.flatnonzero(held & pointed):
            for j in np.flatnonzero(held & ~pointed):
                swapped = total - z[i] + z[j]
                fell.append(swapped @ text / np.linalg.norm(swapped) < before)
        shares.append(np.mean(fell))
    assert test.tested(text, maps=9).auroc == pytest.approx(np.mean(shares), abs=0.01)


def test_what_is_watched_never_made_the_map() -> None:
    """Other features in one half change nothing of where the map points to in that half."""
    features, text = slide(2)
    grid = lattice()
    other = np.where(grid.half[:, None], slide(5)[0], features)
    one, two = (SwapTest(grid, every) for every in (features, other))
    there, then = one.pointed(one.scores(text)), two.pointed(two.scores(text))
    assert there is not None
    assert then is not None
    np.testing.assert_array_equal(there[grid.half], then[grid.half])
    assert not np.array_equal(there, then)


def test_overlapping_tiles_do_not_help_each_other() -> None:
    """Tiles that overlap share their pixels' noise: a map of noise stays at chance all the same."""
    found = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        fine = rng.standard_normal((41, 41, WIDTH))
        features = (fine[:-1, :-1] + fine[1:, :-1] + fine[:-1, 1:] + fine[1:, 1:]).reshape(-1, WIDTH)  # half a side
        text = np.eye(WIDTH)[0]
        y, x = np.mgrid[:40, :40]
        grid = Lattice.of(np.stack([x.ravel(), y.ravel()], axis=1) * 50, 100)
        found.append(SwapTest(grid, features).tested(text, maps=0, resamples=100).auroc)
    values = np.array(found, dtype=np.float64)
    assert abs(values.mean() - 0.5) < 3 * values.std() / np.sqrt(30)


def test_texts_that_point_to_the_same_places_are_said_to() -> None:
    rng = np.random.default_rng(0)
    common = field(rng, 2.0)
    features = np.stack([common, *(0.05 * field(rng, 0.0) for _ in range(WIDTH - 1))], axis=1)
    features[:, 1] += 1.0
    texts = rng.standard_normal((40, WIDTH)) * 0.05
    texts[:, 0] += 1
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    test = SwapTest(lattice(), features)
    alike = test.tested(texts[0], maps=39, texts=test.maps_of(texts[1:]))
    assert alike.above_chance
    assert alike.above_random_text is False
    assert "random text point there as well" in alike.verdict
    away = rng.standard_normal((39, WIDTH))
    away[:, 0] = 0
    apart = test.tested(texts[0], maps=39, texts=test.maps_of(away / np.linalg.norm(away, axis=1, keepdims=True)))
    assert apart.above_random_text
    assert apart.to_json()["random_texts"]["p"] <= 0.05


def test_it_says_when_it_cannot_say() -> None:
    features, text = slide(0, side=6)
    few = SwapTest(lattice(6), features)
    assert few.tested(text).why == "36 tiles are too few (of 40)"
    assert few.maps_of(text[None]) == []
    assert few.tested(text).to_json()["verdict"] == "not known: 36 tiles are too few (of 40)"
    assert few.tested(text).figures == "–"
    flat = SwapTest(lattice(), np.ones((SIDE**2, WIDTH))).tested(text)
    assert (flat.auroc, flat.why, flat.above_chance) == (None, "the map is flat", False)
    y, x = np.mgrid[:8, :8]
    lonely = Lattice.of(np.stack([x.ravel(), y.ravel()], axis=1) * 900, 100)
    assert "too far apart" in SwapTest(lonely, slide(0, side=8)[0]).tested(text).verdict


def test_memory_is_for_tiles_not_for_tiles_times_dimensions() -> None:
    def peak(width: int) -> int:
        features = np.random.default_rng(0).standard_normal((4900, width), dtype=np.float32)
        text = np.eye(width, dtype=np.float32)[0]
        tracemalloc.start()
        SwapTest(lattice(70), features).tested(text, maps=3, resamples=100)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    narrow, wide = peak(8), peak(768)
    assert wide - narrow < 4900 * 768 * 4 / 2  # less than half of one copy: a block at a time


def test_it_is_the_same_twice_and_the_order_of_tiles_is_nothing_to_it() -> None:
    features, text = slide(7)
    grid, order = lattice(), np.random.default_rng(0).permutation(SIDE**2)
    one, again = (SwapTest(grid, features).tested(text, maps=19) for _ in range(2))
    assert one.to_json() == again.to_json()
    mixed = SwapTest(Lattice.of(grid.xy_px0[order], 100), features[order]).tested(text, maps=19)
    assert mixed.auroc == pytest.approx(one.auroc, abs=1e-6)
