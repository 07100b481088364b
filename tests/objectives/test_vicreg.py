"""VICReg's three terms against their formulas entry by entry, and against another library's."""

from collections.abc import Callable

import pytest
import torch
from pytorch_metric_learning.losses import VICRegLoss
from torch import Tensor

from hlss.errors import UserError
from hlss.objectives.base import Given
from hlss.objectives.vicreg import VicReg, covariance
from hlss.types import Level


def naive(z: Tensor, patches: list[int]) -> dict[str, Tensor]:
    """The terms of rows z, one entry at a time."""
    width, count = z.shape[1], range(len(patches))
    pairs = [(i, p) for i in count for p in count if i != p and patches[i] == patches[p]]
    invariance = sum(((z[i] - z[p]) ** 2).sum() for i, p in pairs) / (len(pairs) * width)
    branches: dict[int, list[Tensor]] = {}
    for i in count:
        branches.setdefault(patches[:i].count(patches[i]), []).append(z[i])
    rows = [torch.stack(branch) for branch in branches.values() if len(branch) > 1]
    hinge, decorrelation = [], []
    for branch in rows:
        off = branch - branch.mean(dim=0)
        cov = [[(off[:, a] * off[:, b]).sum() / (len(branch) - 1) for b in range(width)] for a in range(width)]
        hinge.append(sum(torch.relu(1 - (cov[a][a] + 1e-4).sqrt()) for a in range(width)) / width)
        decorrelation.append(sum(cov[a][b] ** 2 for a in range(width) for b in range(width) if a != b) / width)
    return {
        "vicreg/invariance": 25 * invariance,
        "vicreg/variance": 25 * sum(hinge) / len(rows),
        "vicreg/covariance": 2 * sum(decorrelation) / len(rows),
    }


@pytest.mark.parametrize("width", [3, 40])  # more rows than dimensions, and fewer
def test_equals_the_formulas(ids: dict[Level, Tensor], given: Given, terms_of: Callable, width: int):
    objective = VicReg(width=width).build(given).double().eval()
    draw = torch.Generator().manual_seed(2)
    z = torch.randn(len(ids[Level.PATCH]), 16, generator=draw, dtype=torch.float64).requires_grad_()
    found = terms_of(objective, z, ids)
    for name, truth in naive(objective.expander(z), ids[Level.PATCH].tolist()).items():
        torch.testing.assert_close(found[name], truth, rtol=1e-9, atol=1e-12)
        slopes = [torch.autograd.grad(loss, z, retain_graph=True)[0] for loss in (found[name], truth)]
        torch.testing.assert_close(*slopes, rtol=1e-7, atol=1e-11)


def test_equals_another_librarys(given: Given, terms_of: Callable):
    objective = VicReg(width=12).build(given).double().eval()
    z = torch.randn(20, 16, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    patches = torch.arange(10).repeat_interleave(2)
    found = terms_of(objective, z, dict.fromkeys(Level, patches))
    left, right = objective.expander(z)[::2], objective.expander(z)[1::2]
    oracle = VICRegLoss()
    torch.testing.assert_close(found["vicreg/invariance"], 25 * oracle.invariance_loss(left, right).mean())
    torch.testing.assert_close(found["vicreg/covariance"], oracle.covariance_loss(left, right))
    torch.testing.assert_close(found["vicreg/variance"], 25 * sum(v.mean() for v in oracle.variance_loss(left, right)))


def test_rows_that_vary_alike_are_told_apart_from_such_that_do_not():
    draw = torch.Generator().manual_seed(5)
    free = torch.randn(500, 6, generator=draw, dtype=torch.float64)
    tied = free[:, :1].expand(-1, 6)
    assert covariance(free - free.mean(0)) < 0.05
    assert covariance(tied - tied.mean(0)) == pytest.approx(5 * float(tied[:, 0].var()) ** 2)


def test_one_patch_alone_has_no_variance(given: Given, terms_of: Callable):
    z = torch.randn(2, 16, dtype=torch.float64)
    with pytest.raises(UserError, match="one patch"):
        terms_of(VicReg(width=4).build(given).double().eval(), z, {level: torch.zeros(2, dtype=int) for level in Level})
