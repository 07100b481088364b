"""The phantom's bank: every factor has words for both ends at its own level, and enough words name nothing."""

import pytest

from hlss.errors import UserError
from hlss.language.bank import read_bank
from hlss.language.factors import truth_of
from hlss.types import LEVELS, Level

FACTORS = {  # written out here, as an independent truth
    Level.PATCH: "density nuclear_size size_variation elongation chromatin mitoses inclusions membrane cytoplasm",
    Level.SLIDE: "stroma lymphocytes necrosis vessels haemorrhage glands rosettes",
    Level.PATIENT: "nesting heterogeneity invasion",
}


def test_names_are_those_of_the_bank() -> None:
    bank, truths = read_bank("phantom"), truth_of("phantom")
    assert {level: list(truths[level]) for level in LEVELS} == {level: bank.names(level) for level in LEVELS}


@pytest.mark.parametrize("level", LEVELS)
def test_every_factor_has_both_ends_at_its_level(level: Level) -> None:
    truths = truth_of("phantom")[level].values()
    for factor in FACTORS[level].split():
        assert {truth.end for truth in truths if truth.factor == factor} == {"high", "low"}, factor


def test_all_that_is_named_is_a_factor_and_some_words_name_nothing() -> None:
    known = {factor for names in FACTORS.values() for factor in names.split()}
    for level, truths in truth_of("phantom").items():
        assert {truth.factor for truth in truths.values()} - {None} <= known
        assert sum(truth.factor is None for truth in truths.values()) >= 6, level


def test_a_bank_of_unknown_truth_is_refused() -> None:
    with pytest.raises(UserError, match=r"'general_he' stands for is not known. Known: phantom"):
        truth_of("general_he")
