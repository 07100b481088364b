"""Words that look like slips of the pen: known to no word list, and a letter away from a word that is."""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import yaml
from spellchecker import SpellChecker

from hlss.language.bank import DescriptionBank
from hlss.language.lint.findings import Finding, Findings, Severity

SHORTEST = 5  # letters; of shorter words, too many are a letter apart
_WORD = re.compile(r"[^\W\d_]+")
_ISE = re.compile(r"is(?=(e[ds]?|ing|ation)$)")


def by_spelling(bank: DescriptionBank) -> Findings:
    """Rule spelling (warning), of each word once a text: with the word that may be meant. A term that no list knows and
    that is like none of them passes: it is more often rare than wrong. British and American spelling are both right.
    """
    for place, text in bank.places():
        for word in _lower_case(text):
            meant = _meant(word)
            if meant is not None:
                yield Finding("spelling", Severity.WARNING, place, text, f"{word!r}: is {meant!r} meant?")


def _lower_case(text: str) -> Iterator[str]:
    """Words, but for names of people: those that begin with a capital further in, or stand before a hyphen and one."""
    for found in _WORD.finditer(text):
        word, begins = found.group(), found.start() == 0
        if word.islower() or (begins and word[1:].islower() and not re.match(r"[-–][A-Z]", text[found.end() :])):
            yield _without_accents(word.lower())


def _without_accents(word: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKD", word) if not unicodedata.combining(letter))


@cache
def _meant(word: str) -> str | None:
    if len(word) < SHORTEST or _known(word):
        return None
    near = [other for other in sorted(_checker().edit_distance_1(word)) if _is_listed(other)]
    return max(near, key=lambda other: (other in _data().terms, _checker().word_usage_frequency(other)), default=None)


def _known(word: str) -> bool:
    """Listed as it stands, in American spelling, or as a listed word with a common beginning or ending."""
    return any(_is_listed(form) for whole in _stems(word) for form in _american(whole))


def _stems(word: str) -> Iterator[str]:
    yield word
    for ending in _data().behind:
        if word.endswith(ending) and len(word) - len(ending) >= SHORTEST - 1:
            yield word.removesuffix(ending)
            yield word.removesuffix(ending) + "e"
    for beginning in _data().before:
        rest = word.removeprefix(beginning)
        if rest != word and len(rest) > SHORTEST:
            yield rest
            yield rest.removesuffix("s")


def _american(word: str) -> Iterator[str]:
    yield word
    for british, american in _data().british.items():
        if british in word:
            yield _ISE.sub("iz", word.replace(british, american))
    yield _ISE.sub("iz", word)


def _is_listed(word: str) -> bool:
    return word in _data().terms or word in _checker()


class _Data(NamedTuple):
    british: dict[str, str]
    before: tuple[str, ...]
    behind: tuple[str, ...]
    terms: frozenset[str]


@cache
def _data() -> _Data:
    tree = yaml.safe_load((files("hlss.language.lint") / "spelling.yaml").read_text(encoding="utf-8"))
    before, behind, terms = (tree[name].split() for name in ("before", "behind", "terms"))
    return _Data(tree["british"], tuple(before), tuple(behind), frozenset(terms))


@cache
def _checker() -> SpellChecker:
    return SpellChecker(language="en", distance=1)
