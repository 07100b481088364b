"""SimSiam against its eq. 1 and 2 as a loop over pairs, and against another library's cosines."""

from collections.abc import Callable

import torch
from pytorch_metric_learning.distances import CosineSimilarity
from torch import Tensor
from torch.nn.functional import cosine_similarity

from hlss.objectives.base import Given
from hlss.objectives.simsiam import SimSiam
from hlss.types import Level


def test_equals_the_loop_with_the_target_stopped(ids: dict[Level, Tensor], given: Given, terms_of: Callable):
    objective = SimSiam(width=24, hidden=16).build(given).double().eval()
    patches = ids[Level.PATCH].tolist()
    draw = torch.Generator().manual_seed(2)
    z = torch.randn(len(patches), 16, generator=draw, dtype=torch.float64).requires_grad_()
    rows = [objective.projection(row[None]) for row in z]
    pairs = [(i, p) for i in range(len(rows)) for p in range(len(rows)) if i != p and patches[i] == patches[p]]
    cosines = [cosine_similarity(objective.predictor(rows[i]), rows[p].detach()) for i, p in pairs]
    truth = -torch.stack(cosines).mean()
    found = terms_of(objective, z, ids)["simsiam"]
    torch.testing.assert_close(found, truth, rtol=1e-9, atol=0)
    slopes = [torch.autograd.grad(loss, z, retain_graph=True)[0] for loss in (found, truth)]
    torch.testing.assert_close(*slopes, rtol=1e-8, atol=1e-12)


def test_equals_another_librarys_cosines(
    ids: dict[Level, Tensor], given: Given, terms_of: Callable, positives: Callable
):
    objective = SimSiam(width=24, hidden=16).build(given).double()
    draw = torch.Generator().manual_seed(6)
    z = torch.randn(len(ids[Level.PATCH]), 16, generator=draw, dtype=torch.float64)
    projected = objective.projection(z)
    cosines = CosineSimilarity()(objective.predictor(projected), projected)
    found = terms_of(objective, z, ids)["simsiam"]
    torch.testing.assert_close(found, -cosines[positives(ids[Level.PATCH])].mean(), rtol=1e-9, atol=0)
