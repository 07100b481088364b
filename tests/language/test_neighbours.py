"""Nearest characteristics, by a tower whose vectors are known and by words counted by hand."""

from pathlib import Path

import pytest
import torch

from hlss.encoders.random import RandomText
from hlss.errors import UserError
from hlss.language.bank import DescriptionBank, read_bank
from hlss.language.encode import encode
from hlss.language.review.neighbours import Neighbours
from hlss.language.review.review import Review
from hlss.language.review.text_rows import TextRows
from hlss.types import LEVELS, Level


class Counted:
    """A text tower that keeps what it was asked; every text of a colour points along that colour's axis, some more."""

    dim, context, family, fingerprint = 3, 8, None, "counted"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def token_counts(self, texts: list[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def encode(self, texts: list[str]) -> torch.Tensor:
        self.asked += texts
        axes = [[float(text.count(colour)) for colour in ("red", "green", "blue")] for text in texts]
        return torch.tensor(axes)


def bank_of(**colours: str) -> DescriptionBank:
    """A characteristic at each level and one more at patch level; colours: what its four descriptions hold."""
    lists = {"patch": ["first", "second"], "slide": ["third"], "patient": ["fourth"]}
    levels = {
        level: [{"name": name, "descriptions": [f"{name} {way} {colours[name]}" for way in "wxyz"]} for name in names]
        for level, names in lists.items()
    }
    return DescriptionBank.model_validate({"title": "t", "domain": "d", "provenance": "p", **levels})


FIRST = (Level.PATCH, "first")


@pytest.fixture
def review(tmp_path: Path) -> Review:
    bank = bank_of(first="red", second="blue", third="red green", fourth="red red green")
    return Review(bank, tmp_path / "log.jsonl", "Ann")


def test_cosines_of_the_rows_that_a_training_makes(review: Review) -> None:
    found = Neighbours(TextRows(Counted())).nearest(review.state(), FIRST)
    assert [(one.wording.name, one.key) for one in found] == [
        ("fourth", (Level.PATIENT, "fourth")),
        ("third", (Level.SLIDE, "third")),
        ("second", (Level.PATCH, "second")),
    ]
    assert [one.score for one in found] == pytest.approx([2 / 5**0.5, 0.5**0.5, 0])
    assert len(Neighbours(TextRows(Counted())).nearest(review.state(), FIRST, 2)) == 2


def test_all_of_a_bank_against_its_text_matrices(tmp_path: Path) -> None:
    bank, tower = read_bank("general_he"), RandomText(dim=32).build()
    review = Review(bank, tmp_path / "log.jsonl", "Ann")
    rows = encode({level: bank.texts(level) for level in LEVELS}, tower, None)
    matrix = torch.cat([rows[level] for level in LEVELS])
    state, neighbours = review.state(), Neighbours(TextRows(tower))
    keys = list(state.items)
    for number in (0, 40, len(keys) - 1):
        cosines = matrix @ matrix[number]
        cosines[number] = -2
        best = cosines.topk(4)
        found = neighbours.nearest(state, keys[number])
        assert [one.key for one in found] == [keys[i] for i in best.indices.tolist()]
        assert [one.score for one in found] == pytest.approx(best.values.tolist(), abs=1e-5)


def test_an_edited_text_is_read_anew_and_no_other(review: Review) -> None:
    tower = Counted()
    neighbours = Neighbours(TextRows(tower))
    neighbours.nearest(review.state(), FIRST)
    neighbours.nearest(review.state(), (Level.SLIDE, "third"))
    assert len(tower.asked) == 16
    seen = review.state().items[FIRST].wording
    new = tuple(f"now {way} blue" for way in "wxyz")
    review.edit(FIRST, seen, seen.model_copy(update={"descriptions": new}))
    assert neighbours.nearest(review.state(), FIRST)[0].wording.name == "second"
    assert tower.asked[16:] == list(new)
    review.undo()
    assert neighbours.nearest(review.state(), FIRST)[0].wording.name == "fourth"
    assert len(tower.asked) == 20


def test_what_the_tower_cannot_read_whole_is_left_out_and_told_of_in_its_own_place(review: Review) -> None:
    third = (Level.SLIDE, "third")
    seen = review.state().items[third].wording
    long = ("red and far longer than what this tower reads", *seen.descriptions[1:])
    review.edit(third, seen, seen.model_copy(update={"descriptions": long}))
    neighbours = Neighbours(TextRows(Counted()))
    assert [one.wording.name for one in neighbours.nearest(review.state(), FIRST)] == ["fourth", "second"]
    with pytest.raises(UserError, match="slide / third: a description is longer than the 8 tokens"):
        neighbours.nearest(review.state(), third)


def test_without_a_tower_words_in_common_count(review: Review) -> None:
    neighbours = Neighbours()
    found = neighbours.nearest(review.state(), FIRST, 1)[0]
    assert found.wording.name == "third"
    assert found.score == 5 / 8  # w, x, y, z, red of these and first, third, green
    assert neighbours.measure == "shared words"
