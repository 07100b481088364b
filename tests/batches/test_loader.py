"""The stream: the same batches whoever makes them and wherever it starts; unreadable tiles replaced, not forgotten."""

import numpy as np
import pytest
import torch

from hlss.batches.loader import BatchStream, tiles
from hlss.batches.recipe import ViewSpec
from hlss.batches.sampler import Sampler, SamplerSpec
from hlss.errors import UserError
from hlss.types import Level


def stream(cohort, start=0, stop=4, **settings):
    sampler = Sampler(cohort, SamplerSpec(patients=4, slides=2, patches=2, views=2), seed=1)
    return BatchStream(cohort, sampler, ViewSpec(preset="hidisc"), 16, seed=1, start=start, stop=stop, **settings)


def equal(a, b):
    return torch.equal(a.views, b.views) and all(torch.equal(a.ids[level], b.ids[level]) for level in Level)


@pytest.fixture
def cohort(make_cohort):
    return make_cohort([[3, 3]] * 6, labels=list("ababab"))


def test_a_start_in_the_middle_gives_the_same_batches(cohort):
    whole = list(stream(cohort))
    assert len(whole) == 4
    assert all(equal(a, b) for a, b in zip(whole[2:], stream(cohort, start=2), strict=True))
    assert not equal(whole[0], whole[1])


def test_workers_make_what_the_process_itself_makes(cohort):
    alone = list(stream(cohort, stop=26))
    helped = list(stream(cohort, stop=26, workers=2))
    assert all(equal(a, b) for a, b in zip(alone, helped, strict=True))


def test_shapes_identities_and_labels(cohort):
    for executor in ("opencv", "torch"):
        batch = next(iter(stream(cohort, executor=executor)))
        assert batch.views.shape == (4, 2, 2, 2, 3, 16, 16)
        assert batch.views.dtype == torch.uint8
        rows = batch.ids[Level.PATCH][..., 0].numpy().ravel()
        np.testing.assert_array_equal(cohort.tile_patient(rows), batch.ids[Level.PATIENT][..., 0].ravel())
        np.testing.assert_array_equal(cohort.tile_slide(rows), batch.ids[Level.SLIDE][..., 0].ravel())
        np.testing.assert_array_equal(cohort.tile_label(rows), batch.labels.ravel())
        assert torch.equal(batch.ids[Level.PATCH][..., 0], batch.ids[Level.PATCH][..., 1])


def test_views_show_the_tile_their_identity_names(cohort):
    sampler = Sampler(cohort, SamplerSpec(patients=4), seed=1)
    plain = BatchStream(cohort, sampler, ViewSpec(preset="none"), 16, seed=1, start=0, stop=1)
    batch = next(iter(plain))
    for row, view in zip(batch.ids[Level.PATCH].flatten().tolist(), batch.flat(), strict=True):
        np.testing.assert_array_equal(view.permute(1, 2, 0), cohort.read_tile(row))


def test_unreadable_tiles_are_replaced_by_the_same_patient_and_listed(make_cohort):
    cohort = make_cohort([[3, 3]] * 4, broken=(2,))  # image 2: the first slide of the second patient
    batches = stream(cohort)
    for batch in batches:
        assert (batch.views[..., 0, :, :] != 2).any()
        rows = batch.ids[Level.PATCH].flatten().numpy()
        assert 2 not in set(cohort.tile_image(rows))
        assert sorted(set(batch.ids[Level.PATIENT].flatten().tolist())) == [0, 1, 2, 3]
        np.testing.assert_array_equal(cohort.tile_slide(rows), batch.ids[Level.SLIDE].flatten())
    assert batches.unreadable
    assert all(name.startswith("image 2 at ") for name in batches.unreadable)
    assert set(batches.unreadable.values()) == {"broken on purpose"}


def test_a_patient_without_a_readable_tile_ends_the_stream(make_cohort):
    cohort = make_cohort([[2]] * 4, broken=(1,))
    with pytest.raises(UserError, match="'p0000001' has no readable tile"):
        list(stream(cohort))


def test_tiles_come_in_order_without_the_unreadable(make_cohort):
    cohort = make_cohort([[2]] * 3, broken=(1,))
    problems: dict[str, str] = {}
    found = list(tiles(cohort, np.arange(12), 16, batch=5, unreadable=problems))
    assert np.concatenate([rows for rows, _ in found]).tolist() == [0, 1, 2, 3, 8, 9, 10, 11]
    assert len(problems) == 4
    np.testing.assert_array_equal(found[0][1][1].permute(1, 2, 0), cohort.read_tile(1))
