"""Markers: what a pathologist looks for in each class, in words that no training reads (SPEC §8)."""

from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from hlss.config import Part, read_settings
from hlss.errors import UserError
from hlss.files import digest
from hlss.language.bank import DESCRIPTIONS, DescriptionBank, Status, Text, normalised
from hlss.language.wording import Sentence, named_in

Sentences = Annotated[tuple[Text, ...], Field(min_length=DESCRIPTIONS, max_length=DESCRIPTIONS)]


class MarkerSet(Part):
    """Markers of each class, four descriptions each. status: whether an expert stands behind them."""

    name: Text
    domain: Text
    provenance: Text
    status: Status = "unreviewed"
    classes: Mapping[Text, Annotated[Mapping[Text, Sentences], Field(min_length=1)]] = Field(min_length=2)

    @property
    def fingerprint(self) -> str:
        """Short hash of classes, markers and descriptions."""
        return digest(
            {name: {marker: list(texts) for marker, texts in of.items()} for name, of in self.classes.items()}
        )

    def sentences(self) -> Iterator[tuple[str, str]]:
        """Every description, with its place: `class / marker`."""
        for name, markers in self.classes.items():
            for marker, texts in markers.items():
                yield from ((f"{name} / {marker}", text) for text in texts)

    def of_classes(self, labels: Sequence[str]) -> dict[str, list[list[str]]]:
        """The descriptions of each marker of these classes; case and punctuation of a class's name do not matter.

        Raises UserError naming the classes without markers.
        """
        known = {normalised(name): name for name in self.classes}
        lacking = [label for label in labels if normalised(label) not in known]
        if lacking:
            raise UserError(
                f"no markers of class {', '.join(lacking)}",
                where=f"markers {self.name}",
                fix=f"It has: {', '.join(self.classes)}. Take another set, or the path of a .yaml file of your own.",
            )
        return {label: [list(texts) for texts in self.classes[known[normalised(label)]].values()] for label in labels}


def read_markers(name_or_path: str | Path) -> MarkerSet:
    """A shipped set by name (`opensrh`), or any by the path of its YAML file.

    Raises UserError, naming file, class, marker and remedy, where it does not fit the schema, repeats a sentence, or
    names a class or diagnosis, so that an alignment would be one of names.
    """
    path = _path(name_or_path)
    markers = read_settings(path, MarkerSet)
    _refuse_repeated(markers, path)
    _refuse_named(markers, path)
    return markers


def shipped_markers() -> list[str]:
    """Names of the marker sets inside the package."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _folder().iterdir() if entry.name.endswith(".yaml"))


def refuse_shared(markers: MarkerSet, bank: DescriptionBank) -> None:
    """Raise UserError where a bank holds a sentence of the markers, or a near copy: what was trained on is no test.

    Case, punctuation, spaces, stop words, order and endings do not make two sentences different (language/wording.py).
    """
    of_bank = [(place, Sentence.of(text)) for place, text in bank.places() if place.number is not None]
    for place, text in markers.sentences():
        one = Sentence.of(text)
        for where, other in of_bank:
            if one.copies(other):
                near = f"holds {other.text!r}, a near copy of a sentence of"
                how = "shares a sentence with" if one.same(other) else near
                raise UserError(
                    f"bank {bank.title!r} {how} the markers: {text!r} ({where})",
                    where=f"markers {markers.name}: {place}",
                    fix="Reword one: markers are kept out of training.",
                )


def shuffled(groups: Mapping[str, list[list[str]]], seed: int, draw: int) -> dict[str, list[list[str]]]:
    """A control: all words of these sentences dealt anew over classes, each sentence as long as it was.

    What is left is the vocabulary; which words belong to a class, and their order, is lost.
    """
    words = [word for markers in groups.values() for texts in markers for text in texts for word in text.split()]
    rng = np.random.Generator(np.random.Philox([seed, draw]))
    dealt = iter(rng.permutation(np.array(words, dtype=object)).tolist())
    return {
        name: [[" ".join(next(dealt) for _ in text.split()) for text in texts] for texts in markers]
        for name, markers in groups.items()
    }


def _folder() -> Path:
    return Path(str(files("hlss.language"))) / "marker_sets"


def _path(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        return path
    if str(name_or_path) in shipped_markers():
        return _folder() / f"{name_or_path}.yaml"
    known = ", ".join(shipped_markers())
    fix = f"Known: {known}; or give the path of a .yaml file."
    raise UserError(f"unknown markers {str(name_or_path)!r}", fix=fix)


def _refuse_repeated(markers: MarkerSet, path: Path) -> None:
    classes = [normalised(name) for name in markers.classes]
    if len(set(classes)) < len(classes):
        raise UserError("two classes have the same name but for case or punctuation", where=path, fix="Rename one.")
    seen: dict[str, str] = {}
    for place, text in markers.sentences():
        if normalised(text) in seen:
            what = f"sentence {text!r} stands twice: {seen[normalised(text)]} and {place}"
            raise UserError(what, where=path, fix="Reword one.")
        seen[normalised(text)] = place


def _refuse_named(markers: MarkerSet, path: Path) -> None:
    for place, text in markers.sentences():
        named = named_in(text, markers.classes)
        if named is not None:
            what = f"{place}: sentence {text!r} names a class or diagnosis: {named!r}"
            raise UserError(what, where=path, fix="Say what is seen.")
