"""What `hlss explain` reads: embedding tables with the runs they lie in, and the texts of each run's own tower."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32
from numpy import ndarray
from pydantic import Field

from hlss.config import Part, read_settings
from hlss.embedding_table import EmbeddingTable
from hlss.encoders.base import TextEncoder, aligned
from hlss.encoders.specs import TextSpec
from hlss.errors import UserError
from hlss.evaluate.clock import Clock
from hlss.experiment import Experiment
from hlss.jobs.chosen_table import is_run, settings_of, tables_of
from hlss.jobs.setup import Say, build_encoder
from hlss.language.bank import read_bank
from hlss.language.encode import LanguageSpec, Texts, encode
from hlss.language.markers import MarkerSet, refuse_shared, shuffled
from hlss.types import Level

Rows = list[Float32[ndarray, "_ d"]]  # of the markers of each class
ClassSentences = Mapping[str, list[list[str]]]
NO_CLAIM = "image and text tower were not trained together before this run: no characteristic is claimed to be seen"


class ExplainSpec(Part):
    """side: of the split, whose patches are explained.

    resamples: of patients, for intervals; permutations: of classes over patients. random_texts: draws of shuffled
    words. seed: of all three. top: characteristics shown for each class and level.
    """

    side: Literal["test", "val", "train", "all"] = "test"
    resamples: int = Field(default=1000, ge=100)
    permutations: int = Field(default=1000, ge=100)
    random_texts: int = Field(default=20, ge=20)
    top: int = Field(default=3, ge=1)
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True, eq=False)
class Source:
    """A table (of one side), the settings of its run, the text tower its words go through, what must be said of it.

    aligned: whether image and text tower were trained together before this run (SPEC §3).
    """

    name: str
    table: EmbeddingTable
    experiment: Experiment
    text: TextSpec
    aligned: bool
    notices: tuple[str, ...]

    @property
    def title(self) -> str:
        """The name as it stands over a picture, which may be seen without the notices."""
        return self.name if self.aligned else f"{self.name} (towers not trained together: no claim)"

    @property
    def no_claim(self) -> tuple[str, ...]:
        """What must be said first where the towers are not aligned; empty where they are."""
        return () if self.aligned else (NO_CLAIM,)

    @property
    def run_facts(self) -> dict[str, Any]:
        """What the run was, and in which words, if any, it was trained."""
        language = self.experiment.language
        trained = None if language is None else read_bank(language.bank)
        return {
            "experiment": self.experiment.name,
            "config_hash": self.experiment.hash,
            "objective": self.experiment.objective.name,
            "text": self.text.model_dump()["name"],
            "trained_with": None if trained is None else {"name": trained.title, "fingerprint": trained.fingerprint},
        }


def sources_of(paths: Sequence[Path], side: str) -> list[Source]:
    """Every table named, and of every run named all its tables. Raises UserError."""
    folders = list(dict.fromkeys(folder for path in paths for folder in tables_of(Path(path))))
    tables = [_of_side(EmbeddingTable.read(folder), side, folder) for folder in folders]
    around = [run for folder in folders if is_run(run := folder.resolve().parent.parent)]
    both = list(zip(folders, tables, strict=True))
    settings = {folder: settings_of(folder, table.provenance, around) for folder, table in both}
    towers = {path: _towers(path) for path in dict.fromkeys(settings.values())}
    names = _names([table.provenance for table in tables])
    return [Source(name, table, *towers[settings[folder]]) for name, (folder, table) in zip(names, both, strict=True)]


def refuse_trained_markers(source: Source, markers: MarkerSet) -> None:
    """Raise UserError where the bank that a run was trained with shares a sentence with the markers."""
    if source.experiment.language is not None:
        refuse_shared(markers, read_bank(source.experiment.language.bank))


class Words:
    """Texts by the tower of each source; each tower is built, and reads each text, once."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._towers: dict[str, TextEncoder] = {}
        self._kept: dict[tuple[object, ...], tuple[Rows, list[Rows]]] = {}
        self._banks: dict[tuple[str, str], Texts] = {}

    def markers(self, source: Source, sentences: ClassSentences, draws: int, seed: int) -> tuple[Rows, list[Rows]]:
        """Marker rows of each class, and the same of each draw of shuffled words."""
        cache = source.experiment.cache / "texts"
        key = (source.text.model_dump_json(), str(sentences), draws, seed)
        if key not in self._kept:
            tower = self.tower(source)
            clock = Clock(draws, self._say, "random text", "draws")
            random = []
            for draw in range(draws):
                random.append(_rows(shuffled(sentences, seed, draw), tower, cache))
                clock.passed()
            self._kept[key] = (_rows(sentences, tower, cache), random)
        return self._kept[key]

    def tower(self, source: Source) -> TextEncoder:
        """The text tower of a source."""
        spec = source.text.model_dump_json()
        if spec not in self._towers:
            self._towers[spec] = source.text.build()
        return self._towers[spec]

    def bank(self, source: Source, bank: str) -> Texts:
        """The text matrices of a bank, each level its own characteristics."""
        key = (source.text.model_dump_json(), bank)
        if key not in self._banks:
            spec = LanguageSpec(bank=bank, text=source.text)
            self._banks[key] = spec.encoded(None, source.experiment.cache / "texts")
        return self._banks[key]


def refuse_other_width(source: Source, width: int) -> None:
    """Raise UserError where texts have other dimensions than the features."""
    if source.table.features.shape[1] != width:
        raise UserError(
            f"features have {source.table.features.shape[1]} dimensions, texts of the run's text tower {width}",
            where=source.name,
            fix="Embed with an encoder whose dimension is that of its text tower.",
        )


def _rows(sentences: ClassSentences, tower: TextEncoder, cache: Path) -> Rows:
    groups = {Level.PATCH: [texts for markers in sentences.values() for texts in markers]}
    rows = encode(groups, tower, cache)[Level.PATCH].numpy()
    ends = np.cumsum([len(markers) for markers in sentences.values()])
    return [*np.split(rows, ends[:-1])]


def _of_side(table: EmbeddingTable, side: str, folder: Path) -> EmbeddingTable:
    kept = table if side == "all" else table.where(np.asarray(table["side"] == side))
    if not len(kept):
        raise UserError(f"no patch is on the {side} side", where=folder, fix="Choose another with --side, or all.")
    if not np.isfinite(kept.features).all():
        raise UserError("features are not finite", where=folder, fix="Embed again with a sound checkpoint.")
    return kept


def _towers(settings: Path) -> tuple[Experiment, TextSpec, bool, tuple[str, ...]]:
    """Settings, text tower, whether the towers are aligned, and notices. The image tower's own text tower is taken
    where it has one, whatever text the run was trained with, or none: so that runs stand beside each other.
    """
    experiment = read_settings(settings, Experiment)
    language = experiment.language
    spec: TextSpec | None = experiment.encoder.text() or (None if language is None else language.text)
    if spec is None:
        raise UserError("this run has no text tower", where=settings, fix="Leave it out.")
    together = aligned(build_encoder(experiment, lambda line: None).family, spec.build().family)
    return experiment, spec, together, spec.notices


def _names(facts: Sequence[Mapping[str, object]]) -> list[str]:
    """Methods, told apart by seed, fold and number where that is needed."""
    tellers: list[Callable[[int], str]] = [
        lambda i: str(facts[i].get("method", "features")),
        lambda i: f", seed {facts[i].get('seed')}",
        lambda i: f", fold {facts[i].get('fold')}",
        lambda i: f", {i + 1}",
    ]
    names = [""] * len(facts)
    for tell in tellers:
        names = [name + tell(i) if names.count(name) > 1 or not name else name for i, name in enumerate(names)]
    return names
