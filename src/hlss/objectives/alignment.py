"""Hierarchical alignment (HA, Eq. 6): each view's best matching text of a level, and the KL divergence to it."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812 — torch's own name for it
from jaxtyping import Float, Int
from torch import Tensor, nn

Direction = Literal["z_to_text", "symmetric"]


@dataclass(frozen=True)
class Softmax:
    """σ of each row, over its d entries, and its logarithm; made once where many comparisons need it."""

    log: Float[Tensor, "n d"]
    value: Float[Tensor, "n d"]

    @classmethod
    def of(cls, rows: Float[Tensor, "n d"], tau_a: float | None) -> "Softmax":
        """Of unit rows. tau_a: temperature in units of 1/√d, the root mean square entry of a unit vector, so that one
        value suits every d: σ(√d·z/τ_a). None: no temperature, σ(z), which is almost flat (KL ≈ ‖z − t'‖²/2d).
        """
        scale = 1.0 if tau_a is None else math.sqrt(rows.shape[1]) / tau_a
        with torch.autocast(rows.device.type, enabled=False):
            log = F.log_softmax(rows * scale, dim=1)
            return cls(log, log.exp())

    def __getitem__(self, rows: Int[Tensor, " m"]) -> "Softmax":
        """Those of these rows."""
        return Softmax(self.log[rows], self.value[rows])


def divergence(z: Softmax, chosen: Softmax, direction: Direction) -> Float[Tensor, " m"]:
    """L_KL of Eq. 6 for each view: between σ(z) and σ(t').

    z_to_text: KL(σ(z)‖σ(t')); symmetric: ½[KL(σ(t')‖σ(z)) + KL(σ(z)‖σ(t'))].
    """
    if direction == "symmetric":
        return 0.5 * ((z.value - chosen.value) * (z.log - chosen.log)).sum(dim=1)
    return _kl(z.log, chosen.log)


def _kl(log_p: Float[Tensor, "m d"], log_q: Float[Tensor, "m d"]) -> Float[Tensor, " m"]:
    """KL(p‖q) as Σ q (r log r − r + 1), r = p/q. Σ p log r is the same number, but for flat p and q it is a small
    difference of large sums: in float32 at d = 1024 without temperature it is off by up to 1e-3 of its value.
    """
    log_r = log_p - log_q
    return (log_q.exp() * (log_r.exp() * log_r - torch.expm1(log_r))).sum(dim=1)


@dataclass(frozen=True)
class Alignment:
    """How HA is counted. summed: over the batch, instead of meaned over its views; gradient: whether it trains."""

    direction: Direction
    tau_a: float | None
    weight: float
    summed: bool = False
    gradient: bool = True

    def softmax(self, rows: Float[Tensor, "n d"]) -> Softmax:
        """What `term` compares, of unit rows: views or texts."""
        return Softmax.of(rows, self.tau_a)

    def term(self, z: Softmax, chosen: Softmax, share: float) -> Float[Tensor, ""]:
        """One level's part of Eq. 6 over this rank's views and the text t' of each; share: number of ranks, of which
        it is one.
        """
        with torch.autocast(z.log.device.type, enabled=False):
            divergences = divergence(z, chosen, self.direction)
        term = self.weight * (divergences.sum() * share if self.summed else divergences.mean())
        return term if self.gradient else term.detach()


class BankUse(nn.Module):
    """How many of a level's K texts its views choose, over a window of about `window` steps (SPEC §3).

    `counts` forgets at the rate 1/window, so that it is all the state there is: a resumed run logs the same numbers.
    """

    counts: Tensor

    def __init__(self, n_texts: int, window: int) -> None:
        super().__init__()
        self.keep = 1 - 1 / window
        self.register_buffer("counts", torch.zeros(n_texts))

    def add(self, choices: Int[Tensor, " m"]) -> None:
        """Count one step's choices."""
        self.counts.mul_(self.keep).add_(torch.bincount(choices, minlength=len(self.counts)))

    @property
    def perplexity(self) -> float:
        """exp of the entropy of use: K where all texts are used alike, 1 where all choose one; NaN before any."""
        return float(torch.special.entr(self.counts / self.counts.sum()).sum().exp())
