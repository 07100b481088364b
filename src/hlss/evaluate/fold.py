"""Who is asked, and with whom as the bank: the sides of a table, its sites in turn, or two cohorts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, Shaped
from numpy import ndarray

from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.evaluate.knn import refuse_nonfinite

Marks = Bool[ndarray, " n"]
Texts = Shaped[ndarray, " n"]
_SPLIT = "Split by patient, every class on every side, and embed again."
_LABELS = "Embed a cohort with labels (`label` of the manifest) and a split."


@dataclass(frozen=True, eq=False)
class ClassPrompts:
    """Zero-shot texts: a unit row of each class, and what a reader must be told of the towers."""

    rows: Mapping[str, Float32[ndarray, " d"]]
    notices: tuple[str, ...] = ()

    def matrix(self, classes: Sequence[str], dimensions: int, where: str) -> Float64[ndarray, "c d"]:
        """Rows of these classes. Raises UserError where one has no prompts, or they have other dimensions."""
        lacking = [name for name in classes if name not in self.rows]
        if lacking:
            raise UserError(f"no prompts of class {', '.join(lacking)}", where=where, fix="Add them to --prompts.")
        found = np.stack([self.rows[name] for name in classes]).astype(np.float64)
        if found.shape[1] != dimensions:
            what = f"prompts have {found.shape[1]} dimensions, features {dimensions}"
            raise UserError(what, where=where, fix="Take the text tower that the features were trained with.")
        return found


@dataclass(frozen=True, eq=False)
class Patches:
    """Labelled patches. labels: class numbers, one a row of the table."""

    table: EmbeddingTable
    labels: Int64[ndarray, " n"]

    @property
    def features(self) -> Float32[ndarray, "n d"]:
        """z of each, not normalised."""
        return self.table.features

    def ids(self, column: str) -> Texts:
        """A column as texts: `patient`, `slide`."""
        return _texts(self.table, column)

    def places(self) -> Texts:
        """A name of each patch: slide, image and corner."""
        columns = [self.table[name].tolist() for name in ("slide", "image", "x_px0", "y_px0")]
        return np.array([f"{slide}\t{image}\t{x},{y}" for slide, image, x, y in zip(*columns, strict=True)])


@dataclass(frozen=True, eq=False)
class Task:
    """A fold laid open, all that a scorer sees. No patient is in both `bank` and `queries`."""

    name: str
    classes: tuple[str, ...]
    bank: Patches
    queries: Patches
    prompts: ClassPrompts | None


@dataclass(frozen=True, eq=False)
class Fold:
    """A bank and those who are asked, as rows of tables; nothing is copied out before `opened`.

    notices: of patches without a label, and of classes that are asked for but that the bank does not know.
    """

    name: str
    bank: EmbeddingTable
    in_bank: Marks
    queries: EmbeddingTable
    asked: Bool[ndarray, " q"]
    prompts: ClassPrompts | None = None
    notices: tuple[str, ...] = ()

    @property
    def bank_size(self) -> int:
        """Labelled patches of the bank."""
        return int(self.in_bank.sum())

    @property
    def patients_asked(self) -> Texts:
        """Those of the queries, once each."""
        return np.unique(_texts(self.queries, "patient")[self.asked])

    @property
    def fewest_patients(self) -> int:
        """Patients of the bank's smallest class."""
        labels, patients = _texts(self.bank, "label")[self.in_bank], _texts(self.bank, "patient")[self.in_bank]
        return min(len(np.unique(patients[labels == label])) for label in np.unique(labels))

    def opened(self, classes: tuple[str, ...]) -> Task:
        """The patches of both parts. Raises UserError where a feature is not finite."""
        bank, queries = (
            Patches(part, np.searchsorted(classes, _texts(part, "label")))
            for part in (self.bank.where(self.in_bank), self.queries.where(self.asked))
        )
        refuse_nonfinite(bank.features, queries.features)
        return Task(self.name, classes, bank, queries, self.prompts)


def classes_of(tables: Sequence[EmbeddingTable]) -> tuple[str, ...]:
    """Sorted names of the classes. Raises UserError where there are fewer than two."""
    found = tuple(sorted({label for table in tables for label in _texts(table, "label").tolist()} - {""}))
    if not found:
        raise UserError("the tables have no labels", fix="Fill the column `label` of the manifest and embed again.")
    if len(found) == 1:
        raise UserError(
            f"there is one class only, {found[0]!r}: nothing can be told apart",
            where="label",
            fix="Evaluate patches of two or more classes.",
        )
    return found


def name_of(table: EmbeddingTable) -> str:
    """What to call a table in a message."""
    facts = table.provenance
    name = str(facts.get("method", "features"))
    return name if facts.get("fold") is None else f"{name}, fold {facts['fold']}"


def by_side(table: EmbeddingTable, queries: str) -> Fold:
    """The labelled patches of the train side as bank, those of the `queries` side asked.

    Raises UserError where one of them is empty, a patient is in both, or the bank has one class only.
    """
    labels, sides = _texts(table, "label"), _texts(table, "side")
    bank, asked = ((labels != "") & (sides == side) for side in ("train", queries))
    fold = Fold(name_of(table), table, bank, table, asked)
    without = _unlabelled(fold.name, labels[np.isin(sides, ("train", queries))])
    return _checked(replace(fold, notices=without), "the train side", f"the {queries} side", _SPLIT)


def by_site(table: EmbeddingTable) -> list[Fold]:
    """A fold a site, in order of name: its labelled patches asked, those of all other sites the bank, whatever side.

    Raises UserError where a labelled patch has no site, a patient has patches of several, there is one site only, or a
    bank has one class only.
    """
    name, labels, sites, patients = name_of(table), *(_texts(table, c) for c in ("label", "site", "patient"))
    labelled = labels != ""
    fix = "Correct the column `site` of the manifest and embed again, or leave out --by-site."
    if (labelled & (sites == "")).any():
        patient = patients[labelled & (sites == "")][0]
        raise UserError(f"patient {patient!s} has patches without a site", where=name, fix=fix)
    pairs = np.unique(np.stack([patients[labelled], sites[labelled]], axis=1), axis=0)
    both, counts = np.unique(pairs[:, 0], return_counts=True)
    if (counts > 1).any():
        raise UserError(f"patient {both[counts > 1][0]!s} has patches of several sites", where=name, fix=fix)
    every = np.unique(sites[labelled])
    if len(every) < 2:
        raise UserError(f"{len(every)} site: none can be left out", where=name, fix=fix)
    folds = []
    for site in every.tolist():
        here = sites == site
        fold = Fold(f"{name}, site {site}", table, labelled & ~here, table, labelled & here)
        folds.append(_checked(fold, "the other sites", f"site {site}", fix))
    return [replace(folds[0], notices=(*_unlabelled(name, labels), *folds[0].notices)), *folds[1:]]


def across(table: EmbeddingTable, other: EmbeddingTable, class_names: Mapping[str, str]) -> Fold:
    """An external test: the train side of `table` as bank, all labelled patches of `other` asked, whatever side.

    class_names: what classes of the other cohort are called in the table; "" leaves a class out.
    Raises UserError as `by_side`, where features differ in length or come of different checkpoints, and where a class
    of the other cohort is not in the table.
    """
    name, known = name_of(table), set(_texts(table, "label").tolist()) - {""}
    if table.features.shape[1] != other.features.shape[1]:
        what = f"features of {table.features.shape[1]} dimensions are asked about {other.features.shape[1]}"
        raise UserError(what, where=f"--queries-from, {name}", fix="Embed both cohorts with one encoder.")
    checkpoints = [part.provenance.get("checkpoint") for part in (table, other)]
    if None not in checkpoints and checkpoints[0] != checkpoints[1]:
        what = f"features of checkpoint {checkpoints[0]} are asked about {checkpoints[1]}"
        raise UserError(what, where=f"--queries-from, {name}", fix="Embed both cohorts with one encoder.")
    labels = np.array([class_names.get(label, label) for label in _texts(other, "label").tolist()], dtype=object)
    foreign = sorted(set(labels.tolist()) - known - {""})
    if foreign:
        raise UserError(
            f"classes of the queries that the bank does not have: {', '.join(foreign)}; it has: "
            f"{', '.join(sorted(known))}",
            where=f"--queries-from, {name}",
            fix="Name what each is in the bank, as in --set 'class_names={theirs: ours}', or '' to leave it out.",
        )
    renamed = replace(other, columns={**other.columns, "label": labels})
    bank = (_texts(table, "label") != "") & (_texts(table, "side") == "train")
    fold = Fold(name, table, bank, renamed, labels != "", notices=_unlabelled(f"{name}, queries", labels))
    return _checked(fold, "the train side", "the other cohort", "Check the labels and patient ids of both cohorts.")


def counterpart(table: EmbeddingTable, others: Sequence[EmbeddingTable]) -> EmbeddingTable:
    """The one table of `others` that was made by the same method, seed and fold. Raises UserError."""

    def key(one: EmbeddingTable) -> tuple[object, ...]:
        return tuple(one.provenance.get(fact) for fact in ("method", "seed", "fold"))

    found = [other for other in others if key(other) == key(table)]
    if len(found) != 1:
        raise UserError(
            f"{len(found)} tables of the same method, seed and fold to take queries from",
            where=f"--queries-from, {name_of(table)}",
            fix="Give one for each table: embed the other cohort with the same run and checkpoint.",
        )
    return found[0]


def _checked(fold: Fold, bank: str, queries: str, fix: str) -> Fold:
    """The fold, with a notice of classes the bank lacks; `bank` and `queries` are what the two are called."""
    if not fold.in_bank.any() or not fold.asked.any():
        what = f"{fold.in_bank.sum()} labelled patches on {bank} and {fold.asked.sum()} on {queries}"
        raise UserError(what, where=fold.name, fix=_LABELS)
    both = np.intersect1d(_texts(fold.bank, "patient")[fold.in_bank], _texts(fold.queries, "patient")[fold.asked])
    if len(both):
        raise UserError(f"patient {both[0]!s} is on {bank} and on {queries}", where=fold.name, fix=fix)
    known, wanted = set(_texts(fold.bank, "label")[fold.in_bank]), set(_texts(fold.queries, "label")[fold.asked])
    if len(known) == 1:
        raise UserError(f"{bank} has one class only, {min(known)!s}", where=fold.name, fix=fix)
    unseen = ", ".join(sorted(wanted - known))
    notice = (f"{fold.name}: {bank} has no patch of {unseen}, which is asked for",) if unseen else ()
    return replace(fold, notices=(*fold.notices, *notice))


def _unlabelled(name: str, labels: Texts) -> tuple[str, ...]:
    without = int((labels == "").sum())
    return (f"{name}: {without} of {len(labels)} patches have no label and are left out",) if without else ()


def _texts(table: EmbeddingTable, column: str) -> Texts:
    texts: ndarray = table[column].astype(str)
    return texts
