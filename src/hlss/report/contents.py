"""What a report is made of: plain data, gathered elsewhere, drawn here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hlss.report.facts import Facts

OWN = "report"  # source of the figures that were computed for the report and stand inside it


@dataclass(frozen=True)
class SourceFile:
    """A file that figures come from. name: in their addresses; made_by: the command, where it is known."""

    name: str
    path: str
    digest: str
    made_by: str | None


@dataclass(frozen=True)
class RunPart:
    """A run: its settings (config), how it was made (provenance), its lines of log. tables: names, the main one, of
    which map, errors and words are, first; empty where nothing was embedded.
    """

    name: str
    folder: str
    config: Facts
    provenance: Facts | None
    log: Facts | None
    tables: tuple[str, ...] = ()


@dataclass(frozen=True)
class Example:
    """Tiles of a class, side by side in one JPEG; several: how many."""

    name: str
    jpeg: bytes
    several: int


@dataclass(frozen=True)
class CohortPart:
    """facts: counts by class, side and site. runs: that share this cohort."""

    runs: tuple[str, ...]
    facts: Facts
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Sprites:
    """Small square tiles of side px in one JPEG, `across` in a row; tile i is point i."""

    jpeg: bytes
    px: int
    across: int


@dataclass(frozen=True)
class MapPart:
    """A map of patches. xy: of each, 0..1; columns: class, site, patient, slide of each; facts: how they cluster.

    shared: which map's sprites these are, so that the same patches of several runs are stored once.
    """

    name: str
    xy: Sequence[tuple[float, float]]
    columns: Mapping[str, Sequence[str]]
    facts: Facts
    sprites: Sprites | None
    shared: int


@dataclass(frozen=True)
class ErrorPart:
    """facts: the protocol, and of each error what was said of it; pictures: of each, its tile and its neighbours'."""

    name: str
    facts: Facts
    pictures: Sequence[Sequence[bytes | None]]


@dataclass(frozen=True)
class Panel:
    """A picture with its title. kind: image/jpeg or image/png."""

    title: str
    data: bytes
    alt: str
    kind: str


@dataclass(frozen=True)
class MapShown:
    """A map of a characteristic over a slide. facts: of it, as in maps.json, its faithfulness among them; panels: the
    slide, the map, the true one, of those that can be had; scale: its colours from −sigma to sigma; width_um: of the
    slide.
    """

    facts: Facts
    panels: Sequence[Panel]
    scale: Panel
    width_um: int | None
    sigma: float


@dataclass(frozen=True)
class UnitShown:
    """A patch, slide or patient explained. label: its class; facts: of it, as in units.json; pictures: of each of the
    characteristics that are shown, its evidence: JPEG and what it is.
    """

    label: str
    facts: Facts
    pictures: Sequence[Sequence[tuple[bytes, str]]]


@dataclass(frozen=True)
class WordsPart:
    """profile: by level, what marks each class (as of hlss.explain.profile); use: by level, how often each
    characteristic is a patch's best; None where it could not be had. notices: what must be said beside them.
    maps_how, units_how: which are shown and why those; or why there are none.
    """

    name: str
    profile: Facts | None
    use: Facts | None
    notices: tuple[str, ...] = ()
    maps: Sequence[MapShown] = ()
    maps_how: str = ""
    units: Sequence[UnitShown] = ()
    units_how: str = ""


@dataclass(frozen=True)
class Report:
    """All of it. made: of the report itself (command, code_version, hardware, time). lacking: by section id, why there
    is nothing in it. how: in a sentence, where the evaluation comes from.
    agreement: by method, with what was drawn.
    """

    title: str
    made: Mapping[str, str]
    notices: Sequence[str]
    runs: Sequence[RunPart]
    cohorts: Sequence[CohortPart]
    evaluation: Facts | None
    how: str
    maps: Sequence[MapPart]
    errors: Sequence[ErrorPart]
    words: Sequence[WordsPart]
    agreement: Mapping[str, Facts]
    sources: Sequence[SourceFile]
    figures: Facts
    lacking: Mapping[str, str] = field(default_factory=dict)
