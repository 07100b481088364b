"""BYOL against its eq. 2 as a loop and by another library's distances; its moving average against the recursion."""

import math
from collections.abc import Callable

import torch
from pytorch_metric_learning.distances import LpDistance
from torch import Tensor, nn

from hlss.objectives.base import Gathered, Given
from hlss.objectives.byol import Byol
from hlss.types import Level


def test_equals_the_loop(ids: dict[Level, Tensor], unit_rows: Callable):
    draw = torch.Generator().manual_seed(2)
    patches = ids[Level.PATCH].tolist()
    tower, views = nn.Linear(10, 16).double(), torch.randn(len(patches), 10, generator=draw, dtype=torch.float64)
    nn.init.normal_(tower.weight, generator=draw)
    objective = Byol(width=7, hidden=64).build(Given(tower, 16)).double().eval()
    with torch.no_grad():  # a target that has fallen behind
        objective.target_encoder.weight.mul_(0.7)
        objective.target_projection[0].weight.add_(0.1)
    z = tower(views).detach().requires_grad_()
    own = {**objective.project(z).own, **objective.targets(lambda copy: copy(views))}
    found = objective.loss(Gathered({}, own, ids, None, slice(0, len(z))))["byol"]

    def unit(row: Tensor) -> Tensor:
        return row / row.norm()

    predicted = [unit(objective.predictor(objective.projection(row[None]))[0]) for row in z]
    target = [unit(objective.target_projection(objective.target_encoder(view[None]))[0]).detach() for view in views]
    pairs = [(i, p) for i in range(len(z)) for p in range(len(z)) if i != p and patches[i] == patches[p]]
    truth = 2 * torch.stack([(predicted[i] - target[p]).square().sum() for i, p in pairs]).mean()
    torch.testing.assert_close(found, truth, rtol=1e-9, atol=0)
    slopes = [torch.autograd.grad(loss, z, retain_graph=True)[0] for loss in (found, truth)]
    torch.testing.assert_close(*slopes, rtol=1e-8, atol=1e-12)


def test_equals_another_librarys_distances(ids: dict[Level, Tensor], positives: Callable):
    patches, draw = ids[Level.PATCH], torch.Generator().manual_seed(6)
    tower, views = nn.Linear(10, 16).double(), torch.randn(len(patches), 10, generator=draw, dtype=torch.float64)
    objective = Byol(width=7, hidden=64).build(Given(tower, 16)).double()
    z = tower(views)
    own = {**objective.project(z).own, **objective.targets(lambda copy: copy(views))}
    found = objective.loss(Gathered({}, own, ids, None, slice(0, len(z))))["byol"]
    squared = LpDistance(normalize_embeddings=True, p=2, power=2)(
        objective.predictor(objective.projection(z)), objective.target_projection(objective.target_encoder(views))
    )
    torch.testing.assert_close(found, 2 * squared[positives(patches)].mean(), rtol=1e-9, atol=0)


def test_the_target_follows_by_the_papers_schedule():
    tower = nn.Linear(4, 6)
    objective = Byol(momentum=0.9, width=3, hidden=5).build(Given(tower, 6))
    slow, fast = tower.weight.detach().clone(), tower.weight
    for step in range(1, 6):
        with torch.no_grad():
            fast.add_(1.0)
        objective.after_step(tower, step / 5)
        tau = 1 - (1 - 0.9) * (math.cos(math.pi * step / 5) + 1) / 2
        slow = tau * slow + (1 - tau) * fast.detach()
        torch.testing.assert_close(objective.target_encoder.weight, slow)
    assert not torch.equal(objective.target_encoder.weight, fast)


def test_the_target_takes_no_gradient_and_lies_in_the_checkpoint():
    objective = Byol().build(Given(nn.Linear(4, 6), 6))
    targets = {name: p for name, p in objective.named_parameters() if name.startswith("target_")}
    assert targets
    assert not any(p.requires_grad for p in targets.values())
    assert set(targets) <= set(objective.state_dict())
