"""Decisions of a review: each kept, in order, and only about the text the reviewer saw."""

import multiprocessing
from pathlib import Path

import pytest
from sklearn.metrics import cohen_kappa_score

from hlss.errors import UserError
from hlss.language.bank import DescriptionBank, read_bank
from hlss.language.bank_files import write_bank
from hlss.language.review.agreement import agreement
from hlss.language.review.entries import Entry, Wording
from hlss.language.review.freeze import freeze
from hlss.language.review.review import Outdated, Review
from hlss.language.review.state import Key
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


def seen(review: Review, key: Key = KEY) -> Wording:
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


def test_undo_takes_back_the_reviewer_s_last_whichever_server_it_was_made_on(review: Review) -> None:
    again = Review(review.bank, review.log.path, "Ann")  # the server was started anew, or another one beside it
    other = Review(review.bank, review.log.path, "Bob")
    slide = (Level.SLIDE, "slide 1")
    review.approve(KEY, seen(review))
    again.reject(slide, seen(again, slide))
    other.approve(KEY, seen(other))
    assert review.undo().key == slide
    assert again.undo().key == KEY
    with pytest.raises(UserError, match="nothing to undo"):
        again.undo()
    assert [entry.who for entry in review.state().entries] == ["Bob"]


@pytest.fixture
def generic(bank: DescriptionBank, tmp_path: Path) -> Review:
    """Of a bank with one list for all levels."""
    tree = {"title": "one", "domain": "drawn", "provenance": "a test", "generic": bank.patch}
    return Review(DescriptionBank.model_validate(tree), tmp_path / "log.jsonl", "Ann")


ONE = (None, "patch 0")


def test_a_list_for_all_levels_is_reviewed_once_and_frozen_as_one(generic: Review, tmp_path: Path) -> None:
    state = generic.state()
    assert state.levels == (None,)
    assert list(state.items) == [(None, f"patch {n}") for n in range(3)]
    assert [item.key for item in state.level(None)] == list(state.items)
    assert state.level(Level.PATCH) == []
    with pytest.raises(UserError, match="all levels / patch 0: this bank has one list for all levels: nothing can be"):
        generic.move(ONE, seen(generic, ONE), Level.SLIDE)
    assert generic.log.read() == []
    generic.edit(ONE, seen(generic, ONE), reworded(seen(generic, ONE), "better said"))
    assert generic.state().done("Ann") == generic.state().done("Ann", None) == (1, 3)
    with pytest.raises(UserError, match="all levels / patch 1: 2 characteristics are not decided"):
        freeze(generic.bank, generic.state())
    generic.approve((None, "patch 1"), seen(generic, (None, "patch 1")))
    generic.reject((None, "patch 2"), seen(generic, (None, "patch 2")))
    again = Review(generic.bank, generic.log.path, "Ann").state()
    assert again == generic.state()
    frozen = freeze(generic.bank, again)
    write_bank(tmp_path / "frozen.yaml", frozen)
    assert read_bank(tmp_path / "frozen.yaml") == frozen
    assert [(level, one.name) for level, one in frozen.characteristics()] == [(None, "patch 0"), (None, "patch 1")]
    assert frozen.generic[0].descriptions[0] == "better said"
    assert (frozen.status, frozen.version) == ("approved", 2)
    generic.reject(ONE, seen(generic, ONE))
    generic.reject((None, "patch 1"), seen(generic, (None, "patch 1")))
    with pytest.raises(UserError, match="bank one: nothing is left"):
        freeze(generic.bank, generic.state())


def test_the_shipped_bank_for_all_levels_is_reviewed_and_frozen(tmp_path: Path) -> None:
    review = Review(read_bank("he_generic"), tmp_path / "log.jsonl", "Ann")
    assert len(review.state().items) == 128
    kept = freeze(review.bank, review.state(), "keep")
    assert kept.names(Level.PATCH) == review.bank.names(Level.PATCH)
    assert kept.fingerprint == review.bank.fingerprint
    assert kept.provenance == review.bank.provenance
    assert kept.provenance.endswith("Unreviewed: no pathologist has verified these descriptions.")
    key, item = next(iter(review.state().items.items()))
    review.approve(key, item.wording)
    told = freeze(review.bank, review.state(), "drop").provenance
    assert told.startswith("Drafted by the hlss authors")
    assert told.endswith(f"Reviewed from version 1, fingerprint {review.bank.fingerprint}.")
    assert "Unreviewed" not in told


def test_a_log_that_speaks_of_levels_is_read_of_a_list_for_all(generic: Review) -> None:
    """Such logs were written before there were characteristics without a level: three of each name, one a level."""
    start = seen(generic, ONE)
    at = {level: start.model_copy(update={"level": level}) for level in LEVELS}
    head = {"session": "s", "bank": generic.bank.fingerprint, "name": "patch 0"}
    old = [
        {"who": "Ann", "level": Level.PATCH, "action": "approve", "before": at[Level.PATCH]},
        {
            "who": "Bob",
            "level": Level.SLIDE,
            "action": "edit",
            "before": at[Level.SLIDE],
            "after": reworded(at[Level.SLIDE], "of Bob"),
        },
        {
            "who": "Cid",
            "level": Level.PATIENT,
            "action": "comment",
            "before": at[Level.PATIENT],
            "comment": "see atlas",
        },
        {"who": "Cid", "level": Level.SLIDE, "action": "move", "before": at[Level.SLIDE], "after": at[Level.PATCH]},
    ]
    for entry in old[:3]:
        generic.log.append(lambda _, entry=entry: Entry.model_validate({**head, **entry}))
    assert b'"level":"slide"' in generic.log.path.read_bytes()
    item = generic.state().items[ONE]
    assert item.wording == reworded(start, "of Bob")
    assert (item.verdict("Ann"), item.verdict("Bob"), item.comments) == (None, "edited", {"Cid": "see atlas"})
    other = Review(generic.bank, generic.log.path, "Bob")
    other.undo()
    assert (seen(generic, ONE), generic.state().items[ONE].verdict("Ann")) == (start, "approved")
    generic.log.append(lambda _: Entry.model_validate({**head, **old[3]}))
    assert seen(generic, ONE) == start


def test_an_entry_about_what_the_bank_does_not_have_is_named(review: Review) -> None:
    review.approve(KEY, seen(review))
    lines = review.log.path.read_text()
    review.log.path.write_text(lines.replace('"level":"patch","name":"patch 0","action"', '"name":"patch 0","action"'))
    with pytest.raises(UserError, match=r"entry \w+ of Ann: the bank has no patch / patch 0"):
        review.state()


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
