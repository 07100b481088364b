"""Cross entropy against −log softmax entry by entry, over labelled views only."""

import pytest
import torch

from hlss.errors import UserError
from hlss.objectives.base import Gathered, Given
from hlss.objectives.supervised import Supervised
from hlss.types import Level


def test_equals_minus_the_log_of_the_true_class(given: Given):
    objective = Supervised().build(given).double()
    z = torch.randn(6, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    labels = torch.tensor([2, -1, 0, 1, -1, 2])
    ids = {level: torch.arange(6) for level in Level}
    logits = z @ objective.classifier[0].weight.T + objective.classifier[0].bias
    terms = [
        torch.log(torch.exp(logits[i]).sum()) - logits[i, label]
        for i, label in enumerate(labels.tolist())
        if label >= 0
    ]
    found = [
        objective.loss(Gathered({}, objective.project(z[rows]).own, ids, labels, rows))["supervised"]
        for rows in (slice(0, 6), slice(0, 3), slice(3, 6))
    ]
    torch.testing.assert_close(found[0], torch.stack(terms).mean(), rtol=1e-9, atol=0)
    torch.testing.assert_close((found[1] + found[2]) / 2, found[0])


@pytest.mark.parametrize("labels", [None, torch.full((4,), -1)])
def test_a_batch_without_labels_is_an_error(given: Given, labels: torch.Tensor | None):
    objective = Supervised().build(given)
    ids = {level: torch.arange(4) for level in Level}
    with pytest.raises(UserError, match="label"):
        objective.loss(Gathered({}, objective.project(torch.randn(4, 16)).own, ids, labels, slice(0, 4)))


def test_a_cohort_of_one_class_is_refused():
    with pytest.raises(UserError, match="two classes"):
        Supervised().build(Given(torch.nn.Identity(), 8, classes=1))
