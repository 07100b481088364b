"""Words that no description should hold, from a list that is kept by hand (`words.yaml`)."""

import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import yaml

from hlss.config import Part
from hlss.language.bank import DescriptionBank
from hlss.language.lint.findings import Finding, Findings, Severity


class _Rule(Part):
    severity: Severity
    reason: str
    words: tuple[str, ...]


class _Lists(NamedTuple):
    allowed: re.Pattern[str]
    rules: dict[str, tuple[_Rule, re.Pattern[str]]]


def by_words(bank: DescriptionBank) -> Findings:
    """One finding for each rule that a name or a description breaks: negation, non_visual, hedge."""
    lists = _lists()
    for place, text in bank.places():
        plain = lists.allowed.sub(" ", text)
        for name, (rule, pattern) in lists.rules.items():
            found = pattern.search(plain)
            if found is not None:
                yield Finding(name, rule.severity, place, text, f"{found.group()!r}: {rule.reason}")


@cache
def _lists() -> _Lists:
    tree = yaml.safe_load((files("hlss.language.lint") / "words.yaml").read_text(encoding="utf-8"))
    allowed = _pattern(tree.pop("allowed"))
    rules = {name: _Rule.model_validate(rule) for name, rule in tree.items()}
    return _Lists(allowed, {name: (rule, _pattern(rule.words)) for name, rule in rules.items()})


def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    """Whole words, or beginnings of words (`mutat*`), in any case but for abbreviations."""
    return re.compile("|".join(map(_one, sorted(words, key=len, reverse=True))))


def _one(word: str) -> str:
    stem = re.escape(word.removesuffix("*"))
    stem = stem if word.removesuffix("*").isupper() else f"(?i:{stem})"
    return rf"(?<![\w-]){stem}" + (r"[\w-]*" if word.endswith("*") else r"(?![\w-])")
