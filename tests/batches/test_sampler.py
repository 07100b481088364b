"""Which tiles: pure in (seed, step, rank), no patient twice, identity where there is too little."""

import numpy as np
import pytest

from hlss.batches.keyed import generator, shuffled
from hlss.batches.sampler import Sampler, SamplerSpec
from hlss.errors import UserError


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 65, 1000])
def test_shuffle_is_a_bijection_that_hangs_on_its_keys(n):
    order = shuffled(np.arange(n), n, 3, 1)
    assert sorted(order) == list(range(n))
    assert shuffled(np.arange(n), n, 3, 1).tolist() == order.tolist()
    if n > 60:
        assert shuffled(np.arange(n), n, 3, 2).tolist() != order.tolist() != list(range(n))
    with pytest.raises(IndexError):
        shuffled(np.array([n]), n, 3, 1)


def test_shuffle_spreads_every_position():
    places = np.array([shuffled(np.array([5]), 50, seed)[0] for seed in range(600)])
    assert len(np.unique(places)) == 50
    assert np.bincount(places, minlength=50).max() < 40


def test_a_look_up_among_many_costs_no_more():
    assert len(set(shuffled(np.arange(10**9, 10**9 + 32), 10**10, 1).tolist())) == 32


def test_generators_are_the_same_on_every_platform():
    assert generator(1, 2).integers(0, 1000, 3).tolist() == generator(1, 2).integers(0, 1000, 3).tolist()
    assert generator(1, 2).integers(0, 10**9) != generator(2, 1).integers(0, 10**9)


def test_ranks_share_one_batch_without_meeting(make_cohort):
    cohort = make_cohort([[3, 3]] * 11)
    spec = SamplerSpec(patients=8, slides=2, patches=2)
    whole = Sampler(cohort, spec, seed=4)
    shares = Sampler(cohort, spec, seed=4, world=4)
    for step in range(5):
        plan = whole.plan(step)
        parts = [shares.plan(step, rank) for rank in range(4)]
        np.testing.assert_array_equal(np.concatenate([part.tiles for part in parts]), plan.tiles)
        assert [part.first for part in parts] == [0, 2, 4, 6]
        assert len(set(plan.patients)) == 8
        np.testing.assert_array_equal(cohort.tile_slide(plan.tiles.ravel()), plan.slides.repeat(2, axis=1).ravel())
        np.testing.assert_array_equal(Sampler(cohort, spec, seed=4).plan(step).tiles, plan.tiles)
    assert whole.plan(0).tiles.tolist() != Sampler(cohort, spec, seed=5).plan(0).tiles.tolist()


def test_an_epoch_meets_nobody_twice_and_orders_differ(make_cohort):
    sampler = Sampler(make_cohort([[2]] * 10), SamplerSpec(patients=5, slides=1), seed=0)
    assert sampler.steps_per_epoch == 2
    epochs = [np.concatenate([sampler.plan(2 * e + s).patients for s in range(2)]) for e in range(3)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0].tolist() != epochs[1].tolist()


def test_fewer_patients_than_asked_for_are_announced(make_cohort):
    sampler = Sampler(make_cohort([[2]] * 7), SamplerSpec(patients=32), seed=0, world=2)
    assert sampler.patients == 6
    assert "6 patients instead of 32" in sampler.notices[0]
    with pytest.raises(UserError, match="cannot be contrasted"):
        Sampler(make_cohort([[2]]), SamplerSpec(), seed=0)
    with pytest.raises(UserError, match="At least 4"):
        Sampler(make_cohort([[2]] * 3), SamplerSpec(), seed=0, world=4)


def test_one_slide_fills_both_places_with_other_patches(make_cohort):
    plan = Sampler(make_cohort([[3], [3, 3]]), SamplerSpec(patients=2, slides=2, patches=2), seed=0).plan(0)
    single = plan.patients.tolist().index(0)
    assert len(set(plan.slides[single])) == 1
    assert len(set(plan.tiles[single].ravel())) == 4
    assert len(set(plan.slides[1 - single])) == 2


def test_one_patch_comes_again_under_its_own_number(make_cohort):
    plan = Sampler(make_cohort([[1], [2]]), SamplerSpec(patients=2, slides=2, patches=2), seed=0).plan(3)
    single = plan.patients.tolist().index(0)
    assert set(plan.tiles[single].ravel()) == {0}
    assert len(set(plan.tiles[1 - single].ravel())) == 4


def test_balance_gives_quotas_without_repeats(make_cohort):
    labels = ["a"] * 20 + ["b"] * 3 + ["c"] * 9
    sampler = Sampler(make_cohort([[1]] * 32, labels), SamplerSpec(patients=12, balanced=True), seed=0)
    for step in range(20):
        patients = sampler.plan(step).patients
        assert len(set(patients)) == 12
        counts = [sum(labels[p] == c for p in patients) for c in "abc"]
        assert counts[0] >= 4
        assert counts[1] == 3
        assert counts[2] >= 4
    with pytest.raises(UserError, match="balance needs labels"):
        Sampler(make_cohort([[1]] * 4), SamplerSpec(patients=4, balanced=True), seed=0)


def test_batches_by_site_have_patients_of_one_site_each_as_often_as_it_can(make_cohort):
    sites = ["a"] * 9 + ["b"] * 4 + ["c"] * 2 + [None]
    cohort = make_cohort([[2]] * 16, sites=sites)
    sampler = Sampler(cohort, SamplerSpec(patients=4, slides=1, by_site=True), seed=1)
    assert "3 of 16 patients meet in batches of mixed sites" in sampler.notices[0]
    assert sampler.steps_per_epoch == 4  # two of a, one of b, one of all others, filled up
    orders = set()
    for epoch in range(6):
        met = [sampler.plan(4 * epoch + step).patients for step in range(4)]
        seen = [{sites[patient] for patient in batch} for batch in met]
        assert sorted(map(len, seen))[:3] == [1, 1, 1]
        assert [seen.count({"a"}), seen.count({"b"})] == [2, 1]
        mixed = next(batch for batch, of in zip(met, seen, strict=True) if len(of) > 1)
        assert {13, 14, 15} < set(mixed.tolist())
        assert all(len(set(batch.tolist())) == 4 for batch in met)
        of_a = np.concatenate([batch for batch, of in zip(met, seen, strict=True) if of == {"a"}])
        assert len(set(of_a.tolist())) == 8  # nobody twice in an epoch
        orders.add(tuple("".join(sorted(map(str, of))) for of in seen))
    assert len(orders) > 1


def test_ranks_share_a_batch_of_one_site(make_cohort):
    cohort = make_cohort([[2]] * 12, sites=["a", "b"] * 6)
    spec = SamplerSpec(patients=6, slides=1, by_site=True)
    whole, shares = Sampler(cohort, spec, seed=1), Sampler(cohort, spec, seed=1, world=2)
    for step in range(4):
        parts = [shares.plan(step, rank).patients for rank in range(2)]
        assert np.concatenate(parts).tolist() == whole.plan(step).patients.tolist()
        assert len(set(whole.plan(step).patients % 2)) == 1


def test_batches_by_site_that_cannot_be_made_say_why(make_cohort):
    with pytest.raises(UserError, match="no site has the 3 patients"):
        Sampler(make_cohort([[2]] * 4, sites=["a", "a", "b", "b"]), SamplerSpec(patients=3, by_site=True), seed=0)
    with pytest.raises(ValueError, match="at once"):
        SamplerSpec(balanced=True, by_site=True)
