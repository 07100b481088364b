"""All rules over a bank."""

from collections.abc import Callable

from hlss.encoders.base import TextEncoder
from hlss.language.bank import Characteristic, DescriptionBank
from hlss.language.lint.findings import Findings, Report, Severity
from hlss.language.lint.form import by_form
from hlss.language.lint.repeats import by_repeats
from hlss.language.lint.spelling import by_spelling
from hlss.language.lint.tower import by_tower
from hlss.language.lint.wordlists import by_words

Rule = Callable[[DescriptionBank], Findings]
_ALONE: tuple[Rule, ...] = (by_words, by_form, by_spelling)  # what they say of a text hangs on that text only
RULES: tuple[Rule, ...] = (*_ALONE, by_repeats)


def lint_alone(one: Characteristic) -> Findings:
    """What can be said against a characteristic without the rest of its bank: all rules but those of repeats."""
    bank = DescriptionBank(title="-", domain="-", provenance="-", generic=(one,))
    for rule in _ALONE:
        yield from rule(bank)


def lint_bank(bank: DescriptionBank, encoder: TextEncoder | None = None) -> Report:
    """Everything that can be said against a bank by machine, errors first, each in the order of the bank. encoder: the
    text tower that is to read it, for what only a tower can tell.
    """
    found = [finding for rule in RULES for finding in rule(bank)]
    if encoder is not None:
        found += by_tower(bank, encoder)
    order = {place: number for number, (place, _) in enumerate(bank.places())}
    return Report(tuple(sorted(found, key=lambda one: (one.severity is not Severity.ERROR, order[one.place]))))
