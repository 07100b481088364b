"""What a draft will cost, before it does."""

from collections.abc import Callable
from math import ceil
from typing import NamedTuple

from hlss.errors import UserError
from hlss.types import LEVELS

BATCH, ROUND = 16, 32  # candidates a request of pruning, and of proposing
SLACK = 1.25  # proposals for each that is kept
REDONE = 1.15  # requests for each that a model which makes no mistake would need
MOST = 5  # times the estimate, after which a draft is given up


class Estimate(NamedTuple):
    """Of a whole draft; a rough one."""

    requests: int
    tokens: int

    def __str__(self) -> str:
        return f"about {self.requests} requests and {self.tokens} tokens"


def wanted(missing: int) -> int:
    """Proposals to ask for."""
    return ceil(missing * SLACK)


def estimate(per_level: int) -> Estimate:
    """For three levels of `per_level` characteristics, with what is proposed in excess and asked again."""
    proposed = wanted(per_level)
    rounds, batches, each = len(LEVELS) * ceil(proposed / ROUND), len(LEVELS) * ceil(proposed / BATCH), 6 * proposed
    listed = 6 * (len(LEVELS) * proposed) / 2  # tokens of the names a request lists as known, in the mean
    items = len(LEVELS) * proposed
    tokens = rounds * (600 + listed) + batches * (600 + 2 * listed) + items * (60 + 80) + each * 650
    return Estimate(ceil(REDONE * (rounds + batches + each)), ceil(REDONE * tokens))


def agree(found: Estimate, budget: int | None, yes: bool, confirm: Callable[[], bool]) -> None:
    """Raises UserError where nobody agreed to what it will cost. confirm: asks, where there is no budget to go by."""
    if yes or (found.tokens <= budget if budget is not None else confirm()):
        return
    over = "" if budget is None else f", over --budget-tokens {budget}"
    fix = "Agree with --yes, or raise --budget-tokens, or lower --per-level."
    raise UserError(f"this will take {found}{over}", where="hlss bank draft", fix=fix)
