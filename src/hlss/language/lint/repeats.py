"""What stands twice in a bank, in nearly the same words, within a level or across levels."""

from collections import Counter, defaultdict

from hlss.language.bank import DescriptionBank, Place
from hlss.language.lint.findings import Finding, Findings, Severity
from hlss.language.wording import content_words, overlap


def by_repeats(bank: DescriptionBank) -> Findings:
    """Rules near_copy, of two sentences, and same_name, of two names of the same words in any order and number.
    Exact repeats are refused when a bank is read. Time grows with the pairs that share a word.
    """
    texts = [(place, text, content_words(text)) for place, text in bank.places()]
    yield from _near_copies([one for one in texts if one[0].number is not None])
    first: dict[frozenset[str], Place] = {}
    for place, text, words in texts:
        if place.number is None and words:
            other = first.setdefault(words, place)
            if other is not place:
                yield Finding("same_name", Severity.ERROR, place, text, f"the same words as {other}")


def _near_copies(sentences: list[tuple[Place, str, frozenset[str]]]) -> Findings:
    holders: defaultdict[str, list[int]] = defaultdict(list)
    for number, (place, text, words) in enumerate(sentences):
        shared = Counter(other for word in words for other in holders[word])
        for other, count in sorted(shared.items()):
            there, its_text, its_words = sentences[other]
            if count > 1 and overlap(words, its_words).near_copy:
                yield Finding("near_copy", Severity.ERROR, place, text, f"nearly {its_text!r} of {there}")
        for word in words:
            holders[word].append(number)
