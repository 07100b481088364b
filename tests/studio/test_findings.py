"""The linter's findings follow the text as it is now."""

from pathlib import Path

import pytest

from hlss.language.bank import DescriptionBank, read_bank
from hlss.language.lint.lint import lint_bank
from hlss.language.review.entries import Wording
from hlss.language.review.review import Review
from hlss.studio.review.findings import Findings
from hlss.types import LEVELS, Level


@pytest.fixture
def review(tmp_path: Path) -> Review:
    tree = {
        "patch": [("round nuclei", "Nuclei are evenly round and of one size")],
        "slide": [("broad bands", "Pale collagen runs in broad parallel bands")],
        "patient": [("many vessels", "Thin vessels are strewn over every section")],
    }
    levels = {
        level: [{"name": name, "descriptions": [text, *(f"{name}, drawn as {way}" for way in ("one", "two", "six"))]}]
        for level, ((name, text),) in tree.items()
    }
    bank = DescriptionBank.model_validate({"title": "t", "domain": "d", "provenance": "p", **levels})
    return Review(bank, tmp_path / "log.jsonl", "Ann")


def reworded(review: Review, key: tuple[Level, str], first: str) -> list[str]:
    """Findings after an edit of the first description that name it."""
    review.edit(key, review.state().items[key].wording, _first(review, key, first))
    return [line for line in _of(Findings(review.bank), review, key) if "description 1" in line]


KEY = (Level.PATCH, "round nuclei")


def test_an_edit_makes_and_mends_findings(review: Review) -> None:
    (line,) = reworded(review, KEY, "Nuclei are round, without nucleoli, and of one size")
    assert line.startswith("error, negation, description 1: 'without'")
    assert reworded(review, KEY, "Nuclei are round, their chromatin is even") == []


def test_a_copy_of_another_level_is_found_as_long_as_both_stand(review: Review) -> None:
    copied = "Thin vessels are strewn over each section"
    review.edit(KEY, review.state().items[KEY].wording, _first(review, KEY, copied))
    patient, findings = (Level.PATIENT, "many vessels"), Findings(review.bank)
    assert findings.flagged(review.state()) >= {patient}
    assert any("near_copy" in line and "patch / round nuclei" in line for line in _of(findings, review, patient))
    review.edit(KEY, review.state().items[KEY].wording, _first(review, KEY, "Nuclei are evenly round"))
    assert not any("patch / round nuclei" in line for line in _of(findings, review, patient))


def test_a_level_from_which_all_was_moved_away_is_no_error(review: Review) -> None:
    review.move(KEY, review.state().items[KEY].wording, Level.SLIDE)
    assert isinstance(_of(Findings(review.bank), review, KEY), list)


@pytest.mark.parametrize("name", ["general_he", "he_generic"])
def test_of_a_bank_as_drafted_it_is_what_lint_bank_finds(name: str, tmp_path: Path) -> None:
    bank = read_bank(name)
    state, findings = Review(bank, tmp_path / "log.jsonl", "Ann").state(), Findings(bank)
    expected = {
        (level, one.place.name)
        for one in lint_bank(bank).findings
        for level in (LEVELS if one.place.level is None else (one.place.level,))
    }
    assert findings.flagged(state) == expected
    if name == "general_he":
        assert expected


def _first(review: Review, key: tuple[Level, str], text: str) -> Wording:
    old = review.state().items[key].wording
    return old.model_copy(update={"descriptions": (text, *old.descriptions[1:])})


def _of(findings: Findings, review: Review, key: tuple[Level, str]) -> list[str]:
    state = review.state()
    return findings.of(state, state.items[key])
