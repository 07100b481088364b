"""`hlss bank draft` stopped, by cost or by a kill, and gone on with."""

import importlib.util
import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from chat_server import serving
from drafting import CARD, drafted, written_card

from hlss.errors import UserError
from hlss.jobs.bank_draft import Options, draft
from hlss.language.bank import read_bank
from hlss.language.draft.budget import estimate

pytestmark = pytest.mark.skipif(importlib.util.find_spec("openai") is None, reason="needs the extra `language`")


@pytest.fixture
def card(tmp_path: Path) -> Path:
    return written_card(tmp_path)


@pytest.mark.parametrize("options", [{"yes": False}, {"yes": False, "budget": 10}, {"key_env": "NOT_SET_HERE"}])
def test_nothing_is_asked_that_nobody_agreed_to(card: Path, options: dict[str, Any]) -> None:
    with serving() as chat:
        with pytest.raises(UserError):
            drafted(card, chat.url, **options)
        assert chat.number == 0


def test_a_budget_stops_the_work_and_more_goes_on(card: Path) -> None:
    with serving() as chat:
        with pytest.raises(UserError, match=r"--budget-tokens 50: .* tokens are used"):
            drafted(card, chat.url, budget=50, concurrency=1)
        assert drafted(card, chat.url).exists()
        assert chat.answered_once


def test_another_card_is_refused_and_a_half_line_dropped(card: Path) -> None:
    with serving() as chat:
        bank = drafted(card, chat.url)
        transcript = bank.with_suffix(".transcript.jsonl")
        transcript.write_bytes(transcript.read_bytes()[:-30])
        before = bank.read_bytes()
        assert drafted(card, chat.url).read_bytes() == before
        card.write_text(CARD.replace("brain", "lung"), encoding="utf-8")
        with pytest.raises(UserError, match="belongs to another draft"):
            drafted(card, chat.url)


@pytest.mark.parametrize("answer", ["y\n", "n\n", "\n", ""])
def test_somebody_at_a_terminal_is_asked(card: Path, answer: str, monkeypatch: Any, capsys: Any) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(answer))
    monkeypatch.setattr("sys.stderr", Terminal())
    with serving() as chat:
        if answer == "y\n":
            assert drafted(card, chat.url, yes=False).exists()
        else:
            with pytest.raises(UserError, match="Agree with --yes"):
                drafted(card, chat.url, yes=False)
            assert chat.number == 0
    assert "tokens\nGo on? [y/N] " in sys.stderr.getvalue()  # type: ignore[attr-defined]


def test_a_replay_needs_neither_server_nor_model(card: Path) -> None:
    with serving() as chat:
        bank = drafted(card, chat.url)
    before = bank.read_bytes()
    bank.unlink()
    draft(card, bank, None, Options(per_level=2, replay=True))
    assert bank.read_bytes() == before


@pytest.mark.parametrize("per_level", [2, 32])
def test_the_estimate_is_no_less_than_a_good_model_takes_and_at_most_twice(card: Path, per_level: int) -> None:
    with serving(counts=True) as chat:
        bank = drafted(card, chat.url, per_level=per_level)
    expected = estimate(per_level)
    assert set(read_bank(bank).counts.values()) == {per_level}
    assert chat.number <= expected.requests <= 2 * chat.number
    assert chat.tokens <= expected.tokens <= 2 * chat.tokens


@pytest.mark.parametrize(("k", "concurrency"), [(1, 1), (9, 1), (5, 4), (14, 4)])
def test_killed_at_a_request_and_started_again(card: Path, k: int, concurrency: int) -> None:
    with serving() as chat:
        whole = drafted(card, chat.url, "whole.yaml").read_bytes()
        chat.asked.clear()
        code = (
            "import sys; from hlss.cli import main; "
            "main(['bank', 'draft', sys.argv[1], '--out', sys.argv[2], '--base-url', sys.argv[3],"
            " '--model', 'fake', '--per-level', '2', '--concurrency', sys.argv[4], '--yes'])"
        )
        out = card.parent / "killed.yaml"
        killed = subprocess.Popen(
            [sys.executable, "-c", code, str(card), str(out), chat.url, str(concurrency)], stderr=subprocess.DEVNULL
        )
        at = chat.number + k

        def kill(number: int) -> bool:
            if number == at:
                os.kill(killed.pid, signal.SIGKILL)
            return number < at

        chat.answers = kill
        assert killed.wait(60) == -signal.SIGKILL
        assert not out.exists()
        kept = out.with_suffix(".transcript.jsonl").read_bytes().count(b'"kind": "answer"')
        assert kept <= k - 1
        assert kept >= k - concurrency  # those under way when it was killed may be lost
        chat.answers = lambda number: True
        before = chat.number
        assert drafted(card, chat.url, "killed.yaml", concurrency=concurrency).read_bytes() == whole
        assert chat.number - before == len(chat.asked) - kept
        assert concurrency > 1 or chat.answered_once
