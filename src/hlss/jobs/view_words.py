"""The words of a viewer: the characteristics of a bank, and sentences typed by somebody, as rows of the text tower."""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from hlss.encoders.base import TextEncoder
from hlss.errors import UserError
from hlss.files import digest
from hlss.language.bank import DescriptionBank, check_tokens
from hlss.language.encode import encode
from hlss.types import LEVELS, Level

SENTENCES = 256  # that are remembered
LONGEST = 500  # letters of a sentence


@dataclass(frozen=True)
class Saying:
    """key: names it in addresses; level: "" of a bank of one list, and of a sentence that was typed."""

    key: str
    level: str
    name: str
    descriptions: tuple[str, ...]


class Words:
    """Sayings of a bank under a text tower, and sentences. Threads may ask at the same time.

    sayings, rows: in the same order, rows of length 1.
    """

    def __init__(self, bank: DescriptionBank, tower: TextEncoder) -> None:
        """Raises UserError where a description is longer than the tower reads."""
        check_tokens(bank, tower)
        levels = (Level.PATCH,) if bank.generic else LEVELS
        self.title, self._tower, self._lock = bank.title, tower, Lock()
        self.sayings = tuple(
            Saying(f"{level}-{number}", "" if bank.generic else str(level), one.name, one.descriptions)
            for level in levels
            for number, one in enumerate(bank.level(level))
        )
        texts = encode({level: bank.texts(level) for level in levels}, tower, None)
        self.rows: Float32[ndarray, "k d"] = np.concatenate([texts[level].numpy() for level in levels])
        self._place = {one.key: number for number, one in enumerate(self.sayings)}
        self._typed: OrderedDict[str, tuple[Saying, Float32[ndarray, " d"]]] = OrderedDict()

    def get(self, key: str) -> tuple[Saying, Float32[ndarray, " d"]]:
        """Raises KeyError for one that is not known, or was typed too long ago."""
        if key in self._place:
            return self.sayings[self._place[key]], self.rows[self._place[key]]
        with self._lock:
            self._typed.move_to_end(key)
            return self._typed[key]

    def typed(self, text: str) -> Saying:
        """A sentence as a saying. Raises UserError where it is empty, or longer than the tower reads."""
        said = " ".join(text.split())
        if not said:
            raise UserError("there is nothing to look for", fix="Type a sentence.")
        if len(said) > LONGEST or self._tower.token_counts([said])[0] > self._tower.context:
            raise UserError(f"this is longer than the {self._tower.context} tokens that the text tower reads")
        key = f"text-{digest(said)}"
        with self._lock:
            if key not in self._typed:
                row = encode({Level.PATCH: [[said]]}, self._tower, None)[Level.PATCH][0].numpy()
                self._typed[key] = Saying(key, "", said, (said,)), row
            self._typed.move_to_end(key)
            while len(self._typed) > SENTENCES:
                self._typed.popitem(last=False)
            return self._typed[key][0]
