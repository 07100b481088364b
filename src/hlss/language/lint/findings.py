"""What the linter found, and where."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hlss.language.bank import Place


class Severity(StrEnum):
    """error: the bank must not be used so; warning: an expert should look."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """rule: its name, as in `words.yaml`; reason: what is wrong with the text at that place, in one line."""

    rule: str
    severity: Severity
    place: Place
    text: str
    reason: str

    def __str__(self) -> str:
        return f"{self.severity} {self.rule}: {self.place}: {self.text!r}: {self.reason}"

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        where = {"level": self.place.level, "name": self.place.name, "description": self.place.number}
        return {"rule": self.rule, "severity": self.severity, **where, "text": self.text, "reason": self.reason}


@dataclass(frozen=True)
class Report:
    """Of one bank."""

    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        return sum(one.severity is Severity.ERROR for one in self.findings)

    def counts(self) -> Counter[str]:
        """Findings by rule."""
        return Counter(one.rule for one in self.findings)


Findings = Iterator[Finding]
