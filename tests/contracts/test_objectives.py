"""What every registered objective promises, whatever its paper."""

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 — torch's own name for it
from small import small
from torch import Tensor, nn

from hlss.objectives.base import Gathered, Given, Objective, ObjectiveSpec
from hlss.registry import OBJECTIVES
from hlss.types import LEVELS, Level

DIM, PATIENTS, VIEWS = 16, 4, 8  # two slides a patient, two patches a slide, two views a patch
M = PATIENTS * VIEWS
IDS = {level: torch.arange(M) // size + 100 for level, size in zip(LEVELS, (2, 4, 8), strict=True)}
LABELS = torch.tensor([0, 2, 1, 0]).repeat_interleave(VIEWS)


@pytest.fixture(params=list(OBJECTIVES))
def spec(request: pytest.FixtureRequest) -> ObjectiveSpec:
    """Every objective with its default settings, but for the widths of its layers."""
    return small(request.param)


@pytest.fixture
def given() -> Given:
    """All that an objective may ask for."""
    draw = torch.Generator().manual_seed(0)
    texts = {level: F.normalize(torch.randn(10, DIM, generator=draw), dim=1) for level in LEVELS}
    return Given(nn.Linear(DIM, DIM), DIM, texts, classes=3, aligned=True, seed=1)


@pytest.fixture
def objective(spec: ObjectiveSpec, given: Given) -> Objective:
    """In float64, without the randomness of training."""
    return spec.build(given).double().eval()


@pytest.fixture
def z() -> Tensor:
    """Features as an encoder gives them, not normalised."""
    draw = torch.Generator().manual_seed(4)
    return (2 * torch.randn(M, DIM, generator=draw, dtype=torch.float64)).requires_grad_()


def _terms(objective: Objective, z: Tensor, ids: dict[Level, Tensor], labels: Tensor, rows: slice) -> dict[str, Tensor]:
    """Terms on the rank that owns `rows`; features of the others reach it by the gather."""

    def encode(tower: nn.Module) -> Tensor:
        with torch.autocast("cpu", enabled=False):  # as the network gives features: whatever the tower ran in
            return tower(z[rows].detach())

    own = {**objective.project(z[rows]).own, **objective.targets(encode)}
    return objective.loss(Gathered(objective.project(z).shared, own, ids, labels, rows))


def _whole(objective: Objective, z: Tensor) -> dict[str, Tensor]:
    return _terms(objective, z, IDS, LABELS, slice(0, M))


def _slope(term: Tensor, z: Tensor) -> Tensor:
    return torch.autograd.grad(term, z, retain_graph=True)[0]


def test_every_term_is_a_finite_scalar_that_reaches_the_encoder(objective: Objective, z: Tensor):
    terms = _whole(objective, z)
    assert terms
    for name, term in terms.items():
        assert term.shape == (), name
        assert math.isfinite(term.item()), name
        assert torch.isfinite(_slope(term, z)).all(), name
        assert (_slope(term, z).norm(dim=1) > 1e-9).all(), f"{name} leaves some view without gradient"


def test_order_of_patients_is_of_no_account(objective: Objective, z: Tensor):
    order = torch.tensor([2, 0, 3, 1]).repeat_interleave(VIEWS) * VIEWS + torch.arange(M) % VIEWS
    moved = _terms(objective, z[order], {level: ids[order] for level, ids in IDS.items()}, LABELS[order], slice(0, M))
    for name, term in _whole(objective, z).items():
        torch.testing.assert_close(moved[name], term)
        torch.testing.assert_close(_slope(moved[name], z), _slope(term, z))


@pytest.mark.parametrize("world", [2, 4])
def test_mean_over_ranks_is_one_process(objective: Objective, z: Tensor, world: int):
    share = M // world
    ranks = [_terms(objective, z, IDS, LABELS, slice(start, start + share)) for start in range(0, M, share)]
    for name, term in _whole(objective, z).items():
        mean = torch.stack([rank[name] for rank in ranks]).mean()
        torch.testing.assert_close(mean, term)
        torch.testing.assert_close(_slope(mean, z), _slope(term, z))


def test_float32_inside_autocast_equals_outside(objective: Objective, z: Tensor):
    objective = objective.float()
    z = z.detach().float()
    plain = _whole(objective, z)
    with torch.autocast("cpu", torch.bfloat16):
        inside = _whole(objective, z)
    for name, term in plain.items():
        assert inside[name].dtype == torch.float32
        torch.testing.assert_close(inside[name], term)


def test_measures_are_numbers_without_gradient(objective: Objective, z: Tensor):
    for name, value in objective.measures(z).items():
        assert isinstance(value, float), name
        assert math.isfinite(value), name


def test_building_draws_from_the_given_seed_alone(spec: ObjectiveSpec, given: Given):
    state = torch.random.get_rng_state()
    first, second = (spec.build(given).state_dict() for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_notices_are_sentences(objective: Objective):
    assert all(isinstance(notice, str) and notice for notice in objective.notices)
