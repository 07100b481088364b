"""Patch → slide → patient against loops, metrics against scikit-learn and against counting by hand."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score, top_k_accuracy_score

from hlss.errors import UserError
from hlss.evaluate.scores import MEASURES, Predictions, aggregated, confusion, metrics, pooled


def predictions(probabilities, truth, patient=None, left_out=0) -> Predictions:
    units = np.array([f"u{i}" for i in range(len(truth))])
    patient = units if patient is None else np.array(patient)
    return Predictions(np.array(probabilities, dtype=float), np.array(truth), patient, units, left_out)


def test_slide_is_the_mean_of_its_patches():
    patches = predictions([[0.9, 0.1], [0.4, 0.6], [0.4, 0.6], [0.2, 0.8]], [0, 0, 0, 1], ["p", "p", "p", "q"])
    slides = aggregated(patches, np.array(["s", "s", "s", "t"], dtype=object))
    assert slides.unit.tolist() == ["s", "t"]
    assert np.allclose(slides.probabilities, [[1.7 / 3, 1.3 / 3], [0.2, 0.8]])
    assert slides.chosen.tolist() == [0, 1]  # a vote of the patches would have said 1 for s
    assert slides.truth.tolist() == [0, 1]
    assert slides.patient.tolist() == ["p", "q"]
    assert slides.left_out == 0


def test_several_labels_are_left_out_and_counted():
    patches = predictions([[1, 0]] * 6, [0, 1, 0, 0, 1, 1], list("ppqqrr"))
    slides = aggregated(patches, np.array(["a", "a", "b", "b", "c", "c"]))
    assert slides.unit.tolist() == ["b", "c"]
    assert slides.truth.tolist() == [0, 1]
    assert slides.left_out == 1
    every = aggregated(patches, np.array(["a"] * 6))
    assert (len(every), every.left_out) == (0, 1)


def test_order_of_patches_does_not_matter():
    rng = np.random.default_rng(0)
    patches = predictions(rng.dirichlet(np.ones(3), 40), np.arange(40) % 10 % 3, [f"p{i % 10}" for i in range(40)])
    order = rng.permutation(40)
    shuffled = Predictions(*(part[order] for part in (patches.probabilities, patches.truth, patches.patient)), order)
    one, other = aggregated(patches, patches.patient), aggregated(shuffled, shuffled.patient)
    assert one.unit.tolist() == other.unit.tolist()
    assert np.allclose(one.probabilities, other.probabilities)


def test_released_takes_a_second_softmax_and_groups_by_label():
    rng = np.random.default_rng(1)
    probabilities, truth = rng.dirichlet(np.ones(3) / 2, 12), np.array([0, 1] * 6)
    groups = np.array(["a"] * 6 + ["b"] * 6)
    found = aggregated(predictions(probabilities, truth), groups, "released")
    wanted = {}
    for row, label, group in zip(probabilities, truth, groups, strict=True):
        softmax = np.exp(row) / sum(np.exp(row))
        wanted.setdefault((group, label), []).append(softmax)
    keys = sorted(wanted)
    assert found.truth.tolist() == [label for _, label in keys]
    assert found.left_out == 0
    assert np.allclose(found.probabilities, [np.mean(wanted[key], axis=0) for key in keys])


def test_released_flattens_and_can_change_the_winner():
    sharp = predictions([[1.0, 0, 0, 0, 0, 0, 0]], [0])
    assert aggregated(sharp, np.array(["s"]), "released").probabilities.max() < 0.32
    one_sided = predictions([[0.98, 0.01, 0.01], [0.0, 0.49, 0.51], [0.02, 0.49, 0.49]], [0, 0, 0])
    slide = np.array(["s"] * 3)
    mean, released = (aggregated(one_sided, slide, scoring) for scoring in ("mean", "released"))
    assert mean.chosen.tolist() == [2]
    assert released.chosen.tolist() == [0]


def test_pooled_folds_are_not_the_mean_of_folds():
    """A large fold all right, a small one all wrong: 9 of 10, not one half."""
    right, wrong = predictions([[1, 0]] * 9, [0] * 9), predictions([[1, 0]], [1], ["other"], left_out=2)
    wrong = Predictions(wrong.probabilities, wrong.truth, wrong.patient, np.array(["v"]), wrong.left_out)
    both = pooled([right, wrong])
    assert metrics(both)["accuracy"] == 0.9
    assert both.left_out == 2
    assert len(both) == 10


def test_pooled_refuses_a_patient_of_two_folds():
    one = predictions([[1, 0]], [0], ["p"])
    two = Predictions(one.probabilities, one.truth, one.patient, np.array(["another patch"]))
    with pytest.raises(UserError, match="patient 'p' is tested by several tables"):
        pooled([one, two])


def test_pooled_refuses_a_patch_twice():
    one = predictions([[1, 0], [1, 0]], [0, 0], ["p", "p"])
    twice = Predictions(one.probabilities, one.truth, one.patient, np.array(["same", "same"]))
    with pytest.raises(UserError, match="same stands twice"):
        pooled([twice])


@pytest.mark.parametrize("seed", range(5))
def test_metrics_equal_scikit_learn(make_predictions, seed: int):
    found = make_predictions(30, 200, 4, seed)
    chosen, scores = found.probabilities.argmax(axis=1), found.probabilities
    wanted = {
        "accuracy": np.mean(chosen == found.truth),
        "balanced_accuracy": balanced_accuracy_score(found.truth, chosen),
        "macro_f1": f1_score(found.truth, chosen, average="macro"),
        "macro_auroc": roc_auc_score(found.truth, scores, multi_class="ovr", average="macro"),
    }
    got = metrics(found)
    assert {name: got[name] for name in wanted} == pytest.approx(wanted)
    assert (got["n"], got["absent_classes"]) == (200, 0)


def test_top2_equals_scikit_learn():
    rng = np.random.default_rng(0)  # without ties: how they break is a matter of taste
    found = predictions(rng.dirichlet(np.ones(5), 100), rng.integers(0, 5, 100))
    assert metrics(found)["top2"] == pytest.approx(top_k_accuracy_score(found.truth, found.probabilities, k=2))


def test_auroc_counts_pairs():
    """Ties count half."""
    found = predictions([[0.9, 0.1], [0.5, 0.5], [0.5, 0.5], [0.2, 0.8], [0.6, 0.4]], [0, 0, 1, 1, 1])
    score, positive = found.probabilities[:, 1], found.truth == 1
    pairs = [(p > n) + 0.5 * (p == n) for p in score[positive] for n in score[~positive]]
    assert metrics(found)["macro_auroc"] == pytest.approx(np.mean(pairs))


def test_absent_classes_are_left_out_and_counted():
    """Class 2 has no unit, though one is taken for it; class 3 is never named at all."""
    found = metrics(predictions([[0.6, 0.2, 0.2, 0], [0.1, 0.2, 0.7, 0], [0.2, 0.5, 0.3, 0]], [0, 0, 1]))
    assert found["absent_classes"] == 2
    assert found["balanced_accuracy"] == pytest.approx((0.5 + 1) / 2)
    assert found["macro_f1"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["macro_auroc"] == pytest.approx((0.5 + 1) / 2)


def test_one_class_only_has_no_auroc():
    found = metrics(predictions([[0.6, 0.4, 0], [0.1, 0.2, 0.7]], [0, 0]))
    assert found["macro_auroc"] is None
    assert found["accuracy"] == 0.5
    assert found["top2"] == 0.5


def test_top2_of_two_classes_says_nothing():
    assert metrics(predictions([[0.6, 0.4]], [1]))["top2"] is None


def test_no_units():
    empty = Predictions(np.zeros((0, 3)), np.zeros(0, dtype=int), np.zeros(0, str), np.zeros(0, str), left_out=4)
    found = metrics(empty)
    assert {found[name] for name in MEASURES} == {None}
    assert (found["n"], found["patients"], found["left_out"], found["absent_classes"]) == (0, 0, 4, 3)
    assert confusion(empty) == [[0, 0, 0]] * 3


def test_confusion_has_true_classes_as_rows():
    found = predictions([[1, 0, 0], [0, 1, 0], [0, 1, 0]], [0, 0, 1])
    assert confusion(found) == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
