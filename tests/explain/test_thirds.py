"""Thirds by rank, against counting by hand."""

import numpy as np
import pytest

from hlss.explain.thirds import shares_below, third


def test_a_share_is_what_counting_gives_and_low_is_high_turned_round() -> None:
    values = np.random.default_rng(0).integers(0, 6, 30).astype(float)
    plain = [(np.sum(values < value) + np.sum(values == value) / 2) / 30 for value in values]
    np.testing.assert_allclose(shares_below(values, "high"), plain)
    np.testing.assert_allclose(shares_below(values, "low"), 1 - np.array(plain))


def test_what_is_unknown_is_left_out_and_stays_unknown() -> None:
    values = np.array([np.nan, 1.0, 2.0, 3.0, np.nan])
    shares = shares_below(values, "high")
    assert np.isnan(shares[[0, 4]]).all()
    np.testing.assert_allclose(shares[1:4], [1 / 6, 3 / 6, 5 / 6])
    assert [third(share) for share in shares] == [None, "false", "middle", "true", None]
    assert np.isnan(shares_below(np.full(3, np.nan), "high")).all()


@pytest.mark.parametrize("end", ["high", "low"])
def test_thirds_of_distinct_values_are_equal_in_number(end: str) -> None:
    said = [third(share) for share in shares_below(np.random.default_rng(1).permutation(12.0 * np.arange(9)), end)]
    assert [said.count(name) for name in ("true", "middle", "false")] == [3, 3, 3]


def test_units_that_are_all_alike_are_in_the_middle() -> None:
    assert {third(share) for share in shares_below(np.full(7, 0.3), "high")} == {"middle"}
