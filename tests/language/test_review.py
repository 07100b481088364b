"""Decisions of a review: each kept, in order, and only about the text the reviewer saw."""

import multiprocessing
from pathlib import Path

import pytest
from sklearn.metrics import cohen_kappa_score

from hlss.errors import UserError
from hlss.language.bank import DescriptionBank, read_bank
from hlss.language.bank_files import write_bank
from hlss.language.review.agreement import agreement
from hlss.language.review.entries import Wording
from hlss.language.review.freeze import freeze
from hlss.language.review.review import Outdated, Review
from hlss.types import LEVELS, Level


@pytest.fixture
def bank() -> DescriptionBank:
    """Three characteristics a level."""
    tree = {
        str(level): [
            {"name": f"{level} {n}", "descriptions": [f"{level} {n} seen {way}" for way in "abcd"]} for n in range(3)
        ]
        for level in LEVELS
    }
    return DescriptionBank.model_validate({"title": "small", "domain": "drawn", "provenance": "a test", **tree})


@pytest.fixture
def review(bank: DescriptionBank, tmp_path: Path) -> Review:
    return Review(bank, tmp_path / "log.jsonl", "Ann")


KEY = (Level.PATCH, "patch 0")


def seen(review: Review, key: tuple[Level, str] = KEY) -> Wording:
    return review.state().items[key].wording


def reworded(wording: Wording, first: str) -> Wording:
    return wording.model_copy(update={"descriptions": (first, *wording.descriptions[1:])})


def test_each_action_is_what_the_state_shows_and_undo_takes_it_back(review: Review) -> None:
    start = seen(review)
    review.approve(KEY, start)
    assert review.state().items[KEY].standing == "approved"
    review.edit(KEY, start, reworded(start, "another sentence"))
    assert seen(review).descriptions[0] == "another sentence"
    assert review.state().items[KEY].verdict("Ann") == "edited"
    review.move(KEY, seen(review), Level.SLIDE)
    assert review.state().level(Level.SLIDE)[-1].key == KEY
    assert review.state().items[KEY].standing == "undecided"  # moved, and not judged there
    review.comment(KEY, "see atlas")
    assert review.state().items[KEY].comments == {"Ann": "see atlas"}
    review.reject(KEY, seen(review))
    assert review.state().items[KEY].standing == "rejected"
    for _ in range(5):
        review.undo()
    assert seen(review) == start
    assert review.state().items[KEY].verdicts == {}
    assert review.state().items[KEY].comments == {}
    with pytest.raises(UserError, match="nothing to undo"):
        review.undo()
    assert len(review.log.read()) == 10  # what was undone stays in the log


def test_a_decision_about_an_outdated_text_is_refused_and_shows_the_newer(review: Review) -> None:
    other = Review(review.bank, review.log.path, "Bob")
    start = seen(review)
    review.edit(KEY, start, reworded(start, "of Ann"))
    for late in (
        lambda: other.edit(KEY, start, reworded(start, "of Bob")),
        lambda: other.approve(KEY, start),
        lambda: other.reject(KEY, start),
        lambda: other.move(KEY, start, Level.SLIDE),
    ):
        with pytest.raises(Outdated, match="of Ann"):
            late()
    assert seen(other).descriptions[0] == "of Ann"
    other.edit(KEY, seen(other), reworded(start, "of Bob"))
    with pytest.raises(Outdated, match="of Bob"):
        review.undo()


def test_an_approval_is_of_the_text_it_saw(review: Review) -> None:
    other = Review(review.bank, review.log.path, "Bob")
    review.approve(KEY, seen(review))
    other.edit(KEY, seen(other), reworded(seen(other), "of Bob"))
    item = review.state().items[KEY]
    assert (item.verdict("Ann"), item.verdict("Bob")) == (None, "edited")
    assert review.state().done("Ann") == (0, 9)
    assert review.state().done("Bob", Level.PATCH) == (1, 3)


def test_an_edit_may_not_copy_what_stands_elsewhere(review: Review) -> None:
    start = seen(review)
    with pytest.raises(UserError, match=r"slide / slide 1: this name or one of these sentences"):
        review.edit(KEY, start, reworded(start, "Slide 1 seen B."))
    with pytest.raises(UserError, match="two of the descriptions are the same"):
        review.edit(KEY, start, reworded(start, start.descriptions[1]))
    assert review.log.read() == []


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_a_half_line_at_the_end_is_dropped_and_everything_before_kept(review: Review, kept: int) -> None:
    review.approve(KEY, seen(review))
    whole = review.log.path.read_bytes()
    review.reject(KEY, seen(review))
    half = review.log.path.read_bytes()[len(whole) :][:kept]
    review.log.path.write_bytes(whole + half)
    again = Review(review.bank, review.log.path, "Ann")
    assert [entry.action for entry in again.log.read()] == ["approve"]
    again.comment(KEY, "after the crash")
    assert [entry.action for entry in again.log.read()] == ["approve", "comment"]
    assert review.log.path.read_bytes().startswith(whole)


def test_a_damaged_line_in_the_middle_and_a_log_of_another_bank_are_named(review: Review) -> None:
    review.approve(KEY, seen(review))
    whole = review.log.path.read_bytes()
    review.log.path.write_bytes(b"{broken\n" + whole)
    with pytest.raises(UserError, match="line 1: this is no entry"):
        Review(review.bank, review.log.path, "Ann")
    review.log.path.write_bytes(whole)
    with pytest.raises(UserError, match="of another bank"):
        Review(read_bank("phantom"), review.log.path, "Ann")
    with pytest.raises(UserError, match="no name"):
        Review(review.bank, review.log.path, " ")


def _comments(bank: DescriptionBank, path: Path, who: str) -> None:
    one = Review(bank, path, who)
    for number in range(20):
        one.comment(KEY, f"{who} {number}")


def test_servers_append_to_one_log_without_loss(review: Review) -> None:
    spawn = multiprocessing.get_context("spawn")
    work = [spawn.Process(target=_comments, args=(review.bank, review.log.path, who)) for who in ("Ann", "Bob")]
    for process in work:
        process.start()
    for process in work:
        process.join()
    by = {who: [e.comment for e in review.log.read() if e.who == who] for who in ("Ann", "Bob")}
    assert by == {who: [f"{who} {number}" for number in range(20)] for who in ("Ann", "Bob")}


def test_kappa_is_that_of_scikit_learn(review: Review) -> None:
    other = Review(review.bank, review.log.path, "Bob")
    said = {"Ann": [], "Bob": []}
    for number, key in enumerate(review.state().items):
        for one, way in ((review, number % 3), (other, number * number % 4 % 3)):
            text = seen(one, key)
            if way == 0:
                one.approve(key, text)
            elif way == 1:
                one.reject(key, text)
            else:
                one.edit(key, text, reworded(text, f"{one.who} {number}"))
            said[one.who].append(way)
    found = agreement(review.state(), "Ann", "Bob")
    assert found.both == 9
    assert found.kappa == pytest.approx(cohen_kappa_score(said["Ann"], said["Bob"]))
    assert agreement(review.state(), "Ann", "Cid").kappa is None


def test_freezing_refuses_the_undecided_and_signs_the_rest(review: Review, tmp_path: Path) -> None:
    state = review.state()
    for key in list(state.items)[1:]:
        review.approve(key, seen(review, key))
    with pytest.raises(UserError, match=r"patch / patch 0: 1 characteristics are not decided"):
        freeze(review.bank, review.state())
    kept = freeze(review.bank, review.state(), "keep")
    assert (kept.counts[Level.PATCH], kept.status) == (3, "unreviewed")
    assert freeze(review.bank, review.state(), "drop").names(Level.PATCH) == ["patch 1", "patch 2"]
    review.edit(KEY, seen(review), reworded(seen(review), "better said"))
    review.comment(KEY, "checked")
    review.reject((Level.SLIDE, "slide 1"), seen(review, (Level.SLIDE, "slide 1")))
    frozen = freeze(review.bank, review.state())
    path = tmp_path / "frozen.yaml"
    write_bank(path, frozen)
    again = read_bank(path)
    assert again == frozen
    assert (again.status, again.version) == ("approved", review.bank.version + 1)
    assert again.names(Level.SLIDE) == ["slide 0", "slide 2"]
    first = again.patch[0]
    assert (first.descriptions[0], first.reviewer, first.comment) == ("better said", "Ann", "Ann: checked")
    assert again.sign_off is not None
    assert "Ann" in again.sign_off
    assert again.fingerprint != review.bank.fingerprint
