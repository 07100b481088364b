"""What the words of a bank stand for, where that is known: factors of drawn tissue, and distractors."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Literal, NamedTuple

import yaml

from hlss.errors import UserError
from hlss.types import LEVELS, Level

End = Literal["high", "low"]


class Truth(NamedTuple):
    """The end of a factor that a characteristic names; both None: a distractor, which names nothing that is drawn."""

    factor: str | None
    end: End | None


def truth_of(bank: str) -> dict[Level, dict[str, Truth]]:
    """By level and characteristic, what it stands for. Raises UserError for a bank whose truth nobody knows."""
    path = files("hlss.language") / "truth" / f"{bank}.yaml"
    if not path.is_file():
        known = sorted(entry.name.removesuffix(".yaml") for entry in (files("hlss.language") / "truth").iterdir())
        raise UserError(f"what bank {bank!r} stands for is not known", fix=f"Known: {', '.join(known)}.")
    tree: Mapping[str, Mapping[str, str | None]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {level: {name: _truth(text) for name, text in tree[level].items()} for level in LEVELS}


def _truth(text: str | None) -> Truth:
    if text is None:
        return Truth(None, None)
    factor, end = text.split()
    if end not in ("high", "low"):
        raise ValueError(f"{text!r}: the end of a factor is high or low")
    return Truth(factor, "high" if end == "high" else "low")
