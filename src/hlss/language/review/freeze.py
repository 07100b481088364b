"""From a reviewed bank to the next version of its file, signed."""

from typing import Any, Literal

from hlss.config import validate
from hlss.errors import UserError
from hlss.language.bank import GENERIC, UNREVIEWED, DescriptionBank
from hlss.language.review.state import Item, State
from hlss.types import LEVELS

Undecided = Literal["refuse", "keep", "drop"]


def freeze(bank: DescriptionBank, state: State, undecided: Undecided = "refuse") -> DescriptionBank:
    """The bank as reviewed: current texts, approved ones signed, rejected ones left out, its version one higher.

    undecided: what becomes of characteristics without a verdict or with two that differ: an error, kept as unreviewed,
    or left out. Raises UserError, naming the first, and where a level is left empty.
    """
    open_ones = state.with_standing("undecided", "disputed")
    if open_ones and undecided == "refuse":
        first = open_ones[0]
        raise UserError(
            f"{len(open_ones)} characteristics are not decided, the first is {first.standing}",
            where=f"bank {bank.title}: {first.wording.place}",
            fix="Decide them, or say --partial keep (as unreviewed) or --partial drop.",
        )
    wanted = ("approved", "undecided", "disputed") if undecided == "keep" else ("approved",)
    lists = {
        level or GENERIC: [_characteristic(item) for item in state.level(level) if item.standing in wanted]
        for level in state.levels
    }
    empty = [name for name, rows in lists.items() if not rows]
    if empty:
        left = "nothing is left" if empty[0] == GENERIC else f"nothing is left at the level {empty[0]}"
        raise UserError(left, where=f"bank {bank.title}", fix="Approve some.")
    kept = bank.model_dump(mode="json", exclude={*map(str, LEVELS), GENERIC, "version", "sign_off"}, exclude_none=True)
    signed = {"version": bank.version + 1, "sign_off": _sign_off(state), "provenance": _provenance(bank, state)}
    frozen: DescriptionBank = validate({**kept, **signed, **lists}, DescriptionBank, where=f"bank {bank.title}")
    return frozen


def _provenance(bank: DescriptionBank, state: State) -> str:
    """How it was drafted, and from what it was reviewed; that nobody had verified it is no longer so."""
    if not state.with_standing("approved"):
        return bank.provenance
    drafted = " ".join(bank.provenance.replace(UNREVIEWED, "").split())
    return f"{drafted} Reviewed from version {bank.version}, fingerprint {bank.fingerprint}."


def _characteristic(item: Item) -> dict[str, Any]:
    approved = item.standing == "approved"
    said = "; ".join(f"{who}: {text}" for who, text in sorted(item.comments.items()) if text)
    found = {
        "name": item.wording.name,
        "descriptions": list(item.wording.descriptions),
        "status": "approved" if approved else "unreviewed",
        "reviewer": ", ".join(sorted(item.current)) if approved else None,
        "comment": said or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _sign_off(state: State) -> str | None:
    """Who signs, and when each last decided."""
    last = {entry.who: entry.when for entry in state.entries}
    return "; ".join(f"{who}, {last[who]:%Y-%m-%d}" for who in sorted(last)) or None
