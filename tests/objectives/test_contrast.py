"""The kernel against Eq. 1 as a loop; who is positive is decided by identity, wherever a view stands."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from pytorch_metric_learning.losses import SupConLoss
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils._python_dispatch import TorchDispatchMode

from hlss.errors import UserError
from hlss.objectives.contrast import contrast
from hlss.types import LEVELS, Level

Ids = dict[Level, Tensor]
Rows = Callable[..., Tensor]
Loss = Callable[[Tensor, Tensor, float], Tensor]


@pytest.fixture(params=[512, 7, 1], ids=lambda side: f"tile{side}")
def tile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One tile for all; several, the last of them smaller; single views (no tiles kept between the passes)."""
    monkeypatch.setattr("hlss.objectives.contrast.CPU_TILE", request.param)


def _gradient(loss: Tensor, z: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(loss, z, retain_graph=True)
    return gradient


def _close(found: Tensor, truth: Tensor, relative: float) -> None:
    assert (found - truth).norm() <= relative * truth.norm()


@pytest.mark.usefixtures("tile")
@pytest.mark.parametrize("tau", [0.7, 0.07])
def test_equals_the_loop_with_one_projection_for_all(ids: Ids, tau: float, unit_rows: Rows, naive_contrast: Loss):
    z = unit_rows(len(ids[Level.PATCH]), 6)
    found = contrast(z, ids, tau)
    for level in LEVELS:
        truth = naive_contrast(z, ids[level], tau)
        _close(found[level], truth, 1e-10)
        _close(_gradient(found[level], z), _gradient(truth, z), 1e-10)
    total = sum(found.values(), start=torch.zeros(()))
    _close(_gradient(total, z), _gradient(sum(naive_contrast(z, ids[level], tau) for level in LEVELS), z), 1e-10)


@pytest.mark.usefixtures("tile")
def test_equals_the_loop_with_a_projection_for_each(ids: Ids, unit_rows: Rows, naive_contrast: Loss):
    zs = {level: unit_rows(len(ids[level]), 4 + number, seed=number) for number, level in enumerate(LEVELS)}
    found = contrast(zs, ids, 0.1)
    for level in LEVELS:
        truth = naive_contrast(zs[level], ids[level], 0.1)
        _close(found[level], truth, 1e-10)
        _close(_gradient(found[level], zs[level]), _gradient(truth, zs[level]), 1e-10)


@pytest.mark.parametrize("tau", [0.7, 0.07])
def test_every_level_equals_another_librarys_supcon(ids: Ids, tau: float, unit_rows: Rows):
    """HVC and HiDisc are SupCon with the level's identities for labels; patch level: views of one patch."""
    z = unit_rows(len(ids[Level.PATCH]), 6)
    found, oracle = contrast(normalize(z, dim=1), ids, tau), SupConLoss(temperature=tau)  # which normalises by itself
    for level in LEVELS:
        truth = oracle(z, ids[level])
        _close(found[level], truth, 1e-10)
        _close(_gradient(found[level], z), _gradient(truth, z), 1e-10)


@pytest.mark.parametrize("tau", [0.7, 0.07, 0.014, 0.013, 0.01, 0.002])
def test_float32_is_good_at_every_temperature(tau: float, unit_rows: Rows, naive_contrast: Loss):
    ids = {Level.PATCH: torch.arange(64) // 4}
    z = unit_rows(64, 128, dtype=torch.float32)
    exact = z.detach().double().requires_grad_()
    found, truth = contrast(z, ids, tau)[Level.PATCH], naive_contrast(exact, ids[Level.PATCH], tau)
    assert found.dtype == torch.float32
    _close(found.double(), truth, 1e-5)
    _close(_gradient(found, z).double(), _gradient(truth, exact), 1e-5)


def test_opposed_and_equal_views_stay_finite(naive_contrast: Loss):
    z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]).requires_grad_()
    ids = torch.tensor([0, 1, 0, 1, 2, 2])  # positives are as far apart as can be
    found = contrast(z, {"patch": ids}, 0.014)["patch"]
    exact = z.detach().double().requires_grad_()
    truth = naive_contrast(exact, ids, 0.014)
    _close(found.double(), truth, 1e-6)
    _close(_gradient(found, z).double(), _gradient(truth, exact), 1e-5)


@pytest.mark.usefixtures("tile")
@pytest.mark.parametrize("cuts", [(0, 5, 10), (0, 2, 4, 6, 8, 10)])
def test_mean_over_ranks_is_the_whole(cuts: tuple[int, ...], lacking: Ids, unit_rows: Rows):
    z = unit_rows(10, 6)
    whole = contrast(z, lacking, 0.3)
    ranks = [contrast(z, lacking, 0.3, slice(*ends)) for ends in pairwise(cuts)]
    for level in LEVELS:
        mean = torch.stack([rank[level] for rank in ranks]).mean()
        _close(mean, whole[level], 1e-12)
        _close(_gradient(mean, z), _gradient(whole[level], z), 1e-12)


def test_gradcheck(lacking: Ids, unit_rows: Rows):
    z = unit_rows(10, 3)
    rows = slice(3, 8)
    assert torch.autograd.gradcheck(lambda z: tuple(contrast(z, lacking, 0.5, rows).values()), z)
    assert torch.autograd.gradcheck(lambda z: tuple(contrast(dict.fromkeys(LEVELS, z), lacking, 0.5).values()), z)


def test_backward_runs_twice_alike_but_has_no_second_derivative(ids: Ids, unit_rows: Rows):
    z = unit_rows(len(ids[Level.PATCH]), 6)
    loss = contrast(z, ids, 0.7)[Level.SLIDE]
    assert torch.equal(_gradient(loss, z), _gradient(loss, z))
    (gradient,) = torch.autograd.grad(loss**2, z, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_order_of_views_is_of_no_account(ids: Ids, unit_rows: Rows):
    z = unit_rows(len(ids[Level.PATCH]), 6)
    order = torch.randperm(len(z), generator=torch.Generator().manual_seed(1))
    moved = contrast(z[order], {level: rows[order] for level, rows in ids.items()}, 0.2)
    for level, loss in contrast(z, ids, 0.2).items():
        _close(moved[level], loss, 1e-12)


def test_autocast_changes_nothing(lacking: Ids, unit_rows: Rows):
    z = unit_rows(10, 6, dtype=torch.float32)
    plain = contrast(z, lacking, 0.07)
    with torch.autocast("cpu", torch.bfloat16):
        inside = contrast(z, lacking, 0.07)
    for level in LEVELS:
        assert torch.equal(inside[level], plain[level])


def test_half_precision_is_widened(lacking: Ids, unit_rows: Rows):
    z = unit_rows(10, 6, dtype=torch.bfloat16)
    assert torch.equal(contrast(z, lacking, 0.07)[Level.PATCH], contrast(z.float(), lacking, 0.07)[Level.PATCH])


def test_without_gradient(lacking: Ids, unit_rows: Rows):
    z = unit_rows(10, 6)
    assert torch.equal(contrast(z.detach(), lacking, 0.7)[Level.PATCH], contrast(z, lacking, 0.7)[Level.PATCH])


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_without_positives_is_named(level: Level, unit_rows: Rows):
    ids = {other: torch.zeros(6, dtype=torch.long) for other in LEVELS} | {level: torch.arange(6)}
    with pytest.raises(UserError, match=f"the {level} level has no positives"):
        contrast(unit_rows(6, 4), ids, 0.7)


def test_no_tensor_grows_as_m_squared(unit_rows: Rows):
    largest = {}
    for m in (2048, 4096):
        z, ids = unit_rows(m, 32, dtype=torch.float32), {Level.SLIDE: torch.arange(m) // 4}
        with _Largest() as record:
            contrast(z, ids, 0.07)[Level.SLIDE].backward()
        largest[m] = record.elements
    assert largest[4096] <= 2 * largest[2048]
    assert largest[4096] <= 4096**2 / 32


class _Largest(TorchDispatchMode):
    """Elements of the largest tensor that any operation makes."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for made in result if isinstance(result, tuple | list) else [result]:
            if isinstance(made, Tensor):
                self.elements = max(self.elements, made.numel())
        return result
