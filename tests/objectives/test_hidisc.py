"""HiDisc: three losses on one projection of the feature as it is, against the loop."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from hlss.config import validate
from hlss.errors import UserError
from hlss.objectives.base import Given
from hlss.objectives.hidisc import HiDisc
from hlss.types import LEVELS, Level


def test_equals_the_loop(ids: dict[Level, Tensor], given: Given, terms_of: Callable, naive_contrast: Callable):
    objective = HiDisc(width=7).build(given).double()
    draw = torch.Generator().manual_seed(2)
    with torch.no_grad():
        objective.layer.bias.copy_(torch.randn(7, generator=draw))  # with a bias, the length of z matters
    z = (3 * torch.randn(len(ids[Level.PATCH]), 16, generator=draw, dtype=torch.float64)).requires_grad_()
    raw = z @ objective.layer.weight.T + objective.layer.bias
    projected = raw / raw.norm(dim=1, keepdim=True)
    terms = terms_of(objective, z, ids)
    assert list(terms) == [f"hidisc/{level}" for level in LEVELS]
    for level in LEVELS:
        truth = naive_contrast(projected, ids[level], 0.7)
        torch.testing.assert_close(terms[f"hidisc/{level}"], truth, rtol=1e-9, atol=0)
        found_slope, truth_slope = (
            torch.autograd.grad(loss, z, retain_graph=True)[0] for loss in (terms[f"hidisc/{level}"], truth)
        )
        assert (found_slope - truth_slope).norm() <= 1e-9 * truth_slope.norm()


def test_needs_no_text_and_projects_to_128():
    objective = HiDisc().build(Given(torch.nn.Identity(), 16))
    assert not objective.needs_text
    assert objective.layer.weight.shape == (128, 16)


@pytest.mark.parametrize("settings", [{"tau": 0}, {"width": 0}, {"mode": "fixed"}])
def test_bad_settings_are_named(settings: dict[str, object]):
    with pytest.raises(UserError, match=next(iter(settings))):
        validate({"name": "hidisc", **settings}, HiDisc, where="e.yaml")
