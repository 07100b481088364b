"""SimSiam against its eq. 1 and 2 as a loop over pairs."""

from collections.abc import Callable

import torch
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


def test_heads_have_the_papers_layers():
    objective = SimSiam().build(Given(torch.nn.Identity(), 64))
    layers = [layer for head in (objective.projection, objective.predictor) for layer in head]
    kinds = "Linear BatchNorm1d ReLU " * 2 + "Linear BatchNorm1d " + "Linear BatchNorm1d ReLU Linear"
    assert [type(layer).__name__ for layer in layers] == kinds.split()
    widths = [(layer.in_features, layer.out_features) for layer in layers if isinstance(layer, torch.nn.Linear)]
    assert widths == [(64, 2048), (2048, 2048), (2048, 2048), (2048, 512), (512, 2048)]
