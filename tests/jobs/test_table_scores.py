"""Health of features that are known, and the paper's figures as the paper prints them."""

import numpy as np
import pytest

from hlss.evaluate.paper import PAPER
from hlss.jobs.table_results import health
from hlss.types import LEVELS

PRINTED = """supervised 88.9 89.0 93.9 · simclr 81.0 82.1 87.8 · simsiam 80.3 81.4 86.0 · byol 83.5 84.3 90.5 ·
vicreg 82.1 83.4 87.4 · hidisc 82.2 87.6 88.3 · hlss 84.1 89.5 91.7"""


def test_features_along_every_axis_fill_the_sphere():
    found = health(np.concatenate([np.eye(6), -np.eye(6)]).astype(np.float32) * 3)
    assert (found.rank, found.spread, found.dim) == (pytest.approx(6), pytest.approx(1), 6)


def test_one_feature_for_all_is_full_collapse():
    found = health(np.full((9, 5), 0.3, dtype=np.float32))
    assert (found.rank, found.spread) == (pytest.approx(1, abs=1e-3), pytest.approx(0, abs=1e-6))


def test_figures_are_those_of_the_paper():
    rows = [entry.split() for entry in PRINTED.split("·")]
    expected = {name: dict(zip(LEVELS, map(float, figures), strict=True)) for name, *figures in rows}
    assert PAPER["table1"].accuracy == expected
    assert list(PAPER["table3"].accuracy["hvc"].values()) == [82.6, 89.5, 91.7]
    assert PAPER["table3"].accuracy["hlss"] == expected["hlss"]
