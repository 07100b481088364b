"""Which text a view is aligned with, against loops and against what each way promises."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from hlss.objectives.selection import ROUNDS, SHARPNESS, assigned, centred_scores, choose, selected

Rows = Callable[..., Tensor]
ALL = slice(0, 40)


def test_choice_is_the_nearest_text(unit_rows: Rows, naive_choice: Callable[[Tensor, Tensor], int]):
    z, texts = unit_rows(20, 8), unit_rows(5, 8, seed=1).detach()
    found = choose(z, texts)
    assert found.tolist() == [naive_choice(row, texts) for row in z]
    assert len(set(found.tolist())) > 1
    assert not found.requires_grad


@pytest.fixture
def crowded(unit_rows: Rows) -> tuple[Tensor, Tensor]:
    """Views that all lie about one direction, near the first text: the hard choice has collapsed."""
    texts = unit_rows(5, 8, seed=1).detach()
    z = torch.nn.functional.normalize(4 * texts[0] + unit_rows(40, 8).detach(), dim=1)
    assert set(choose(z, texts).tolist()) == {0}
    return z, texts


def test_centred_scores_are_those_of_the_loop(crowded: tuple[Tensor, Tensor]):
    z, texts = crowded
    mean_z, mean_t = z.sum(0) / 40, texts.sum(0) / 5
    raw = torch.tensor([[float(((a - mean_z) * (t - mean_t)).sum()) for t in texts] for a in z], dtype=torch.float64)
    torch.testing.assert_close(centred_scores(z, texts), raw / raw.square().mean().sqrt())


def test_what_all_views_share_decides_nothing_when_centred(crowded: tuple[Tensor, Tensor]):
    z, texts = crowded
    chosen = selected(z, texts, "centred", ALL)
    truth = texts[centred_scores(z, texts).argmax(1)]
    assert torch.equal(chosen, truth)
    assert len(chosen.unique(dim=0)) == 5


def test_balanced_uses_every_text_about_alike(crowded: tuple[Tensor, Tensor]):
    z, texts = crowded
    chosen = selected(z, texts, "balanced", ALL)
    _, counts = chosen.unique(dim=0, return_counts=True)
    assert len(counts) == 5
    assert counts.max() <= 2 * 40 / 5


def test_assignment_is_sinkhorns_alternation(crowded: tuple[Tensor, Tensor]):
    plan = torch.exp(SHARPNESS * centred_scores(*crowded))
    truth = plan.clone()
    for _ in range(ROUNDS):
        truth = truth / truth.sum(0)
        truth = truth / truth.sum(1, keepdim=True)
    found = assigned(plan.log()).exp()
    torch.testing.assert_close(found, truth)
    torch.testing.assert_close(found.sum(0), torch.full((5,), 8.0, dtype=torch.float64), rtol=0.05, atol=0)


def test_soft_is_a_mixture_near_the_best_text(crowded: tuple[Tensor, Tensor]):
    z, texts = crowded
    chosen, scores = selected(z, texts, "soft", ALL), centred_scores(z, texts)
    weights = torch.exp(SHARPNESS * scores)
    mixed = torch.stack([sum(w * t for w, t in zip(row, texts, strict=True)) for row in weights])
    torch.testing.assert_close(chosen, mixed / mixed.norm(dim=1, keepdim=True))


@pytest.mark.parametrize("selection", ["hard", "centred", "balanced", "soft"])
def test_a_part_of_the_views_gets_what_it_has_in_the_whole(crowded: tuple[Tensor, Tensor], selection: str):
    z, texts = crowded
    whole = selected(z.requires_grad_(), texts, selection, ALL)
    assert torch.equal(selected(z, texts, selection, slice(8, 20)), whole[8:20])
    assert not whole.requires_grad


def test_views_that_are_all_the_same_choose_something_finite(unit_rows: Rows):
    z = unit_rows(1, 8).detach().expand(6, -1)
    for selection in ("centred", "balanced", "soft"):
        assert torch.isfinite(selected(z, unit_rows(5, 8, seed=1).detach(), selection, slice(0, 6))).all()
