"""SimCLR against eq. 1 of its paper as a loop, and against another library's NT-Xent."""

from collections.abc import Callable

import pytest
import torch
from pytorch_metric_learning.losses import NTXentLoss
from torch import Tensor

from hlss.objectives.base import Given
from hlss.objectives.simclr import SimClr
from hlss.types import Level


@pytest.fixture
def z() -> Tensor:
    draw = torch.Generator().manual_seed(2)
    return (3 * torch.randn(24, 16, generator=draw, dtype=torch.float64)).requires_grad_()


def test_equals_the_loop(
    ids: dict[Level, Tensor], given: Given, terms_of: Callable, naive_contrast: Callable, z: Tensor
):
    objective = SimClr(width=7, hidden=11).build(given).double()
    z = z[: len(ids[Level.PATCH])]
    first, _, second = objective.head
    projected = torch.relu(z @ first.weight.T + first.bias) @ second.weight.T + second.bias
    truth = naive_contrast(projected / projected.norm(dim=1, keepdim=True), ids[Level.PATCH], 0.1)
    found = terms_of(objective, z, ids)["simclr"]
    torch.testing.assert_close(found, truth, rtol=1e-9, atol=0)
    slopes = [torch.autograd.grad(loss, z, retain_graph=True)[0] for loss in (found, truth)]
    assert (slopes[0] - slopes[1]).norm() <= 1e-9 * slopes[1].norm()


def test_equals_another_librarys_nt_xent(given: Given, terms_of: Callable, z: Tensor):
    objective = SimClr().build(given).double()
    patches = torch.arange(12).repeat_interleave(2)
    truth = NTXentLoss(temperature=0.1)(objective.head(z), patches)
    found = terms_of(objective, z, dict.fromkeys(Level, patches))["simclr"]
    torch.testing.assert_close(found, truth, rtol=1e-9, atol=0)
