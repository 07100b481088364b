"""The words of a viewer: the characteristics of a bank, and sentences typed by somebody, each with a key."""

from collections import Counter

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from hlss.errors import UserError
from hlss.files import digest
from hlss.jobs.map_texts import Asked, MapTexts
from hlss.jobs.view_kept import Kept
from hlss.types import Level

SENTENCES = 256  # that are remembered
LONGEST = 500  # letters of a sentence


class Words:
    """Texts of a run, by keys that name them in addresses. Threads may ask at the same time.

    known: the bank's characteristics; rows: of these, at length 1, in the same order.
    """

    def __init__(self, texts: MapTexts) -> None:
        """Raises UserError for no such bank, and where a description is longer than the tower reads."""
        self.texts, self.title, seen = texts, texts.bank.title, Counter[Level]()
        self.known: dict[str, Asked] = {}
        for one in texts.every():
            level = one.level or Level.PATCH
            self.known[f"{level}-{seen[level]}"] = one
            seen[level] += 1
        self.rows: Float32[ndarray, "k d"] = np.stack([one.row for one in self.known.values()])
        self._typed = Kept[Asked](SENTENCES)

    def get(self, key: str) -> Asked:
        """Raises KeyError for one that is not known, or was typed too long ago."""
        found = self.known.get(key) or self._typed.get(key)
        if found is None:
            raise KeyError(key)
        return found

    def typed(self, text: str) -> str:
        """Key of a sentence. Raises UserError where it is empty, or longer than the tower reads."""
        said = " ".join(text.split())
        if not said:
            raise UserError("there is nothing to look for", fix="Type a sentence.")
        if len(said) > LONGEST:
            raise UserError(f"this is longer than {LONGEST} letters", fix="Shorten it.")
        key = f"text-{digest(said)}"
        self._typed.made(key, lambda: self.texts.asked((), (said,))[0])
        return key
