"""Words that no description should hold, from a list that is kept by hand (`words.yaml`)."""

import re
from functools import cache
from importlib.resources import files

import yaml

from hlss.config import Part
from hlss.language.bank import DescriptionBank
from hlss.language.lint.findings import Finding, Findings, Severity


class _Rule(Part):
    severity: Severity
    reason: str
    words: tuple[str, ...]
    patterns: tuple[str, ...] = ()


class _Words:
    """Whole words, or those that begin (`mutat*`) or end (`*oma`) so, in any case but for abbreviations."""

    def __init__(self, words: tuple[str, ...], patterns: tuple[str, ...] = ()) -> None:
        capitals = [word for word in words if word.isupper()]
        self._plain = _any_of([word.lower() for word in words if not word.isupper()])
        self._as_written = _any_of(capitals, patterns)

    def find(self, text: str) -> str | None:
        """The first that is in a text."""
        found = self._as_written.search(text) or self._plain.search(text.lower())
        return None if found is None else found.group().strip()

    def left_out(self, text: str) -> str:
        """A text without them."""
        for found in reversed(list(self._plain.finditer(text.lower()))):
            text = f"{text[: found.start()]} {text[found.end() :]}"
        return self._as_written.sub(" ", text)


def by_words(bank: DescriptionBank) -> Findings:
    """One finding for each rule of `words.yaml` that a name or a description breaks."""
    allowed, rules = _lists()
    for place, text in bank.places():
        plain = allowed.left_out(text)
        for name, (rule, words) in rules.items():
            found = words.find(plain)
            if found is not None:
                yield Finding(name, rule.severity, place, text, f"{found!r}: {rule.reason}")


@cache
def _lists() -> tuple[_Words, dict[str, tuple[_Rule, _Words]]]:
    tree = yaml.safe_load((files("hlss.language.lint") / "words.yaml").read_text(encoding="utf-8"))
    allowed = _Words(tuple(tree.pop("allowed")))
    rules = {name: _Rule.model_validate(rule) for name, rule in tree.items()}
    return allowed, {name: (rule, _Words(rule.words, rule.patterns)) for name, rule in rules.items()}


def _any_of(words: list[str], patterns: tuple[str, ...] = ()) -> re.Pattern[str]:
    """Longer words are tried first; nothing at all is found where there are neither."""
    first = sorted(words, key=len, reverse=True)
    starred = [_one(word) for word in first if word.startswith("*")]
    plain = "|".join(_one(word) for word in first if not word.startswith("*"))
    whole = [rf"(?<![\w-])(?:{plain})"] if plain else []
    return re.compile("|".join([*whole, *starred, *patterns]) or r"(?!)")


def _one(word: str) -> str:
    core = word.strip("*")
    before = r"(?<![\w-])[\w-]*" if word.startswith("*") else ""
    behind = r"[\w-]*" if word.endswith("*") else "" if core.endswith(":") else r"(?![\w-])"
    return before + re.escape(core) + behind
