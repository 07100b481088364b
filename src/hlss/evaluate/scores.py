"""From patches to slides to patients, and what predictions are worth at each level (SPEC §6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int64, Shaped
from numpy import ndarray
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, roc_auc_score

from hlss.errors import UserError
from hlss.types import Level

Scoring = Literal["mean", "released"]


@dataclass(frozen=True, eq=False)
class Predictions:
    """Of one level: probabilities of each unit, its true class, its patient. left_out: units with several labels."""

    probabilities: Float[ndarray, "n c"]
    truth: Int64[ndarray, " n"]
    patient: Shaped[ndarray, " n"]
    unit: Shaped[ndarray, " n"]
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def correct(self) -> Float[ndarray, " n"]:
        return (self.probabilities.argmax(axis=1) == self.truth).astype(np.float64)


def aggregated(patches: Predictions, groups: Shaped[ndarray, " n"], scoring: Scoring = "mean") -> Predictions:
    """Predictions of groups of patches (slides, patients): the mean of their probabilities.

    released: a softmax of the probabilities once more before they are summed, and groups by (id, true label), so that
    an id with several labels counts as several units.
    """
    keys = groups.astype(str)
    probabilities = patches.probabilities
    if scoring == "released":
        keys = np.char.add(np.char.add(keys, "\0"), patches.truth.astype(str))
        probabilities = np.exp(probabilities) / np.exp(probabilities).sum(axis=1, keepdims=True)
    names, first, member = np.unique(keys, return_index=True, return_inverse=True)
    sums = np.zeros((len(names), probabilities.shape[1]))
    np.add.at(sums, member, probabilities)
    counts = np.bincount(member)[:, None]
    low, high = np.full(len(names), np.iinfo(np.int64).max), np.full(len(names), -1)
    np.minimum.at(low, member, patches.truth)
    np.maximum.at(high, member, patches.truth)
    single = low == high
    result = Predictions(sums / counts, low, patches.patient[first], names, int((~single).sum()))
    return Predictions(
        result.probabilities[single], low[single], result.patient[single], names[single], result.left_out
    )


def pooled(folds: Sequence[Predictions]) -> Predictions:
    """Folds as one set of predictions. Raises UserError where a unit was predicted twice."""
    units = np.concatenate([fold.unit for fold in folds])
    names, counts = np.unique(units.astype(str), return_counts=True)
    if (counts > 1).any():
        raise UserError(
            f"{names[counts > 1][0]!r} is on the test side of several tables of one method and seed",
            fix="Give each fold once, and different folds.",
        )
    return Predictions(
        np.concatenate([fold.probabilities for fold in folds]),
        np.concatenate([fold.truth for fold in folds]),
        np.concatenate([fold.patient for fold in folds]),
        units,
        sum(fold.left_out for fold in folds),
    )


def metrics(predictions: Predictions) -> dict[str, float | int | None]:
    """accuracy, balanced accuracy, macro-AUROC (one against the rest), macro-F1, top-2; None where undefined.

    Classes that no unit has are left out of macro-averages; how many is given as `absent_classes`.
    """
    probabilities, truth = predictions.probabilities, predictions.truth
    if len(truth) == 0:
        return {"n": 0}
    chosen = probabilities.argmax(axis=1)
    present = np.unique(truth)
    top2 = np.argsort(-probabilities, axis=1, kind="stable")[:, :2]
    aurocs = [roc_auc_score(truth == c, probabilities[:, c]) for c in present] if len(present) > 1 else []
    return {
        "n": len(truth),
        "patients": len(np.unique(predictions.patient.astype(str))),
        "left_out": predictions.left_out,
        "absent_classes": probabilities.shape[1] - len(present),
        "accuracy": float((chosen == truth).mean()),
        "balanced_accuracy": float(_quiet_balanced(truth, chosen)),
        "macro_auroc": float(np.mean(aurocs)) if aurocs else None,
        "macro_f1": float(f1_score(truth, chosen, labels=present, average="macro", zero_division=0)),
        "top2": float((top2 == truth[:, None]).any(axis=1).mean()) if probabilities.shape[1] > 2 else None,
    }


def confusion(predictions: Predictions) -> list[list[int]]:
    """Rows: true classes; columns: predicted."""
    labels = list(range(predictions.probabilities.shape[1]))
    found: list[list[int]] = confusion_matrix(
        predictions.truth, predictions.probabilities.argmax(axis=1), labels=labels
    ).tolist()
    return found


def _quiet_balanced(truth: ndarray, chosen: ndarray) -> float:
    """Mean recall of the classes that are there (scikit-learn warns of predicted classes that are not)."""
    known = np.isin(chosen, truth)
    if known.all():
        return float(balanced_accuracy_score(truth, chosen))
    return float(np.mean([(chosen[truth == c] == c).mean() for c in np.unique(truth)]))


LEVEL_COLUMN = {Level.SLIDE: "slide", Level.PATIENT: "patient"}
