"""Which characteristics a tab lists, and where it goes."""

from pathlib import Path

import pytest

from hlss.language.bank import DescriptionBank
from hlss.language.review.review import Review
from hlss.language.review.state import State
from hlss.studio.review.view import Shown, View
from hlss.types import LEVELS, Level


@pytest.fixture
def bank() -> DescriptionBank:
    """Three characteristics a level, a to i."""
    names = iter("abcdefghi")
    tree = {
        str(level): [
            {"name": name, "descriptions": [f"{name} seen {way}" for way in "1234"]}
            for name in (next(names), next(names), next(names))
        ]
        for level in LEVELS
    }
    return DescriptionBank.model_validate({"title": "small", "domain": "drawn", "provenance": "a test", **tree})


@pytest.fixture
def ann(bank: DescriptionBank, tmp_path: Path) -> Review:
    return Review(bank, tmp_path / "log.jsonl", "Ann")


@pytest.fixture
def view() -> View:
    return View("Ann", flagged=lambda state: {(Level.PATCH, "b")})


def decide(review: Review, name: str, what: str = "approve") -> State:
    (item,) = [item for item in review.state().items.values() if item.wording.name == name]
    getattr(review, what)(item.key, item.wording)
    return review.state()


def listed(view: View, state: State) -> str:
    return "".join(item.wording.name for item in view.items(state))


def shown(view: View, state: State) -> str:
    item = view.shown(state)
    return item.wording.name if item else ""


def test_steps_end_where_the_list_does(ann: Review, view: View) -> None:
    state = ann.state()
    assert shown(view, state) == "a"
    assert [view.step(state, by) for by in (-1, 1, 1, 1)] == [False, True, True, False]
    assert shown(view, state) == "c"


def test_what_leaves_the_list_gives_its_place_to_the_next(ann: Review, view: View) -> None:
    view.filtered(show="undecided")
    assert shown(view, ann.state()) == "a"
    state = decide(ann, "a")
    assert (listed(view, state), shown(view, state)) == ("bc", "b")
    view.step(state, 1)
    assert shown(view, state) == "c"
    state = decide(ann, "c")
    assert shown(view, state) == "b"  # the last one left: what is before it


def test_a_step_from_what_just_left_the_list_skips_nothing(ann: Review, view: View) -> None:
    view.filtered(show="undecided")
    shown(view, ann.state())
    state = decide(ann, "a")
    assert view.step(state, 1)
    assert shown(view, state) == "b"


def test_filters(ann: Review, view: View) -> None:
    decide(ann, "a", "reject")
    decide(ann, "b")
    state = decide(Review(ann.bank, ann.log.path, "Bob"), "b", "reject")
    expected = {"all": "abc", "undecided": "c", "rejected": "a", "disputed": "b", "with findings": "b"}
    found = {}
    for show in expected:
        view.filtered(show=show)  # type: ignore[arg-type]
        found[show] = listed(view, state)
    assert found == expected
    view.filtered(show="all", name="C")
    assert listed(view, state) == "c"
    view.filtered(name="nowhere")
    assert view.shown(state) is None


def test_the_next_undecided_is_looked_for_at_every_level_and_round_again(ann: Review, view: View) -> None:
    for name in "bcefghi":
        state = decide(ann, name)
    view.go(Level.SLIDE)
    assert shown(view, state) == "d"
    found = view.next_undecided(state)
    assert found is not None
    assert found.wording.name == "a"
    decide(ann, "a")
    assert view.next_undecided(decide(ann, "d")) is None


def test_what_is_found_is_shown_whatever_the_filters(ann: Review, view: View) -> None:
    state = ann.state()
    view.filtered(show="disputed", name="nowhere")
    view.find(state.items[Level.SLIDE, "e"], state)
    assert (shown(view, state), listed(view, state)) == ("e", "def")


def test_a_text_that_just_came_up_was_not_read(ann: Review) -> None:
    first, second, *_ = ann.state().items.values()
    shown = Shown()
    shown.put(first, now=10.0)
    shown.put(first, now=10.2)  # drawn again, as when another reviewer decides
    assert [shown.read(now) for now in (10.25, 10.35)] == [False, True]
    shown.put(second, now=10.4)
    assert not shown.read(10.6)
    mark = shown.mark
    ann.edit(second.key, second.wording, second.wording.model_copy(update={"name": "another"}))
    shown.put(ann.state().items[second.key], now=20.0)
    assert shown.mark != mark
    assert not shown.read(20.1)
