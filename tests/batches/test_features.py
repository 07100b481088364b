"""Views of stored features: drawn by keys, as far disturbed as asked for, the same on any number of ranks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from stored_features import table

from hlss.batches.features import FeatureStream, FeatureViews
from hlss.batches.sampler import Sampler, SamplerSpec
from hlss.cohorts.base import Cohort
from hlss.cohorts.embeddings import EmbeddingsSpec
from hlss.types import Level

PLAIN = FeatureViews(preset="features", noise=0.0, dropout=0.0)


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    table(width=40).write(tmp_path / "a")
    return EmbeddingsSpec(path=[tmp_path / "a"]).open()


def stream(cohort: Cohort, views: FeatureViews, start: int = 0, stop: int = 3, rank: int = 0, world: int = 1):
    sampler = Sampler(cohort, SamplerSpec(patients=4, slides=2, patches=3, views=2), seed=5, world=world)
    return FeatureStream(cohort, sampler, views, seed=5, start=start, stop=stop, rank=rank)


def test_undisturbed_views_are_the_stored_features_of_their_tiles(cohort: Cohort) -> None:
    for batch in stream(cohort, PLAIN):
        assert batch.views.shape == (4, 2, 3, 2, 40)
        rows = batch.flat_ids()[Level.PATCH].numpy()
        np.testing.assert_array_equal(batch.flat().numpy(), cohort.features(rows))
        np.testing.assert_array_equal(batch.flat_ids()[Level.PATIENT].numpy(), cohort.tile_patient(rows))
        np.testing.assert_array_equal(batch.flat_labels().numpy(), cohort.tile_label(rows))


def test_a_step_is_the_same_wherever_one_starts_and_on_any_number_of_ranks(cohort: Cohort) -> None:
    views = FeatureViews(preset="features")
    whole = list(stream(cohort, views, stop=4))
    torch.testing.assert_close(next(iter(stream(cohort, views, start=3, stop=4))).views, whole[3].views, rtol=0, atol=0)
    assert not torch.equal(whole[0].views, whole[1].views)
    for step, batch in enumerate(whole):
        parts = [next(iter(stream(cohort, views, step, step + 1, rank, world=2))).views for rank in range(2)]
        torch.testing.assert_close(torch.cat(parts), batch.views, rtol=0, atol=0)


def test_noise_is_as_wide_as_asked_for_in_every_dimension(cohort: Cohort) -> None:
    views = FeatureViews(preset="features", noise=0.5, dropout=0.0)
    found = []
    for batch in stream(cohort, views, stop=60):
        rows = batch.flat_ids()[Level.PATCH].numpy()
        found.append(batch.flat().numpy() - cohort.features(rows))
    spread = np.concatenate(found).std(axis=0) / cohort.features(np.arange(cohort.n_tiles)).std(axis=0)
    np.testing.assert_allclose(spread, 0.5, rtol=0.06)  # 2,880 draws a dimension: 4.6 standard errors


def test_dropout_shows_the_mean_of_training_tiles(cohort: Cohort) -> None:
    mean = cohort.features(np.arange(cohort.n_tiles)).mean(axis=0, dtype=np.float64)
    dropped, seen = 0, 0
    for batch in stream(cohort, FeatureViews(preset="features", noise=0.0, dropout=0.25), stop=30):
        values, own = batch.flat().numpy(), cohort.features(batch.flat_ids()[Level.PATCH].numpy())
        gone = values != own
        np.testing.assert_allclose(values[gone], np.broadcast_to(mean, own.shape)[gone], rtol=1e-5, atol=1e-6)
        dropped, seen = dropped + gone.sum(), seen + gone.size
    assert abs(dropped / seen - 0.25) < 0.008  # 57,600 draws: 4.4 standard errors


def test_views_of_a_tile_start_from_different_stored_ones(tmp_path: Path) -> None:
    for seed in range(3):
        one = table(width=8, seed=seed)
        one.write(tmp_path / str(seed))
    cohort = EmbeddingsSpec(path=[tmp_path / str(seed) for seed in range(3)]).open()
    used = set()
    for batch in stream(cohort, PLAIN, stop=20):
        rows = batch.flat_ids()[Level.PATCH].numpy()
        stored = np.stack([cohort.features(rows, view) for view in range(3)])
        which = (stored == batch.flat().numpy()).all(axis=2).argmax(axis=0).reshape(-1, 2)
        assert (which[:, 0] != which[:, 1]).all()
        used |= set(which.ravel().tolist())
    assert used == {0, 1, 2}
