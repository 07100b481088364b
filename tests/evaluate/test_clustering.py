"""Clustering against neighbours that are known by construction, and by a search without any cleverness."""

import numpy as np
import pytest

from hlss.evaluate.clustering import clustering


def blobs(kinds: np.ndarray, spread: float, seed: int = 0) -> np.ndarray:
    """Around a direction of its own for each kind."""
    rng = np.random.default_rng(seed)
    return (np.eye(8)[kinds] * 5 + rng.normal(scale=spread, size=(len(kinds), 8))).astype(np.float32)


def test_kinds_apart_share_all_neighbours_and_far_more_than_by_chance() -> None:
    kinds, patients = np.repeat([0, 1, 2], 40), np.repeat(np.arange(12), 10)
    found = clustering(blobs(kinds, 0.1), kinds.astype(str), patients, k=5, permutations=100, seed=0)
    assert found is not None
    assert found.share == 1
    assert found.high < 0.6
    assert (found.n, found.kinds) == (120, 3)


def test_features_without_kinds_lie_within_chance() -> None:
    rng = np.random.default_rng(1)
    features, patients = rng.normal(size=(200, 6)).astype(np.float32), np.arange(200) // 5
    kinds = (patients % 4).astype(str)
    found = clustering(features, kinds, patients, k=10, permutations=200, seed=0)
    assert found is not None
    assert found.low <= found.share <= found.high
    assert found.chance == pytest.approx(0.25, abs=0.03)


def test_a_patients_own_patches_are_no_neighbours() -> None:
    """Every patient is a place of its own: only own patches would be of the same site."""
    patients = np.repeat(np.arange(6), 10)
    features = blobs(patients, 0.01)
    found = clustering(features, np.array(list("aabbcc"))[patients], patients, k=5, permutations=50, seed=0)
    assert found is not None
    z = features - features.mean(axis=0)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    sites, shares = np.array(list("aabbcc"))[patients], []
    for row in range(60):
        order = [other for other in np.argsort(-(z @ z[row])) if patients[other] != patients[row]][:5]
        shares.append(np.mean(sites[order] == sites[row]))
    assert found.share == pytest.approx(np.mean(shares))


def test_sites_that_only_follow_classes_are_not_blamed() -> None:
    """Each class at one site: dealt anew within classes, sites stay where they are, and chance is what is found."""
    classes, patients = np.repeat([0, 1], 50), np.repeat(np.arange(10), 10)
    features = blobs(classes, 0.5)
    free = clustering(features, classes.astype(str), patients, k=5, permutations=100, seed=0)
    within = clustering(features, classes.astype(str), patients, classes.astype(str), k=5, permutations=100, seed=0)
    assert free is not None
    assert within is not None
    assert free.share > free.high
    assert within.share == within.chance == within.high


def test_patches_without_a_kind_are_left_out_and_a_seed_gives_the_same_again() -> None:
    kinds = np.array(["a", "b", "", "a", "b"] * 8)
    features = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    settings = {"k": 3, "permutations": 20, "seed": 4}
    found = clustering(features, kinds, np.arange(40), **settings)
    assert found is not None
    assert found.n == 32
    assert found == clustering(features, kinds, np.arange(40), **settings)
    assert found.to_json()["chance_interval"] == [found.low, found.high]


@pytest.mark.parametrize(
    ("kinds", "units"),
    [
        pytest.param(["a"] * 8, range(8), id="one kind"),
        pytest.param([""] * 8, range(8), id="no kind"),
        pytest.param(list("abcdefgh"), range(8), id="every kind once"),
        pytest.param(list("aaaabbbb"), [0, 0, 0, 0, 1, 1, 1, 1], id="a unit a kind"),
        pytest.param(list("aabb") * 2, [0, 0, 0, 0, 0, 0, 0, 1], id="too few others"),
    ],
)
def test_where_nothing_can_be_said_nothing_is(kinds: list[str], units: list[int]) -> None:
    features = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    assert clustering(features, np.array(kinds), np.array(units), k=3, permutations=5, seed=0) is None
