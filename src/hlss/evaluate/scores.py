"""From patches to slides to patients, and what predictions are worth at each level (SPEC §6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int64, Shaped
from numpy import ndarray
from sklearn.metrics import confusion_matrix, f1_score, recall_score, roc_auc_score

from hlss.errors import UserError
from hlss.types import Level

Scoring = Literal["mean", "released"]
LEVEL_COLUMN = {Level.SLIDE: "slide", Level.PATIENT: "patient"}
MEASURES = ("accuracy", "balanced_accuracy", "macro_auroc", "macro_f1", "top2")


@dataclass(frozen=True, eq=False)
class Predictions:
    """Of one level: probabilities of each unit, its true class, its patient. left_out: units with several labels."""

    probabilities: Float[ndarray, "n c"]
    truth: Int64[ndarray, " n"]
    patient: Shaped[ndarray, " n"]
    unit: Shaped[ndarray, " n"]
    left_out: int = 0

    @classmethod
    def none(cls, classes: int) -> "Predictions":
        """Of a level that nothing is predicted at."""
        names = np.empty(0, dtype=str)
        return cls(np.empty((0, classes)), np.empty(0, dtype=np.int64), names, names)

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def chosen(self) -> Int64[ndarray, " n"]:
        """The most probable class of each unit; the first of equals."""
        found: Int64[ndarray, " n"] = self.probabilities.argmax(axis=1)
        return found

    @property
    def in_top2(self) -> Bool[ndarray, " n"]:
        """Whether the true class is one of the two most probable."""
        best = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :2]
        found: Bool[ndarray, " n"] = (best == self.truth[:, None]).any(axis=1)
        return found


def aggregated(patches: Predictions, groups: Shaped[ndarray, " n"], scoring: Scoring = "mean") -> Predictions:
    """Predictions of groups of patches (slides, patients): the mean of their probabilities.

    A group whose patches have several labels is left out and counted.
    released: a softmax of the probabilities once more before they are summed, and groups by (id, true label), so that
    an id with several labels counts as several units.
    """
    keys = groups.astype(str)
    probabilities = patches.probabilities
    if scoring == "released":
        keys = np.char.add(np.char.add(keys, "\t"), patches.truth.astype(str))
        probabilities = np.exp(probabilities) / np.exp(probabilities).sum(axis=1, keepdims=True)
    means, first, left_out = group_means(probabilities, patches.truth, keys)
    return Predictions(means, patches.truth[first], patches.patient[first], keys[first], left_out)


def group_means(
    values: Float[ndarray, "n d"], truth: Int64[ndarray, " n"], keys: Shaped[ndarray, " n"]
) -> tuple[Float[ndarray, "g d"], Int64[ndarray, " g"], int]:
    """Mean of the rows of each group, in order of key, the first row of each, and how many groups are left out.

    A group whose rows have several labels is left out.
    """
    names, first, member = np.unique(keys, return_index=True, return_inverse=True)
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, member, values)
    means = sums / np.bincount(member, minlength=len(names))[:, None]
    mixed = np.zeros(len(names), dtype=bool)
    mixed[member[truth != truth[first][member]]] = True
    return means[~mixed], first[~mixed], int(mixed.sum())


def pooled(folds: Sequence[Predictions]) -> Predictions:
    """Folds as one set of predictions. Raises UserError where a patient is in two folds, or a unit twice in one."""
    seen: set[str] = set()
    for fold in folds:
        patients = set(fold.patient.astype(str).tolist())
        if seen & patients:
            raise UserError(
                f"patient {min(seen & patients)!r} is tested by several tables of one method and seed",
                fix="Give each fold once, and folds of one split.",
            )
        seen |= patients
    units = np.concatenate([fold.unit.astype(str) for fold in folds])
    names, counts = np.unique(units, return_counts=True)
    if (counts > 1).any():
        raise UserError(f"{names[counts > 1][0]!s} stands twice in a table", fix="Embed the cohort again.")
    return Predictions(
        np.concatenate([fold.probabilities for fold in folds]),
        np.concatenate([fold.truth for fold in folds]),
        np.concatenate([fold.patient for fold in folds]),
        units,
        sum(fold.left_out for fold in folds),
    )


def metrics(predictions: Predictions) -> dict[str, float | int | None]:
    """Counts (n, patients, left_out, absent_classes) and MEASURES; None where one is undefined.

    balanced_accuracy, macro_auroc (one against the rest) and macro_f1 are means over the classes that some unit has;
    absent_classes counts the others. macro_auroc wants two such classes, top2 wants three classes.
    """
    probabilities, truth, chosen = predictions.probabilities, predictions.truth, predictions.chosen
    present = np.unique(truth)
    found: dict[str, float | int | None] = {
        "n": len(truth),
        "patients": len(np.unique(predictions.patient.astype(str))),
        "left_out": predictions.left_out,
        "absent_classes": probabilities.shape[1] - len(present),
        **dict.fromkeys(MEASURES),
    }
    if len(truth):
        macro = {"labels": present, "average": "macro", "zero_division": 0}
        found["accuracy"] = float((chosen == truth).mean())
        found["balanced_accuracy"] = float(recall_score(truth, chosen, **macro))
        found["macro_f1"] = float(f1_score(truth, chosen, **macro))
    if len(present) > 1:
        found["macro_auroc"] = float(np.mean([roc_auc_score(truth == c, probabilities[:, c]) for c in present]))
    if len(truth) and probabilities.shape[1] > 2:
        found["top2"] = float(predictions.in_top2.mean())
    return found


def confusion(predictions: Predictions) -> list[list[int]]:
    """Rows: true classes; columns: predicted."""
    classes = predictions.probabilities.shape[1]
    if not len(predictions):
        return [[0] * classes for _ in range(classes)]
    found: list[list[int]] = confusion_matrix(
        predictions.truth, predictions.chosen, labels=list(range(classes))
    ).tolist()
    return found
