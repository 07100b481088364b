"""Class prompts against a loop, and prompts that do not fit."""

import math
from dataclasses import replace

import numpy as np
import pytest

from hlss.errors import UserError
from hlss.evaluate.fold import ClassPrompts, by_side
from hlss.evaluate.zero_shot import ZeroShot
from hlss.types import Level

CLASSES = ("a", "b", "c")


def prompts(names: str, dimensions: int = 6, notices: tuple[str, ...] = ()) -> ClassPrompts:
    """Class a points at corner 0, and so on."""
    corners = np.eye(dimensions, dtype=np.float32)
    return ClassPrompts({name: corners["abcdef".index(name)] for name in names}, notices)


@pytest.fixture
def fold(cohort_table):
    return by_side(cohort_table(range(6), range(6, 12), 0.5, method="m"), "test")


@pytest.mark.parametrize("temperature", [0.01, 1.0])
def test_softmax_of_cosines_by_a_loop(fold, temperature: float):
    task = replace(fold, prompts=prompts("cba")).opened(CLASSES)
    (scored,) = ZeroShot(temperature).score(task)
    for z, found in zip(task.queries.features, scored.by_level[Level.PATCH].probabilities, strict=True):
        length = math.sqrt(sum(float(x) ** 2 for x in z))
        powers = [math.exp(float(z[c]) / length / temperature) for c in range(3)]
        assert np.allclose(found, [power / sum(powers) for power in powers], atol=1e-5)


def test_notices(fold):
    task = replace(fold, prompts=prompts("abcf", notices=("random vectors",))).opened(CLASSES)
    (scored,) = ZeroShot().score(task)
    assert scored.notices == ("random vectors", "prompts of classes that no table has are not used: f")


def test_class_without_prompts_is_named():
    with pytest.raises(UserError, match=r"m: no prompts of class b, c\. Add them to --prompts"):
        prompts("a").matrix(CLASSES, 6, "m")


def test_prompts_of_another_model():
    with pytest.raises(UserError, match="m: prompts have 7 dimensions, features 6"):
        prompts("abc", 7).matrix(CLASSES, 6, "m")
