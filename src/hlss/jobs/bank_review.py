"""`hlss bank freeze` and `agreement`: what follows from the log of a review."""

from pathlib import Path

from hlss.language.bank import DescriptionBank, read_bank
from hlss.language.bank_files import write_bank
from hlss.language.review.agreement import Agreement, agreement
from hlss.language.review.freeze import Undecided, freeze
from hlss.language.review.log import ReviewLog
from hlss.language.review.state import State, fold


def reviewed(name: str, log: Path) -> tuple[DescriptionBank, State]:
    """The bank as drafted, and what its log makes of it. Raises UserError where the log is damaged or of another."""
    bank = read_bank(name)
    return bank, fold(bank, ReviewLog(log, bank.fingerprint).read())


def freeze_bank(name: str, log: Path, out: Path, undecided: Undecided) -> DescriptionBank:
    """Write the next version of a reviewed bank, and return it. Raises UserError as `freeze` does."""
    frozen = freeze(*reviewed(name, log), undecided)
    write_bank(out, frozen)
    return frozen


def agreement_of(name: str, log: Path, first: str, second: str) -> Agreement:
    """How far two reviewers of a bank agree."""
    _, state = reviewed(name, log)
    return agreement(state, first, second)
