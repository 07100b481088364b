"""Ordered pairs of views by identity, against the double loop."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from hlss.errors import UserError
from hlss.objectives.base import Gathered
from hlss.objectives.pairs import mean_over_pairs, occurrence, ordered_pairs
from hlss.types import Level


def looped(names: list[int]) -> list[tuple[int, int]]:
    count = range(len(names))
    return [(i, p) for i in count for p in count if i != p and names[i] == names[p]]


def test_pairs_are_those_of_the_double_loop(ids: dict[Level, Tensor]):
    for level in Level:
        first, second = ordered_pairs(ids[level])
        assert sorted(zip(first.tolist(), second.tolist(), strict=True)) == looped(ids[level].tolist())


def test_occurrence_counts_the_equal_ids_before(ids: dict[Level, Tensor]):
    for level in Level:
        names = ids[level].tolist()
        assert occurrence(ids[level]).tolist() == [names[:i].count(name) for i, name in enumerate(names)]


def test_each_patch_seen_once_is_an_error_that_says_what_to_change():
    with pytest.raises(UserError, match=r"batches\.views"):
        ordered_pairs(torch.arange(5))


@pytest.mark.parametrize("cuts", [(0, 12), (0, 4, 12), (0, 6, 8, 12)])
def test_mean_over_ranks_of_unequal_pairs_is_the_mean_of_all(cuts: tuple[int, ...]):
    patches = torch.tensor([3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 8])
    worth = torch.arange(12.0, dtype=torch.float64)
    pairs = looped(patches.tolist())
    truth = sum(float(worth[i] * 100 + worth[p]) for i, p in pairs) / len(pairs)
    total = 0.0
    for start, stop in pairwise(cuts):
        own = worth[start:stop]
        gathered = Gathered({}, {}, {Level.PATCH: patches}, None, slice(start, stop))
        part = mean_over_pairs(gathered, lambda i, p, own=own: own[i] * 100 + own[p])
        total += float(part) * (stop - start) / 12  # ranks of unequal size: each weighs as much as it holds
    assert total == pytest.approx(truth, rel=1e-12)
