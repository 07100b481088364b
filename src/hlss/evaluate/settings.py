"""Settings of an evaluation, and the scorers they ask for."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, Protocol, runtime_checkable

from pydantic import Field, PositiveInt

from hlss.config import Part
from hlss.errors import UserError
from hlss.evaluate.knn import PAPER, SMALL
from hlss.evaluate.knn import Protocol as NearestProtocol
from hlss.evaluate.neighbours import Neighbours
from hlss.evaluate.probe import FewShot, Probe
from hlss.evaluate.scorer import Scorer
from hlss.evaluate.scores import Scoring
from hlss.evaluate.units import MeanProbe, Retrieval
from hlss.evaluate.zero_shot import ZeroShot

PROTOCOLS = {"paper": PAPER, "small": SMALL}
ProtocolName = Literal["paper", "small"]
Further = Literal["probe", "few-shot", "retrieval", "mean-probe"]


@runtime_checkable
class Bank(Protocol):
    """What of a fold says which scorers are possible: labelled patches, and patients of the smallest class."""

    @property
    def name(self) -> str: ...
    @property
    def bank_size(self) -> int: ...
    @property
    def fewest_patients(self) -> int: ...


class EvaluateSpec(Part):
    """How features are scored. max_patches_per_slide and seed also rule which patches are embedded.

    protocols: None takes each that the banks are large enough for, and says which is left out; those named here must
        be possible. Neither is chosen by its result (SPEC §6). k: other numbers of neighbours, by protocol.
    neighbours: further protocols knn-K, as `paper` but for k.
    also: further protocols: probe (linear, on patches), few-shot (the same on `shots` patients of each class, mean of
        `draws` draws), retrieval and mean-probe (of slides and patients by their mean embedding).
    by_site: leave one site out: each site in turn is asked, all others are the bank, whatever side.
    class_names: what classes of the cohort that queries are taken from are called in the bank; "" leaves one out.
    scoring: released repeats the released code's second softmax and its grouping by label.
    compare_scoring: score each protocol of patches the other way too, as a further protocol NAME-released.
    resamples: of patients, for intervals. seed: of these, of draws, and of the folds that choose a probe's C.
    """

    protocols: tuple[ProtocolName, ...] | None = Field(default=None, min_length=1)
    k: Mapping[ProtocolName, PositiveInt] = Field(default_factory=dict)
    neighbours: tuple[PositiveInt, ...] = ()
    also: tuple[Further, ...] = ()
    shots: tuple[PositiveInt, ...] = Field(default=(1, 2, 4, 8, 16), min_length=1)
    draws: PositiveInt = 5
    by_site: bool = False
    class_names: Mapping[str, str] = Field(default_factory=dict)
    scoring: Scoring = "mean"
    compare_scoring: bool = False
    resamples: int = Field(default=2000, ge=100)
    seed: int = Field(default=0, ge=0)
    max_patches_per_slide: int | None = Field(default=None, ge=1)

    @property
    def scorings(self) -> dict[str, Scoring]:
        """Ways to score slides and patients, by what they add to a protocol's name."""
        other: Scoring = "mean" if self.scoring == "released" else "released"
        return {"": self.scoring, **({f"-{other}": other} if self.compare_scoring else {})}

    def protocol(self, name: ProtocolName) -> NearestProtocol:
        """The protocol of this name, with its k as set here."""
        return replace(PROTOCOLS[name], k=self.k.get(name, PROTOCOLS[name].k))

    def scorers(self, folds: Sequence[Bank], prompts: bool) -> tuple[list[Scorer], list[str]]:
        """All that is asked for and possible on every fold, and what to say of the rest.

        Raises UserError where something asked for by name is not possible, or nothing is.
        """
        found: list[Scorer] = []
        protocols, notices = self._protocols(folds, prompts)
        if protocols:
            found.append(Neighbours(tuple(protocols)))
        for name in dict.fromkeys(self.also):
            if name == "probe":
                found.append(Probe(self.seed))
            elif name == "retrieval":
                found.append(Retrieval())
            elif name == "mean-probe":
                found.append(MeanProbe(self.seed))
            else:
                scorer, said = self._few_shot(folds)
                found.append(scorer)
                notices += said
        return [*found, *([ZeroShot()] if prompts else [])], notices

    def _protocols(self, folds: Sequence[Bank], prompts: bool) -> tuple[list[NearestProtocol], list[str]]:
        """Protocols of nearest neighbours whose k no bank is too small for, and what to say of the others."""
        smallest, where = min((fold.bank_size, fold.name) for fold in folds)
        usual = [self.protocol(name) for name in self.protocols or PROTOCOLS]  # type: ignore[arg-type]
        asked = [*usual, *(replace(PAPER, name=f"knn-{k}", k=k) for k in dict.fromkeys(self.neighbours))]
        possible = [protocol for protocol in asked if protocol.k <= smallest]
        too_large = [protocol for protocol in asked if protocol.k > smallest]
        if any(self.protocols is not None or protocol.name not in PROTOCOLS for protocol in too_large) or not (
            possible or self.also or prompts
        ):
            first = too_large[0]
            setting = f"k.{first.name}={smallest}" if first.name in PROTOCOLS else f"neighbours=[{smallest}]"
            raise UserError(
                f"k = {first.k} of protocol {first.name} is more than the {smallest} labelled patches of the bank",
                where=where,
                fix=f"Give it fewer, as in --set {setting}, or leave this protocol out.",
            )
        return possible, [
            f"protocol {protocol.name} is left out: its k = {protocol.k} is more than the {smallest} labelled patches "
            f"of the smallest bank ({where})"
            for protocol in too_large
        ]

    def _few_shot(self, folds: Sequence[Bank]) -> tuple[FewShot, list[str]]:
        """With the numbers of patients that every class of every bank has, and what to say of the others."""
        fewest, where = min((fold.fewest_patients, fold.name) for fold in folds)
        shots = sorted(set(self.shots))
        possible = tuple(number for number in shots if number <= fewest)
        too_many = [str(number) for number in shots if number > fewest]
        if not possible:
            raise UserError(
                f"few-shot wants {shots[0]} patients of each class, the smallest class has {fewest}",
                where=where,
                fix="Give it fewer, as in --set shots=[1].",
            )
        notice = (
            f"few-shot with {', '.join(too_many)} patients a class is left out: the smallest class of the smallest "
            f"bank has {fewest} ({where})"
        )
        return FewShot(possible, self.draws, self.seed), [notice] if too_many else []
