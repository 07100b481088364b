"""How far two reviewers agree."""

from collections import Counter
from typing import NamedTuple

from hlss.language.review.state import State


class Agreement(NamedTuple):
    """Of two reviewers, over the characteristics both judged. kappa: Cohen's; None where chance explains all."""

    both: int
    same: int
    kappa: float | None


def agreement(state: State, first: str, second: str) -> Agreement:
    """Their last verdicts (approved, edited, rejected), also about texts that were changed since."""
    items = [item.verdicts for item in state.items.values()]
    pairs = [(one[first][0], one[second][0]) for one in items if first in one and second in one]
    n, same = len(pairs), sum(a == b for a, b in pairs)
    ones, others = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    expected = sum(ones[verdict] * others[verdict] for verdict in ones)
    kappa = None if expected == n * n else (n * same - expected) / (n * n - expected)
    return Agreement(n, same, kappa)
