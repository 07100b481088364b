"""What a draft will cost, before it does."""

from typing import NamedTuple

from hlss.errors import UserError

BATCH, ROUND = 16, 32  # candidates a request of pruning, and of proposing
SLACK = 1.25  # proposals for each that is kept


class Estimate(NamedTuple):
    """Of a whole draft; a rough one."""

    requests: int
    tokens: int

    def __str__(self) -> str:
        return f"about {self.requests} requests and {self.tokens} tokens"


def estimate(per_level: int) -> Estimate:
    """For three levels of `per_level` characteristics, with what is proposed in excess and asked again."""
    proposed = int(3 * per_level * SLACK) + 3
    rounds, batches = -(-proposed // ROUND) + 2, -(-proposed // BATCH) + 2
    each = 2 * proposed
    tokens = rounds * (900 + ROUND * 60 + per_level * 6) + batches * (1000 + BATCH * 80 + per_level * 18) + each * 650
    return Estimate(rounds + batches + each, int(tokens))


def agree(found: Estimate, budget: int | None, yes: bool) -> None:
    """Raises UserError where nobody agreed to what it will cost."""
    if yes or (budget is not None and found.tokens <= budget):
        return
    over = "" if budget is None else f", over --budget-tokens {budget}"
    fix = "Agree with --yes, or raise --budget-tokens, or lower --per-level."
    raise UserError(f"this will take {found}{over}", where="hlss bank draft", fix=fix)
