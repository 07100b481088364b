"""Mean embeddings of slides and patients, retrieval among them, and probes on them."""

from collections import Counter

import numpy as np
import pytest

from hlss.evaluate.fold import Patches, by_side
from hlss.evaluate.units import MeanProbe, Retrieval, units_of
from hlss.types import Level

CLASSES = ("a", "b", "c")
COARSE = (Level.SLIDE, Level.PATIENT)


@pytest.fixture
def task(cohort_table):
    return by_side(cohort_table(range(18), range(18, 30), 0.7, method="m"), "test").opened(CLASSES)


def means_by_hand(patches: Patches, column: str):
    """Name → mean of unit features, by a loop."""
    found = {}
    for name in dict.fromkeys(patches.ids(column).tolist()):
        rows = [z / np.linalg.norm(z) for z, n in zip(patches.features, patches.ids(column), strict=True) if n == name]
        found[name] = np.mean(rows, axis=0)
    return found


@pytest.mark.parametrize(("level", "column"), [(Level.SLIDE, "slide"), (Level.PATIENT, "patient")])
def test_embedding_is_the_mean_of_unit_features(task, level, column: str):
    units = units_of(task.queries, level)
    wanted = means_by_hand(task.queries, column)
    assert units.names.tolist() == sorted(wanted)
    for name, embedding, label, patient in zip(
        units.names, units.embeddings, units.labels, units.patients, strict=True
    ):
        assert np.allclose(embedding, wanted[name], atol=1e-6)
        assert patient == name[:3]
        assert label == int(name[:3]) % 3


def test_units_of_several_labels_are_left_out(make_table):
    rows = [("p", "s", "a", "train"), ("p", "t", "b", "train"), ("q", "u", "a", "train"), ("r", "v", "b", "test")]
    bank = by_side(make_table(rows, np.eye(4)), "test").opened(("a", "b")).bank
    assert (units_of(bank, Level.SLIDE).names.tolist(), units_of(bank, Level.SLIDE).left_out) == (["s", "t", "u"], 0)
    assert (units_of(bank, Level.PATIENT).names.tolist(), units_of(bank, Level.PATIENT).left_out) == (["q"], 1)


def test_retrieval_is_the_majority_of_five_by_a_loop(task):
    (scored,) = Retrieval().score(task)
    assert (scored.row.name, scored.row.k, scored.notices) == ("retrieval", 5, ())
    for level, column in zip(COARSE, ("slide", "patient"), strict=True):
        bank, queries = means_by_hand(task.bank, column), means_by_hand(task.queries, column)
        found = scored.by_level[level]
        assert found.unit.tolist() == sorted(queries)
        for name, chosen in zip(found.unit, found.chosen, strict=True):
            q = queries[name]
            cosine = {n: q @ b / np.linalg.norm(q) / np.linalg.norm(b) for n, b in bank.items()}
            five = sorted(cosine, key=cosine.get, reverse=True)[:5]
            assert not {n[:3] for n in five} & {name[:3]}
            votes = Counter(int(n[:3]) % 3 for n in five)
            most = [label for label, count in votes.items() if count == max(votes.values())]
            assert chosen == most[0]  # a Counter keeps the order of the nearest


@pytest.mark.parametrize(("order", "wanted"), [("abbac", 0), ("baabc", 1), ("cabba", 0), ("caabb", 0), ("cbbbb", 1)])
def test_of_equal_votes_the_nearest_wins(make_table, order: str, wanted: int):
    """Five bank slides at growing angles from the one query."""
    angles = np.append(np.linspace(0.1, 1, 5), 0)
    rows = [(f"p{i}", f"s{i}", label, "train") for i, label in enumerate(order)] + [("q", "t", "a", "test")]
    table = make_table(rows, np.stack([np.cos(angles), np.sin(angles)], axis=1))
    (scored,) = Retrieval().score(by_side(table, "test").opened(CLASSES))
    assert scored.by_level[Level.SLIDE].chosen.tolist() == [wanted]


def test_bank_of_fewer_than_five_is_said(make_table):
    rows = [(f"p{i // 2}", f"s{i}", "aabb"[i % 4], "train") for i in range(8)] + [("q", "t", "a", "test")]
    (scored,) = Retrieval().score(by_side(make_table(rows, np.eye(9), method="m"), "test").opened(CLASSES))
    assert set(scored.by_level) == {Level.SLIDE}
    assert scored.notices == (
        "m, protocol retrieval: patient level is left out, the bank has 4 units with one label, 5 are retrieved",
    )


def test_mean_probe_finds_what_patches_hide(make_table):
    """Patches are ± around a small mean that tells the class: single patches tell little, their means all."""
    rng = np.random.default_rng(0)
    rows, features = [], []
    for patient in range(40):
        for i in range(20):
            rows.append((f"{patient:02d}", f"{patient:02d}-{i // 10}", "ab"[patient % 2], "test" if patient > 25 else
                         "train"))  # fmt: skip
            sign = (-1) ** i
            features.append(np.array([0.2 * (patient % 2 * 2 - 1), sign, 0.1]) + 0.05 * rng.standard_normal(3))
    task = by_side(make_table(rows, features, method="m"), "test").opened(("a", "b"))
    (scored,) = MeanProbe(0).score(task)
    for level, units in zip(COARSE, (28, 14), strict=True):
        found = scored.by_level[level]
        assert len(found) == units
        assert np.array_equal(found.chosen, found.truth)
    assert [facts["level"] for facts in scored.fitted] == ["slide", "patient"]
    assert all(facts["C"] > 0 for facts in scored.fitted)


def test_mean_probe_without_two_classes_is_said(make_table):
    """All bank patients but one have both labels."""
    rows = [(f"p{i // 2}", f"s{i}", "ab"[i % 2], "train") for i in range(8)]
    rows += [("r", "v", "a", "train"), ("q", "t", "a", "test")]
    (scored,) = MeanProbe(0).score(by_side(make_table(rows, np.eye(10), method="m"), "test").opened(("a", "b")))
    assert set(scored.by_level) == {Level.SLIDE}
    assert (
        "m, protocol mean-probe, patient level: left out, the bank's units with one label are not of two classes"
        in (scored.notices)
    )
