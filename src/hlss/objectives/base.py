"""An objective in two halves; the only communication, one gather, stands between them in train/loop.py."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jaxtyping import Float, Int
from torch import Tensor, nn

from hlss.config import Part
from hlss.types import Level


@dataclass(frozen=True)
class Given:
    """What an objective is built from.

    encoder: the image tower (BYOL copies it); dim: length of its features.
    texts:   by level, the unit text rows t_l, (K, dim); None where the experiment has no language.
    classes: number of classes of the cohort, 0 where it has no labels.
    aligned: whether image and text tower were trained together.
    seed:    for heads drawn at random.
    """

    encoder: nn.Module
    dim: int
    texts: Mapping[Level, Float[Tensor, "k d"]] | None = None
    classes: int = 0
    aligned: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Projected:
    """What the local half gives: `shared` is gathered over ranks, `own` stays (it needs only its own rows)."""

    shared: Mapping[str, Float[Tensor, "m _"]] = field(default_factory=dict)
    own: Mapping[str, Float[Tensor, "m _"]] = field(default_factory=dict)


@dataclass(frozen=True)
class Gathered:
    """What the global half is given: every rank's `shared` rows in rank order, this rank's `own` rows, identities.

    ids, labels: of all M = W·m views; rows: the slice of them that is this rank's own.
    """

    shared: Mapping[str, Float[Tensor, "M k"]]
    own: Mapping[str, Float[Tensor, "m _"]]
    ids: Mapping[Level, Int[Tensor, " M"]]
    labels: Int[Tensor, " M"] | None
    rows: slice

    @property
    def share(self) -> float:
        """W = M / m: the factor that turns a mean over own anchors into this rank's part of the global mean."""
        total = next(iter(self.ids.values())).numel()
        return total / (self.rows.stop - self.rows.start)


class Objective(nn.Module):
    """A method. Its modules and parameters are its heads; the encoder is not one of its children.

    The one rule of distribution: the mean over ranks of each term equals the term of one process with the whole
    batch. With features gathered by an all-gather whose backward sums, and gradients averaged by DDP, gradients are
    then exact.
    """

    needs_text = False
    notices: tuple[str, ...] = ()  # what the program must say when it starts

    def project(self, z: Float[Tensor, "m d"]) -> Projected:
        """Local half: owns every parameter, never communicates. z is the encoder's output, fp32, not normalised."""
        raise NotImplementedError

    def targets(self, encode: Callable[[nn.Module], Float[Tensor, "m d"]]) -> dict[str, Float[Tensor, "m _"]]:
        """What a copy of the tower makes of the same views (BYOL's target), for `Gathered.own`; without gradient.

        encode: runs a copy as the network runs its own tower, in the same mode. Nothing elsewhere.
        """
        return {}

    def loss(self, gathered: Gathered) -> dict[str, Tensor]:
        """Global half: parameter-free, fp32; named scalar terms; their sum is the total."""
        raise NotImplementedError

    def measures(self, z: Float[Tensor, "m d"]) -> dict[str, float]:
        """What to log beside the terms (bank use, say); without gradient."""
        return {}

    def after_step(self, encoder: nn.Module, progress: float) -> None:
        """BYOL's moving average and its schedule; nothing elsewhere. progress: 0 at the start, 1 at the end."""


class ObjectiveSpec(Part):
    """Settings of an objective; `build` makes it."""

    @property
    def needs_text(self) -> bool:
        """Whether it must be given texts."""
        return False

    def build(self, given: Given) -> Objective:
        raise NotImplementedError
