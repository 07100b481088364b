"""Eq. 6 against loops: which text is chosen, what the divergence to it is, and where its gradient goes."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 — torch's own name for it
from torch import Tensor

from hlss.objectives.alignment import Alignment, BankUse, Direction, Softmax
from hlss.objectives.alignment import divergence as between
from hlss.objectives.selection import choose

Rows = Callable[..., Tensor]
Kl = Callable[[Tensor, Tensor], Tensor]


def divergence(z: Tensor, chosen: Tensor, direction: Direction, tau_a: float | None) -> Tensor:
    """Of rows."""
    return between(Softmax.of(z, tau_a), Softmax.of(chosen, tau_a), direction)


def term(ha: Alignment, z: Tensor, chosen: Tensor, share: float) -> Tensor:
    """Of rows."""
    return ha.term(ha.softmax(z), ha.softmax(chosen), share)


@pytest.mark.parametrize("tau_a", [None, 1.0, 0.3])
@pytest.mark.parametrize("direction", ["z_to_text", "symmetric"])
def test_divergence_equals_the_loop(direction: Direction, tau_a: float | None, unit_rows: Rows, naive_kl: Kl):
    z, chosen = unit_rows(6, 10), unit_rows(6, 10, seed=1)
    scale = 1.0 if tau_a is None else math.sqrt(10) / tau_a
    pairs = [(a * scale, b * scale) for a, b in zip(z, chosen, strict=True)]
    truth = torch.stack([naive_kl(a, b) for a, b in pairs])
    if direction == "symmetric":
        truth = (truth + torch.stack([naive_kl(b, a) for a, b in pairs])) / 2
    found = divergence(z, chosen, direction, tau_a)
    torch.testing.assert_close(found, truth, rtol=1e-10, atol=0)
    for rows in (z, chosen):
        (found_slope,), (truth_slope,) = (
            torch.autograd.grad(losses.sum(), rows, retain_graph=True) for losses in (found, truth)
        )
        torch.testing.assert_close(found_slope, truth_slope, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("direction", ["z_to_text", "symmetric"])
def test_flat_divergence_keeps_its_digits_in_float32(direction: Direction, unit_rows: Rows):
    z, chosen = unit_rows(64, 1024), unit_rows(64, 1024, seed=1).detach()
    exact = divergence(z, chosen, direction, None)
    torch.testing.assert_close(exact, (z - chosen).square().sum(1) / (2 * 1024), rtol=0.1, atol=0)  # SPEC's estimate
    single = z.detach().float().requires_grad_()
    found = divergence(single, chosen.float(), direction, None)
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=0)
    (slope,), (exact_slope,) = torch.autograd.grad(found.sum(), single), torch.autograd.grad(exact.sum(), z)
    assert (slope - exact_slope).norm() <= 1e-5 * exact_slope.norm()


def test_rows_are_taken_before_or_after(unit_rows: Rows):
    texts, rows = unit_rows(5, 12).detach(), torch.tensor([3, 0, 3])
    taken, made = Softmax.of(texts, 0.7)[rows], Softmax.of(texts[rows], 0.7)
    assert torch.equal(taken.log, made.log)
    assert torch.equal(taken.value, made.value)
    torch.testing.assert_close(made.value.sum(dim=1), torch.ones(3, dtype=torch.float64))


def test_a_view_at_its_text_costs_nothing(unit_rows: Rows):
    z = unit_rows(4, 8, dtype=torch.float32)
    for direction in ("z_to_text", "symmetric"):
        assert torch.equal(divergence(z, z.detach(), direction, 0.5), torch.zeros(4))


def test_mean_and_sum_over_ranks(unit_rows: Rows):
    z, texts = unit_rows(8, 6), unit_rows(3, 6, seed=1).detach()
    chosen = texts[choose(z, texts)]
    for summed in (False, True):
        ha = Alignment("symmetric", tau_a=1.0, weight=2.5, summed=summed)
        each = 2.5 * divergence(z, chosen, "symmetric", 1.0)
        whole = each.sum() if summed else each.mean()
        torch.testing.assert_close(term(ha, z, chosen, share=1), whole)
        ranks = torch.stack([term(ha, *part, share=4) for part in zip(z.split(2), chosen.split(2), strict=True)])
        torch.testing.assert_close(ranks.mean(), whole)


def test_no_gradient_through_the_choice_nor_without_leave(unit_rows: Rows):
    z, chosen = unit_rows(8, 6), unit_rows(8, 6, seed=1).detach()
    assert term(Alignment("symmetric", 1.0, 1.0), z, chosen, 1).requires_grad
    assert not term(Alignment("symmetric", 1.0, 1.0, gradient=False), z, chosen, 1).requires_grad


def test_autocast_changes_nothing(unit_rows: Rows):
    z, chosen = unit_rows(8, 6, dtype=torch.float32), unit_rows(8, 6, seed=1, dtype=torch.float32).detach()
    ha = Alignment("symmetric", 1.0, 1.0)
    plain = term(ha, z, chosen, 1)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(term(ha, z, chosen, 1), plain)


def test_perplexity_of_bank_use():
    use = BankUse(n_texts=8, window=100)
    assert math.isnan(use.perplexity)
    use.add(torch.arange(8))
    assert use.perplexity == pytest.approx(8)
    collapsed = BankUse(n_texts=8, window=100)
    collapsed.add(torch.full((50,), 3))
    assert collapsed.perplexity == pytest.approx(1)
    two = BankUse(n_texts=8, window=100)
    two.add(torch.tensor([0, 5, 5, 0]))
    assert two.perplexity == pytest.approx(2)


def test_bank_use_forgets_what_lies_outside_its_window_and_resumes_alike():
    use, again = BankUse(n_texts=4, window=5), BankUse(n_texts=4, window=5)
    use.add(torch.arange(4))
    for _ in range(60):
        use.add(torch.zeros(10, dtype=torch.long))
    assert use.perplexity == pytest.approx(1, abs=1e-3)
    again.load_state_dict(use.state_dict())
    for continued in (use, again):
        continued.add(torch.tensor([1, 2]))
    assert use.perplexity == again.perplexity


def test_flat_softmax_is_what_no_temperature_means(unit_rows: Rows):
    z, text = unit_rows(1, 1024), unit_rows(1, 1024, seed=1)
    entropy = torch.special.entr(F.softmax(z.detach(), dim=1)).sum()
    assert float(entropy) == pytest.approx(math.log(1024), abs=1e-3)
    assert divergence(z, text, "symmetric", 1.0) > 500 * divergence(z, text, "symmetric", None)
