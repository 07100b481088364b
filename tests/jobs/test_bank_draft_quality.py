"""What a drafted bank is spared: the linter's errors, near copies, near duplicates; and models that are of no use."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from chat_server import Reply, data_of, good, serving
from drafting import drafted, written_card

from hlss.errors import UserError
from hlss.language.bank import read_bank
from hlss.language.draft.budget import MOST, estimate
from hlss.language.lint.lint import lint_bank

pytestmark = pytest.mark.skipif(importlib.util.find_spec("openai") is None, reason="needs the extra `language`")
Body = dict[str, Any]


@pytest.fixture
def card(tmp_path: Path) -> Path:
    return written_card(tmp_path)


def descriptions(*texts: str) -> Reply:
    return {"text": json.dumps({"descriptions": texts})}


def test_the_linters_error_is_the_reason_of_a_rewriting(card: Path) -> None:
    reasons: list[str] = []

    def behave(number: int, stage: str, body: Body) -> Reply | None:
        data = data_of(body)
        if stage != "describe":
            return None
        if "reason" in data:
            reasons.append(data["reason"])
            return None
        texts = json.loads(good(stage, data, 0))["descriptions"]
        return descriptions("Pale cells without any nuclei gather", *texts[1:])

    with serving(behave) as chat:
        bank = read_bank(drafted(card, chat.url))
    assert lint_bank(bank).errors == 0
    assert set(bank.counts.values()) == {2}
    assert reasons
    assert all("'without'" in reason for reason in reasons)


def test_what_stays_in_error_is_dropped(card: Path) -> None:
    def behave(number: int, stage: str, body: Body) -> Reply | None:
        if stage != "describe" or not data_of(body)["name"].startswith(("a", "e", "i", "m")):
            return None
        return descriptions(
            "No mitoses here", "IDH mutant cells lie here", "Vessels fill with red cells", "Pink wide bands cross"
        )

    with serving(behave) as chat:
        bank = read_bank(drafted(card, chat.url, per_level=4))
    assert lint_bank(bank).errors == 0
    assert not any(one.name.startswith(("a", "e", "i", "m")) for _, one in bank.characteristics())


def test_a_copy_of_a_kept_sentence_is_rewritten_once_whatever_the_concurrency(card: Path) -> None:
    copy = "Foamy macrophages crowd around thick vessels"

    def behave(number: int, stage: str, body: Body) -> Reply | None:
        data = data_of(body)
        if stage != "describe" or "reason" in data:
            return None
        texts = json.loads(good(stage, data, 0))["descriptions"]
        return descriptions(copy, *texts[1:])

    banks = []
    for concurrency in (1, 6):
        with serving(behave) as chat:
            banks.append(drafted(card, chat.url, f"{concurrency}.yaml", concurrency=concurrency).read_bytes())
    bank = read_bank(card.parent / "1.yaml")
    assert banks[0] == banks[1]
    assert set(bank.counts.values()) == {2}
    assert [text for _, text in bank.places()].count(copy) == 1


def proposals(*pairs: tuple[str, str]) -> Reply:
    return {"text": json.dumps({"candidates": [{"name": name, "gist": gist} for name, gist in pairs]})}


def test_a_name_in_error_is_not_taken(card: Path) -> None:
    bad = proposals(
        ("absence of necrosis", "Smooth pink tissue fills it"), ("IDH mutation", "Pale round cells lie there")
    )
    with serving(lambda number, stage, body: bad if number == 1 else None) as chat:
        names = [one.name for _, one in read_bank(drafted(card, chat.url)).characteristics()]
    assert len(names) == 6
    assert not {"absence of necrosis", "IDH mutation"} & set(names)


ONE, OTHER = ("rosette cores", "Cells stand in a ring"), ("psammoma spheres", "Layered stones glitter blue")
COPY = ("circular halos", "Nuclei encircle the middle")


class Towers:
    """Puts words of rings into one direction."""

    dim, context, family, fingerprint = 2, 40, None, "rings"

    def token_counts(self, texts: list[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def encode(self, texts: list[str]) -> Any:
        import torch

        ring = ("ring", "encircle")
        return torch.tensor(
            [[1.0, 0.1 * ("encircle" in t)] if any(r in t for r in ring) else [0.0, 1.0] for t in texts]
        )


def names_of(card: Path, url: str, out: str, **options: Any) -> set[str]:
    return {one.name for _, one in read_bank(drafted(card, url, out, **options)).characteristics()}


def test_near_duplicates_by_the_text_tower_are_dropped_at_its_cosine(card: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("hlss.jobs.bank_draft.text_tower", lambda name: Towers())

    def behave(number: int, stage: str, body: Body) -> Reply | None:
        if stage != "candidates":
            return None
        task = body["messages"][1]["content"]
        level = next(number for number, sign in enumerate(("PATCH:", "SLIDE:", "PATIENT:")) if sign in task)
        return proposals((ONE, COPY, OTHER)[level])

    with serving(behave) as chat:
        assert COPY[0] in names_of(card, chat.url, "words.yaml", per_level=1)
        assert COPY[0] in names_of(card, chat.url, "far.yaml", per_level=1, text="minilm", nearer_than=0.999)
        with pytest.raises(UserError, match="no characteristic came through at: slide"):
            drafted(card, chat.url, "near.yaml", per_level=1, text="minilm")
        with pytest.raises(UserError, match=r"belongs to another draft \(text differs\)"):
            drafted(card, chat.url, "near.yaml", per_level=1, text="minilm", nearer_than=0.9)
        with pytest.raises(UserError, match="--nearer-than: no default for the text tower vectors"):
            drafted(card, chat.url, "vectors.yaml", text="vectors")


def test_a_shipped_tower_is_named_and_a_replay_takes_the_same(card: Path) -> None:
    with serving() as chat:
        bank = drafted(card, chat.url, text="tiny")
    before = bank.read_bytes()
    assert drafted(card, "http://127.0.0.1:9/v1", text="tiny", replay=True).read_bytes() == before


REFUSING = {"visible": False, "level_right": True, "faithful": True, "different": True, "reason": "bad"}


def one_in_a_round(number: int, stage: str, body: Body) -> Reply | None:
    if stage != "candidates":
        return None
    word = "".join(chr(97 + int(digit)) for digit in f"{number:03}")
    return proposals((f"thing{word} cells", f"Word{word} sits by stem{word} there"))


@pytest.mark.parametrize(
    ("nonsense", "most", "told"),
    [
        (lambda number, stage, body: {"text": "hello"}, 25, "6 requests in a row got no usable answer"),
        (lambda number, stage, body: {"text": "x", "finish": "length"}, 25, "the last: cut off at the limit of tokens"),
        (
            lambda number, stage, body: {"text": json.dumps(REFUSING)} if stage == "check" else None,
            80,
            "none of the first 16",
        ),
        (lambda number, stage, body: {"text": "?"} if stage == "describe" else None, 60, "6 requests in a row"),
    ],
)
def test_a_model_of_no_use_is_given_up_soon_and_in_one_line(card: Path, nonsense: Any, most: int, told: str) -> None:
    with serving(nonsense) as chat, pytest.raises(UserError, match=told) as error:
        drafted(card, chat.url, per_level=32)
    assert "\n" not in str(error.value)
    assert chat.number <= most
    assert not (card.parent / "bank.yaml").exists()


def test_a_model_that_is_slow_to_find_anything_is_stopped_at_a_multiple_of_the_estimate(card: Path) -> None:
    with serving(one_in_a_round) as chat:
        drafted(card, chat.url, per_level=8)
    assert chat.number <= MOST * estimate(8).requests
