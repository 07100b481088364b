"""Description banks: language as data. Levels → characteristics → four descriptions, each with its status."""

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, StringConstraints, model_validator

from hlss.config import Part, read_yaml, validate
from hlss.encoders.base import TextEncoder
from hlss.errors import UserError
from hlss.files import digest
from hlss.types import LEVELS, Level

DESCRIPTIONS = 4
GENERIC = "generic"
UNREVIEWED = "Unreviewed: no pathologist has verified these descriptions."  # in the provenance of a drafted bank

Text = Annotated[str, StringConstraints(strict=True, strip_whitespace=True, min_length=1)]
Status = Literal["unreviewed", "approved"]


class Characteristic(Part):
    """Something visible at one level. status, reviewer: whether an expert stands behind it, and who."""

    name: Text
    descriptions: tuple[Text, ...] = Field(min_length=DESCRIPTIONS, max_length=DESCRIPTIONS)
    status: Status = "unreviewed"
    reviewer: Text | None = None
    comment: Text | None = None


class Place(NamedTuple):
    """Where a text stands: level (None: the list for all of them), name of the characteristic, and which description
    (None: the name itself).
    """

    level: Level | None
    name: str
    number: int | None

    def __str__(self) -> str:
        what = "" if self.number is None else f", description {self.number + 1}"
        return f"{self.level or GENERIC} / {self.name}{what}"


class DescriptionBank(Part):
    """A bank for one kind of image: characteristics by level, or one list for all levels (generic, as in Table 5).
    provenance: who drafted it, how; status is derived from its characteristics. version, sign_off: of
    a bank that was reviewed, which number it has and who stands behind it.
    """

    title: Text
    domain: Text
    provenance: Text
    version: int = Field(default=1, ge=1)
    sign_off: Text | None = None
    patch: tuple[Characteristic, ...] = ()
    slide: tuple[Characteristic, ...] = ()
    patient: tuple[Characteristic, ...] = ()
    generic: tuple[Characteristic, ...] = ()

    @model_validator(mode="after")
    def _levels_or_one_list(self) -> "DescriptionBank":
        filled = [level for level in LEVELS if getattr(self, level)]
        if self.generic and filled:
            raise ValueError(f"{GENERIC} stands for all levels: leave out {', '.join(filled)}, or {GENERIC}")
        if not self.generic and len(filled) < len(LEVELS):
            lacking = [level for level in LEVELS if level not in filled]
            raise ValueError(" and ".join(f"`{level}`" for level in lacking) + " is missing: it needs a characteristic")
        return self

    def level(self, level: Level) -> tuple[Characteristic, ...]:
        """Characteristics of a level, in the order of the rows of its text matrix."""
        found: tuple[Characteristic, ...] = self.generic or getattr(self, level)
        return found

    def names(self, level: Level) -> list[str]:
        """Names of a level's characteristics, in the order of the rows of its text matrix."""
        return [characteristic.name for characteristic in self.level(level)]

    def texts(self, level: Level) -> list[list[str]]:
        """Descriptions of a level's characteristics, in that order."""
        return [list(characteristic.descriptions) for characteristic in self.level(level)]

    @property
    def counts(self) -> dict[Level, int]:
        """Characteristics by level."""
        return {level: len(self.level(level)) for level in LEVELS}

    @property
    def status(self) -> Status:
        """`approved` where every characteristic is."""
        return "approved" if all(one.status == "approved" for _, one in self.characteristics()) else "unreviewed"

    @property
    def fingerprint(self) -> str:
        """Short hash of names and descriptions and where they stand; not of provenance, status or comments."""
        return digest([[level, self.names(level), self.texts(level)] for level in LEVELS])

    def characteristics(self) -> Iterator[tuple[Level | None, Characteristic]]:
        """Each once, with its level (None: of the list for all levels)."""
        levels: tuple[Level | None, ...] = (None,) if self.generic else LEVELS
        for level in levels:
            for characteristic in self.generic if level is None else self.level(level):
                yield level, characteristic

    def places(self) -> Iterator[tuple[Place, str]]:
        """Every name and description with its place."""
        for level, characteristic in self.characteristics():
            yield Place(level, characteristic.name, None), characteristic.name
            for number, text in enumerate(characteristic.descriptions):
                yield Place(level, characteristic.name, number), text


def read_bank(name_or_path: str | Path) -> DescriptionBank:
    """A shipped bank by name (`general_he`), or any by the path of its YAML file.

    Raises UserError, naming file, level, characteristic and remedy, where it does not fit the schema, repeats a name
    or a sentence within or across levels, or has not four descriptions each.
    """
    path = _path(name_or_path)
    bank = validate(read_yaml(path, "the bank"), DescriptionBank, where=path)
    refuse_repeats(bank, path)
    return bank


def check_tokens(bank: DescriptionBank, encoder: TextEncoder) -> int:
    """How many tokens the longest description has. Raises UserError for the first of those that are longer than the
    text tower reads: never cut in silence.
    """
    counted = token_counts(bank, encoder)
    long = [(place, count) for place, _, count in counted if count > encoder.context]
    if long:
        place, count = long[0]
        raise UserError(
            f"{len(long)} descriptions are too long, the first has {count} tokens of at most {encoder.context}",
            where=f"bank {bank.title}: {place}",
            fix="Shorten them.",
        )
    return max(count for _, _, count in counted)


def refuse_repeats(bank: DescriptionBank, path: Path) -> None:
    """Raise UserError for the first name or sentence that stands twice, within or across levels."""
    seen: dict[tuple[bool, str], Place] = {}
    for place, text in bank.places():
        key = (place.number is None, normalised(text))
        if key in seen:
            kind = "name" if place.number is None else "sentence"
            raise UserError(f"{kind} {text!r} stands twice: {seen[key]} and {place}", where=path, fix="Reword one.")
        seen[key] = place


def token_counts(bank: DescriptionBank, encoder: TextEncoder) -> list[tuple[Place, str, int]]:
    """Every description with its place and how many tokens the text tower makes of it."""
    places = [(place, text) for place, text in bank.places() if place.number is not None]
    counts = encoder.token_counts([text for _, text in places])
    return [(place, text, count) for (place, text), count in zip(places, counts, strict=True)]


def shipped_banks() -> list[str]:
    """Names of the banks inside the package."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _folder().iterdir() if entry.name.endswith(".yaml"))


def normalised(text: str) -> str:
    """Lower case, letters and digits only: what makes two texts the same."""
    return re.sub(r"[\W_]+", " ", text.casefold()).strip()


def _folder() -> Path:
    return Path(str(files("hlss.language"))) / "banks"


def _path(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        return path
    if str(name_or_path) in shipped_banks():
        return _folder() / f"{name_or_path}.yaml"
    known = ", ".join(shipped_banks())
    raise UserError(f"unknown bank {str(name_or_path)!r}", fix=f"Known: {known}; or give the path of a .yaml file.")
