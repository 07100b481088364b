"""How a description is written: length, characters, one sentence."""

import re

from hlss.language.bank import DescriptionBank
from hlss.language.lint.findings import Finding, Findings, Severity

FEWEST_WORDS, MOST_WORDS, MOST_IN_NAME = 4, 24, 6
_ODD = re.compile(r"[^\w\s,;:'’()/+&%µ.²³×–-]|[{}\[\]<>]|https?:|_")
_SENTENCES = re.compile(r"[.!?;]\s+\S|\n")


def by_form(bank: DescriptionBank) -> Findings:
    """Rules characters (error), and length and sentences (warnings)."""
    for place, text in bank.places():
        odd = _ODD.search(text)
        if odd is not None or not text.isprintable():
            what = "a control character" if odd is None else repr(odd.group())
            yield Finding("characters", Severity.ERROR, place, text, f"{what} is no part of a plain sentence")
        n = len(text.split())
        if place.number is None:
            if n > MOST_IN_NAME:
                yield Finding(
                    "length", Severity.WARNING, place, text, f"a name of {n} words, of {MOST_IN_NAME} at most"
                )
            continue
        if not FEWEST_WORDS <= n <= MOST_WORDS:
            reason = f"{n} words, of {FEWEST_WORDS} to {MOST_WORDS} that are read well"
            yield Finding("length", Severity.WARNING, place, text, reason)
        if _SENTENCES.search(text):
            yield Finding("sentences", Severity.WARNING, place, text, "more than one sentence")
