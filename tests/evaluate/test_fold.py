"""Who may ask whom: sides of a table, sites in turn, two cohorts."""

from dataclasses import replace

import numpy as np
import pytest

from hlss.errors import UserError
from hlss.evaluate.fold import across, by_side, by_site, classes_of, counterpart, name_of

ROWS = [("p", "s", "a", "train"), ("q", "t", "b", "train"), ("r", "u", "a", "test"), ("v", "w", "", "test")]


def changed(rows, at: int, column: int, value: str):
    return [tuple(value if (i, j) == (at, column) else v for j, v in enumerate(row)) for i, row in enumerate(rows)]


def test_bank_and_queries_are_labelled_rows_of_their_side(make_table):
    fold = by_side(make_table(ROWS, np.eye(4), method="m"), "test")
    assert fold.in_bank.tolist() == [True, True, False, False]
    assert fold.asked.tolist() == [False, False, True, False]
    assert (fold.bank_size, fold.fewest_patients, fold.patients_asked.tolist()) == (2, 1, ["r"])
    assert fold.notices == ("m: 1 of 4 patches have no label and are left out",)
    task = fold.opened(("a", "b"))
    assert np.array_equal(task.bank.features, np.eye(4)[:2])
    assert (task.bank.labels.tolist(), task.queries.labels.tolist()) == ([0, 1], [0])
    assert task.queries.places().tolist() == ["u\tu.png\t448,0"]


@pytest.mark.parametrize(
    ("at", "column", "value", "message"),
    [
        (2, 0, "p", "patient p is on the train side and on the test side"),
        (2, 2, "", "2 labelled patches on the train side and 0 on the test side"),
        (1, 2, "a", "the train side has one class only, a"),
        (2, 3, "val", "2 labelled patches on the train side and 0 on the test side"),
    ],
)
def test_refused(make_table, at: int, column: int, value: str, message: str):
    table = make_table(changed(ROWS, at, column, value), np.eye(4), method="hlss · last", fold=1)
    with pytest.raises(UserError, match=f"hlss · last, fold 1: {message}"):
        by_side(table, "test")


def test_val_side_can_ask(make_table):
    table = make_table(changed(ROWS, 2, 3, "val"), np.eye(4))
    assert by_side(table, "val").asked.tolist() == [False, False, True, False]


def test_patient_of_test_and_val_is_nobodys_leak(make_table):
    rows = [*ROWS, ("r", "u", "a", "val")]
    assert by_side(make_table(rows, np.eye(5)), "test").asked.sum() == 1


def test_features_must_be_finite(make_table):
    features = np.eye(4)
    features[2, 0] = np.nan
    with pytest.raises(UserError, match="features of the queries are not finite"):
        by_side(make_table(ROWS, features), "test").opened(("a", "b"))


def test_classes(make_table):
    other = make_table([("x", "y", "c", "train")], [[1.0]])
    assert classes_of([make_table(ROWS, np.eye(4)), other]) == ("a", "b", "c")
    with pytest.raises(UserError, match=r"no labels.*`label` of the manifest"):
        classes_of([make_table([("p", "s", "", "train")], [[1.0]])])
    with pytest.raises(UserError, match="one class only, 'a'"):
        classes_of([make_table([("p", "s", "a", "train"), ("q", "t", "", "test")], np.eye(2))])


def test_names(make_table):
    assert name_of(make_table(ROWS, np.eye(4))) == "features"
    assert name_of(make_table(ROWS, np.eye(4), method="m", fold=0)) == "m, fold 0"
    assert name_of(make_table(ROWS, np.eye(4), method="m", fold=None)) == "m"


def at_sites(table, sites: str):
    """The table with a site of one letter a row; "-" is none."""
    column = np.array(["" if site == "-" else site for site in sites], dtype=object)
    return replace(table, columns={**table.columns, "site": column})


SIX = [(f"p{i}", f"s{i}", "ab"[i % 2], ("train", "test", "val")[i % 3]) for i in range(6)]


def test_each_site_asks_all_others_whatever_their_side(make_table):
    folds = by_site(at_sites(make_table(SIX, np.eye(6), method="m"), "xxyyzz"))
    assert [fold.name for fold in folds] == ["m, site x", "m, site y", "m, site z"]
    for number, fold in enumerate(folds):
        assert np.flatnonzero(fold.asked).tolist() == [2 * number, 2 * number + 1]
        assert (fold.in_bank ^ fold.asked).all()


@pytest.mark.parametrize(
    ("sites", "message"),
    [
        ("xxyy-z", "m: patient p4 has patches without a site"),
        ("xxxxxx", "m: 1 site: none can be left out"),
        ("xyxyxy", "m, site x: the other sites has one class only, b"),
    ],
)
def test_sites_that_cannot_be_left_out(make_table, sites: str, message: str):
    with pytest.raises(UserError, match=message):
        by_site(at_sites(make_table(SIX, np.eye(6), method="m"), sites))


def test_patient_of_several_sites_is_named(make_table):
    table = at_sites(make_table([*SIX, ("p1", "s9", "b", "test")], np.eye(7), method="m"), "xxyyzzy")
    with pytest.raises(UserError, match="m: patient p1 has patches of several sites"):
        by_site(table)


def test_patches_without_label_need_no_site(make_table):
    table = at_sites(make_table([*SIX, ("p9", "s9", "", "test")], np.eye(7), method="m"), "xxyyzz-")
    folds = by_site(table)
    assert [fold.asked.sum() for fold in folds] == [2, 2, 2]
    assert folds[0].notices == ("m: 1 of 7 patches have no label and are left out",)


OTHERS = [("x", "sx", "a", "train"), ("y", "sy", "B", "test"), ("z", "sz", "other", "val"), ("w", "sw", "", "test")]


def test_another_cohort_asks_the_train_side(make_table):
    table = make_table(ROWS, np.eye(4), method="m", checkpoint="step-1")
    other = make_table(OTHERS, np.eye(4), method="m", checkpoint="step-1")
    fold = across(table, other, {"B": "b", "other": ""})
    assert np.flatnonzero(fold.in_bank).tolist() == [0, 1]
    task = fold.opened(("a", "b"))
    assert task.queries.labels.tolist() == [0, 1]
    assert task.queries.ids("patient").tolist() == ["x", "y"]
    assert fold.notices == ("m, queries: 2 of 4 patches have no label and are left out",)
    assert other["label"].tolist() == ["a", "B", "other", ""]


def test_classes_of_another_cohort_must_be_known(make_table):
    tables = make_table(ROWS, np.eye(4), method="m"), make_table(OTHERS, np.eye(4), method="m")
    with pytest.raises(UserError, match=r"classes of the queries that the bank does not have: B, other; it has: a, b"):
        across(*tables, {})


def test_cohorts_that_do_not_fit(make_table):
    names = {"B": "b", "other": "b"}
    table = make_table(ROWS, np.eye(4), method="m", checkpoint="step-1")
    with pytest.raises(UserError, match="features of 4 dimensions are asked about 5"):
        across(table, make_table(OTHERS, np.eye(4, 5)), names)
    with pytest.raises(UserError, match="features of checkpoint step-1 are asked about step-2"):
        across(table, make_table(OTHERS, np.eye(4), checkpoint="step-2"), names)
    with pytest.raises(UserError, match="patient p is on the train side and on the other cohort"):
        across(table, make_table(changed(OTHERS, 0, 0, "p"), np.eye(4)), names)
    with pytest.raises(UserError, match="2 labelled patches on the train side and 0 on the other cohort"):
        across(table, make_table(OTHERS[3:], np.eye(1, 4)), names)


def test_counterpart_is_of_the_same_method_seed_and_fold(make_table):
    tables = [
        make_table(ROWS, np.eye(4), method=method, seed=seed, fold=fold)
        for method in "mn"
        for seed in (0, 1)
        for fold in (0, None)
    ]
    asking = make_table(ROWS, np.eye(4), method="n", seed=1, fold=0)
    assert counterpart(asking, tables) is tables[6]
    with pytest.raises(UserError, match="n, fold 0: 2 tables of the same method"):
        counterpart(asking, [*tables, asking])
    with pytest.raises(UserError, match="n, fold 0: 0 tables of the same method"):
        counterpart(asking, tables[:6])
