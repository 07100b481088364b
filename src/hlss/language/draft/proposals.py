"""Proposed characteristics: which are usable and new."""

from typing import NamedTuple

from hlss.language.draft.nearness import Nearness
from hlss.language.draft.schema import Candidate, plain, sentence
from hlss.language.draft.sentences import fault_of_name
from hlss.language.lint.form import MOST_IN_NAME
from hlss.language.wording import Sentence, content_words
from hlss.types import Level


class Item(NamedTuple):
    """A candidate at its level. name: its content words."""

    level: Level
    candidate: Candidate
    name: frozenset[str]
    gist: Sentence


class Proposals:
    """All that were usable, of all levels, whatever became of them."""

    def __init__(self, nearness: Nearness | None) -> None:
        self.items: list[Item] = []
        self._nearness = nearness

    def known(self, but: list[Item] | None = None) -> list[str]:
        """What the model is told of: level and name, of all but these."""
        without = {id(item.candidate) for item in but or ()}
        return [f"{item.level}: {item.candidate.name}" for item in self.items if id(item.candidate) not in without]

    def take(self, level: Level, candidate: Candidate) -> Item | None:
        """The candidate, where it is usable and no copy at this or another level, by words and by text tower."""
        if plain(candidate.name) or sentence(candidate.gist) or len(candidate.name.split()) > MOST_IN_NAME:
            return None
        if fault_of_name(candidate.name):
            return None
        item = Item(level, candidate, content_words(candidate.name), Sentence.of(candidate.gist))
        for other in self.items:
            if item.name == other.name or item.gist.copies(other.gist):
                return None
        if self._nearness is not None and not self._nearness.takes(f"{candidate.name}: {candidate.gist}"):
            return None
        self.items.append(item)
        return item
