"""What is mapped: characteristics of a bank and sentences, as rows of a run's own text tower; and random text."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from hlss.encoders.base import TextEncoder
from hlss.errors import UserError
from hlss.jobs.explain_sources import Source, refuse_other_width
from hlss.language.bank import DescriptionBank, normalised, read_bank
from hlss.language.encode import encode
from hlss.language.markers import shuffled
from hlss.types import LEVELS, Level

RANDOM_TEXTS = 99
_SENTENCES = "he_general"  # bank whose words random text is made of, where neither flag nor run names one


@dataclass(frozen=True, eq=False)
class Asked:
    """What is mapped. name: of the characteristic, or the sentence itself; level: of the bank, None: of a sentence or
    of a list for all levels.
    """

    name: str
    level: Level | None
    descriptions: tuple[str, ...]
    row: Float32[ndarray, " d"]


class MapTexts:
    """Texts by the tower of a run. bank: the one named, else the run's own."""

    def __init__(self, source: Source, bank: str | None, seed: int = 0) -> None:
        language = source.experiment.language
        self.bank_name = bank or (None if language is None else language.bank)
        self._source, self._seed = source, seed
        self._random: dict[int, Float32[ndarray, "r d"]] = {}

    @cached_property
    def bank(self) -> DescriptionBank:
        """Raises UserError where neither flag nor run names one, or there is none of this name."""
        if self.bank_name is None:
            raise UserError("the run was trained without a bank", where="--characteristic", fix="Name one by --bank.")
        return read_bank(self.bank_name)

    @cached_property
    def tower(self) -> TextEncoder:
        tower: TextEncoder = self._source.text.build()
        refuse_other_width(self._source, tower.dim)
        return tower

    @property
    def notices(self) -> tuple[str, ...]:
        """Of the bank, where it was asked."""
        if "bank" not in self.__dict__ or self.bank.status == "approved":
            return ()
        return (f"bank {self.bank.title!r} is unreviewed: no pathologist has verified its descriptions",)

    def asked(self, characteristics: Sequence[str], texts: Sequence[str]) -> list[Asked]:
        """In this order. Raises UserError for a name that the bank does not have, an empty text, or one that is longer
        than the tower reads.
        """
        if not characteristics and not texts:
            raise UserError("nothing to map", fix="Name a --characteristic of the bank, or give a --text.")
        found: list[tuple[str, Level | None, tuple[str, ...]]] = [self._named(name) for name in characteristics]
        for text in texts:
            if not normalised(text):
                raise UserError("an empty text", where="--text", fix="Say what is to be seen.")
            text = " ".join(text.split())  # it names files and classes: one line
            found.append((text, None, (text,)))
        return self._encoded(list({one[0]: one for one in found}.values()))

    def every(self) -> list[Asked]:
        """All characteristics of the bank, level by level. Raises UserError."""
        return self._encoded([(one.name, level, one.descriptions) for level, one in self.bank.characteristics()])

    def _encoded(self, found: Sequence[tuple[str, Level | None, tuple[str, ...]]]) -> list[Asked]:
        for name, _, descriptions in found:
            if max(self.tower.token_counts(list(descriptions))) > self.tower.context:
                what = f"longer than the {self.tower.context} tokens that the text tower reads"
                raise UserError(what, where=repr(name), fix="Shorten it.")
        rows = self._rows([list(descriptions) for _, _, descriptions in found])
        return [Asked(*one, row) for one, row in zip(found, rows, strict=True)]

    def random(self, sentences: int) -> Float32[ndarray, "r d"]:
        """RANDOM_TEXTS rows, each of so many sentences of the bank's words dealt anew, each as long as before."""
        if sentences not in self._random:
            bank = self.bank if self.bank_name is not None else read_bank(_SENTENCES)
            groups = [texts[:sentences] for level in LEVELS for texts in bank.texts(level)]
            found: list[list[str]] = []
            for draw in range(RANDOM_TEXTS):
                if len(found) < RANDOM_TEXTS:
                    found += shuffled({"": groups}, self._seed, draw)[""]
            chosen = np.random.default_rng(self._seed).permutation(len(found))[:RANDOM_TEXTS].tolist()
            self._random[sentences] = self._rows([self._short(found[one]) for one in chosen])
        return self._random[sentences]

    def _short(self, texts: list[str]) -> list[str]:
        """Words dealt anew may make more tokens than the tower reads: the last words are left out then."""
        counts = self.tower.token_counts(texts)
        kept = [len(text.split()) * self.tower.context // max(n, 1) for text, n in zip(texts, counts, strict=True)]
        fits = [n <= self.tower.context for n in counts]
        return [
            text if fit else " ".join(text.split()[: k - 1]) for text, fit, k in zip(texts, fits, kept, strict=True)
        ]

    def _rows(self, groups: list[list[str]]) -> Float32[ndarray, "k d"]:
        cache = self._source.experiment.cache / "texts"
        try:
            rows = encode({Level.PATCH: groups}, self.tower, cache)
        except UserError:  # the cache of somebody else's run cannot be written, and would only save time
            rows = encode({Level.PATCH: groups}, self.tower, None)
        found: Float32[ndarray, "k d"] = rows[Level.PATCH].numpy()
        return found

    def _named(self, name: str) -> tuple[str, Level | None, tuple[str, ...]]:
        every = {normalised(one.name): (level, one) for level, one in self.bank.characteristics()}
        if normalised(name) not in every:
            known = {key: one.name for key, (_, one) in every.items()}
            parts = [own for key, own in known.items() if normalised(name) and normalised(name) in key]
            near = [*parts, *(known[key] for key in get_close_matches(normalised(name), list(known), 5, 0.3))]
            fix = f"Near: {', '.join(list(dict.fromkeys(near))[:5] or list(known.values())[:5])}."
            raise UserError(f"no characteristic {name!r} in bank {self.bank_name!r}", where="--characteristic", fix=fix)
        level, found = every[normalised(name)]
        return found.name, level, found.descriptions
