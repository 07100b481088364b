"""HLSS (Watawana et al., MICCAI 2024): Eq. 7, L_HLSS = L_HVC + L_HA, in four named modes and with every ablation."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812 — torch's own name for it
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor, nn

from hlss.errors import UserError
from hlss.objectives.alignment import Alignment, BankUse, Direction, Softmax
from hlss.objectives.base import Gathered, Given, Objective, ObjectiveSpec, Projected
from hlss.objectives.contrast import Tau, contrast
from hlss.objectives.heads import Rows, UnitLinear, random_layer, text_layer
from hlss.objectives.selection import Selection, choose, selected
from hlss.registry import OBJECTIVES
from hlss.types import LEVELS, Level

Mode = Literal["fixed", "plus", "paper", "released"]
TAU: dict[Mode, float] = {"fixed": 0.2, "plus": 0.2, "paper": 0.7, "released": 0.07}  # 0016; SPEC §3, §5
OURS = ("fixed", "plus")  # modes whose alignment has settings
SHARED = "shared"  # the projection of all levels without text
ALL_Z = "all_z"  # features of the whole batch, for selections that look at it
TAU_A, LAMBDA_HA = 1.0, 0.1  # of our modes, from a sweep (0016)


@OBJECTIVES.register("hlss")
class Hlss(ObjectiveSpec):
    """Settings of HLSS and its ablations (SPEC §3, §4).

    mode:        fixed: HA symmetric, with a temperature and a weight. plus: the same, and projections that start from
                 orthogonal text rows (0016; ours). paper: HA = KL(σ(z)‖σ(t')), no temperature, meaned over views.
                 released: HA symmetric, no temperature, summed over the batch, without gradient.
    tau:         temperature of HVC; None: the mode's own (0.2, 0.2, 0.7, 0.07).
    tau_a, lambda_ha: softmax temperature (in units of 1/√d) and weight of HA; of modes fixed and plus alone.
    direction:   of HA's divergence (`alignment.divergence`); of modes fixed and plus alone.
    selection:   how HA chooses a view's text (`selection.selected`); of modes fixed and plus, the others choose hard.
    alignment:   False leaves HA out (HVC only).
    text_levels: levels that have text; the others share one randomly drawn projection.
    init:        what the projections of levels with text start from: the text rows (the paper), these less their mean,
                 these made orthogonal, or completed with what no text names (`heads.text_layer`), or random numbers.
    frozen_projections: keep all projections as they start.
    width:       length of a projection that no text decides.
    window:      steps over which the use of the bank is measured.
    """

    name: Literal["hlss"] = "hlss"
    mode: Mode = "fixed"
    tau: Tau | None = None
    tau_a: float | None = Field(default=None, gt=0)
    lambda_ha: float | None = Field(default=None, gt=0)
    direction: Direction = "symmetric"
    selection: Selection = "hard"
    alignment: bool = True
    text_levels: tuple[Level, ...] = LEVELS
    init: Rows | Literal["random"] = "text"
    frozen_projections: bool = False
    width: int = Field(default=128, ge=2)
    window: int = Field(default=100, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _start_of_plus(cls, settings: Any) -> Any:
        if isinstance(settings, dict) and settings.get("mode") == "plus":
            return {"init": "orthogonal", **settings}
        return settings

    @model_validator(mode="after")
    def _consistent(self) -> "Hlss":
        if self.mode == "plus" and self.init != "orthogonal":
            raise ValueError(f"mode plus starts its projections orthogonal; `init: {self.init}` belongs to mode fixed")
        own = sorted({"tau_a", "lambda_ha", "direction", "selection"} & self.model_fields_set)
        changed = [name for name in own if getattr(self, name) != type(self).model_fields[name].default]
        if self.mode not in OURS and changed:
            raise ValueError(f"`{changed[0]}` belongs to modes {' and '.join(OURS)}; mode {self.mode} has its own")
        if len(set(self.text_levels)) < len(self.text_levels):
            raise ValueError("a level stands twice in `text_levels`")
        return self

    @property
    def needs_text(self) -> bool:
        """Whether some level's projection or its alignment is made from text."""
        return bool(self.text_levels) and (self.alignment or self.init != "random")

    @property
    def ha(self) -> Alignment:
        """How the mode counts HA."""
        if self.mode == "paper":
            return Alignment("z_to_text", tau_a=None, weight=1.0)
        if self.mode == "released":
            return Alignment("symmetric", tau_a=None, weight=1.0, summed=True, gradient=False)
        return Alignment(self.direction, tau_a=self.tau_a or TAU_A, weight=self.lambda_ha or LAMBDA_HA)

    def build(self, given: Given) -> "HlssObjective":
        """Raises UserError where text is needed and missing, or of another dimension than the features."""
        return HlssObjective(self, given)


class HlssObjective(Objective):
    """PPM's projections (one a level that has text, one for all others) and the texts that views are aligned with."""

    def __init__(self, spec: Hlss, given: Given) -> None:
        super().__init__()
        self.needs_text = spec.needs_text
        self.tau, self.ha, self.selection = spec.tau or TAU[spec.mode], spec.ha, spec.selection
        texts = _texts(spec, given) if spec.needs_text else {}
        self.layers = nn.ModuleDict(_layers(spec, given, texts))
        self.layers.requires_grad_(not spec.frozen_projections)
        self.aligned_levels = tuple(texts) if spec.alignment else ()
        self.bank_use = nn.ModuleDict({level: BankUse(len(texts[level]), spec.window) for level in self.aligned_levels})
        for level in self.aligned_levels:  # not saved: derived from the bank
            self.register_buffer(f"text_{level}", texts[level].detach().clone(), persistent=False)
        self._last: tuple[Tensor, dict[Level, Tensor]] | None = None  # unit z of the last loss, and its nearest texts
        self.notices = tuple(_notices(spec, given))

    def project(self, z: Float[Tensor, "m d"]) -> Projected:
        unit_z = F.normalize(z, dim=1)
        shared = {name: layer(unit_z) for name, layer in self.layers.items()}
        if not self.aligned_levels:
            return Projected(shared)
        if self.selection != "hard":  # the other ways look at the whole batch
            shared[ALL_Z] = unit_z.detach()
        return Projected(shared, own={"unit_z": unit_z})

    def loss(self, gathered: Gathered) -> dict[str, Tensor]:
        """Eq. 7: `hvc/…` by level (Eq. 5), then `ha/…` by level with text (Eq. 6)."""
        own = {level: gathered.ids[level] for level in LEVELS if level in gathered.shared}
        rest = {level: gathered.ids[level] for level in LEVELS if level not in gathered.shared}
        by_level = {level: gathered.shared[level] for level in own}
        hvc = contrast(by_level, own, self.tau, gathered.rows) if own else {}
        hvc |= contrast(gathered.shared[SHARED], rest, self.tau, gathered.rows) if rest else {}
        terms = {f"hvc/{level}": hvc[level] for level in LEVELS}
        return terms | (self._alignment(gathered) if self.aligned_levels else {})

    def _alignment(self, gathered: Gathered) -> dict[str, Tensor]:
        unit_z = gathered.own["unit_z"]
        views, chosen = self.ha.softmax(unit_z), self._chosen(gathered, unit_z.detach())
        return {f"ha/{level}": self.ha.term(views, chosen[level], gathered.share) for level in self.aligned_levels}

    def _chosen(self, gathered: Gathered, unit_z: Float[Tensor, "m d"]) -> dict[Level, Softmax]:
        """Of the text that each own view is aligned with, by level."""
        texts = {level: self._text(level) for level in self.aligned_levels}
        if ALL_Z not in gathered.shared:
            nearest = self._nearest(unit_z)
            self._last = unit_z, nearest  # `measures` asks for the same, later
            return {level: self.ha.softmax(rows)[nearest[level]] for level, rows in texts.items()}
        every, own = gathered.shared[ALL_Z], gathered.rows
        return {level: self.ha.softmax(selected(every, rows, self.selection, own)) for level, rows in texts.items()}

    def _nearest(self, unit_z: Float[Tensor, "m d"]) -> dict[Level, Int[Tensor, " m"]]:
        """Number of each view's nearest text, by level."""
        return {level: choose(unit_z, self._text(level)) for level in self.aligned_levels}

    @torch.no_grad()
    def measures(self, z: Float[Tensor, "m d"]) -> dict[str, float]:
        """Count which texts this rank's views choose; how many are in use, as a perplexity, by level."""
        unit_z, found = F.normalize(z, dim=1), {}
        same = self._last is not None and torch.equal(self._last[0], unit_z)
        nearest = self._last[1] if self._last is not None and same else self._nearest(unit_z)
        for level, choices in nearest.items():
            use = self.bank_use[level]
            assert isinstance(use, BankUse)
            use.add(choices)
            found[f"bank_use/{level}"] = use.perplexity
        return found

    def _text(self, level: Level) -> Tensor:
        return self.get_buffer(f"text_{level}")


def _texts(spec: Hlss, given: Given) -> Mapping[Level, Tensor]:
    """Text rows of the levels that have text, in the order of levels."""
    texts = {level: (given.texts or {}).get(level) for level in LEVELS if level in spec.text_levels}
    found = {level: text for level, text in texts.items() if text is not None}
    if len(found) < len(texts):
        lacking = ", ".join(level for level in texts if level not in found)
        raise UserError(
            f"no text for level {lacking}",
            where="objective.text_levels",
            fix="Give the experiment a bank with that level, or leave the level out of objective.text_levels.",
        )
    for level, text in found.items():
        if text.shape[1] != given.dim:
            raise UserError(
                f"text of level {level} has {text.shape[1]} dimensions, image features have {given.dim}",
                where="objective.text_levels",
                fix="Choose towers of one dimension, or let the encoder project to that of the text.",
            )
    return found


def _layers(spec: Hlss, given: Given, texts: Mapping[Level, Tensor]) -> dict[str, UnitLinear]:
    layers: dict[str, UnitLinear] = {}
    for number, level in enumerate(LEVELS, start=1):
        if level not in spec.text_levels:
            layers[SHARED] = random_layer(given.dim, spec.width, given.seed)
        elif spec.init != "random":
            layers[level] = text_layer(texts[level], spec.init)
        else:
            width = len(texts[level]) if level in texts else spec.width
            layers[level] = random_layer(given.dim, width, given.seed + number)
    return layers


def _notices(spec: Hlss, given: Given) -> Iterator[str]:
    if spec.mode == "released" and spec.alignment and spec.text_levels:
        yield "mode released: the alignment loss HA is a constant without gradient; it is shown and trains nothing"
    if spec.needs_text and not given.aligned:
        yield (
            "image and text towers were not trained together: no characteristic is claimed to be seen, and a result "
            "wants the same run beside it with random and with permuted text"
        )
        if spec.alignment:
            yield "HA lost accuracy with such towers (docs/decisions/0016): objective.alignment=false leaves it out"
