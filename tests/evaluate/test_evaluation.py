"""The whole evaluation on tables whose truth is known."""

import json
import math

import numpy as np
import pytest
from pydantic import ValidationError

from hlss.config import validate
from hlss.errors import UserError
from hlss.evaluate.evaluation import EvaluateSpec, Evaluation, Result, evaluate
from hlss.evaluate.scores import MEASURES
from hlss.types import LEVELS, Level

SMALL = EvaluateSpec(protocols=("small",), resamples=200)


def by_method(evaluation: Evaluation) -> dict[str, Result]:
    assert len({result.protocol for result in evaluation.results}) == 1
    return {result.method: result for result in evaluation.results}


def three_folds(cohort_table, noise: float, **provenance):
    """36 patients in three folds; 24 of them train."""
    everyone = np.arange(36)
    return [
        cohort_table(everyone[everyone % 9 // 3 != fold], everyone[everyone % 9 // 3 == fold], noise, fold,
                     fold=fold, **provenance)
        for fold in range(3)
    ]  # fmt: skip


def test_separated_classes_are_all_found(cohort_table):
    evaluation = evaluate(three_folds(cohort_table, 0.05, method="m"), SMALL)
    (result,) = evaluation.results
    assert (result.protocol, result.k, result.seeds, result.folds) == ("small", 20, 1, 3)
    for level, n in ((Level.PATCH, 144), (Level.SLIDE, 72), (Level.PATIENT, 36)):
        assert result.metrics[level] == {
            "n": n,
            "patients": 36,
            "left_out": 0,
            "absent_classes": 0,
            **dict.fromkeys(MEASURES, 1.0),
        }
        assert result.confusions[level] == (np.eye(3, dtype=int) * n // 3).tolist()
        assert {(i.low, i.high) for i in result.intervals[level].values()} == {(1.0, 1.0)}
    assert evaluation.classes == ("a", "b", "c")
    assert result.differences == {}


def test_pure_noise_is_chance(cohort_table):
    (result,) = evaluate(three_folds(cohort_table, 1e3, method="m"), SMALL).results
    assert 0.15 < result.metrics[Level.PATCH]["accuracy"] < 0.5
    assert result.intervals[Level.PATCH]["accuracy"].low < 1 / 3 < result.intervals[Level.PATCH]["accuracy"].high


def test_protocol_left_out_is_said(cohort_table):
    """A bank of 96 patches: too small for 200 neighbours."""
    tables = three_folds(cohort_table, 0.1, method="m")
    evaluation = evaluate(tables, EvaluateSpec(resamples=100))
    assert [result.protocol for result in evaluation.results] == ["small"]
    (notice,) = evaluation.notices
    assert notice.startswith("protocol paper is left out: its k = 200 is more than the 96 labelled patches")


def test_both_protocols_where_banks_are_large_enough(cohort_table):
    table = cohort_table(range(60), range(60, 66), method="m")
    evaluation = evaluate([table], EvaluateSpec(resamples=100))
    assert [(result.protocol, result.k) for result in evaluation.results] == [("paper", 200), ("small", 20)]


@pytest.mark.parametrize(
    "spec",
    [
        EvaluateSpec(protocols=("paper",)),  # asked for by name
        EvaluateSpec(protocols=("small", "paper")),
        EvaluateSpec(k={"paper": 97, "small": 98}),  # none is possible
    ],
)
def test_k_larger_than_the_bank(cohort_table, spec: EvaluateSpec):
    tables = three_folds(cohort_table, 0.1, method="m")
    with pytest.raises(
        UserError, match=r"m, fold 0: k = \d+ of protocol paper is more than the 96 .* --set k\.paper=96"
    ):
        evaluate(tables, spec)


def test_k_can_be_set(cohort_table):
    tables = three_folds(cohort_table, 0.1, method="m")
    evaluation = evaluate(tables, EvaluateSpec(k={"paper": 96}, resamples=100))
    assert [(result.protocol, result.k) for result in evaluation.results] == [("paper", 96), ("small", 20)]
    assert evaluation.notices == ()


def test_seeds_are_averaged_folds_pooled(cohort_table):
    good, bad = (three_folds(cohort_table, noise, method="m") for noise in (0.05, 3.0))
    for table in bad:
        table.provenance["seed"] = 1
    both = by_method(evaluate([*good, *bad], SMALL))["m"]
    alone = [by_method(evaluate(tables, SMALL))["m"] for tables in (good, bad)]
    assert (both.seeds, both.folds) == (2, 3)
    for level in LEVELS:
        for name in MEASURES:
            wanted = np.mean([result.metrics[level][name] for result in alone])
            assert both.metrics[level][name] == pytest.approx(wanted)
        wanted_counts = np.add(*[result.confusions[level] for result in alone]).tolist()
        assert both.confusions[level] == wanted_counts


def test_differences_to_the_start_of_the_same_run(cohort_table):
    tables = [
        *three_folds(cohort_table, 0.05, method="hlss · last"),
        *three_folds(cohort_table, 1.0, method="hlss · start"),
        *three_folds(cohort_table, 2.0, method="hidisc · start"),
        *three_folds(cohort_table, 2.0, method="hidisc · last"),
    ]
    evaluation = evaluate(tables, SMALL, against="start")
    found = by_method(evaluation)
    assert found["hlss · start"].differences == {}
    accuracy = {name: result.metrics[Level.PATCH]["accuracy"] for name, result in found.items()}
    ours = found["hlss · last"].differences[Level.PATCH]["accuracy"]
    assert ours.mean == pytest.approx(accuracy["hlss · last"] - accuracy["hlss · start"])
    assert ours.interval.low > 0
    assert ours.patients == 36
    same = found["hidisc · last"].differences[Level.PATIENT]["accuracy"]
    assert (same.mean, same.detectable) == (0.0, 0.0)
    full = by_method(evaluate(tables, SMALL, against="hidisc · start"))
    assert full["hlss · start"].differences[Level.PATCH]["accuracy"].mean == pytest.approx(
        accuracy["hlss · start"] - accuracy["hidisc · start"]
    )


def test_unknown_reference(cohort_table):
    tables = three_folds(cohort_table, 0.1, method="hlss · last")
    with pytest.raises(UserError, match=r"--against: no method 'start'. There are: hlss · last"):
        evaluate(tables, SMALL, against="start")


def test_methods_tested_on_different_patients(cohort_table):
    whole, part = three_folds(cohort_table, 0.1, method="a"), three_folds(cohort_table, 0.1, method="b")[:2]
    evaluation = evaluate([*whole, *part], SMALL, against="b")
    assert evaluation.notices == ("a and b were tested on different patients: compared on the 24 of both",)
    assert by_method(evaluation)["a"].differences[Level.PATIENT]["accuracy"].patients == 24


def test_few_patients_have_no_interval(cohort_table):
    (result,) = evaluate([cohort_table(range(9), range(9, 18), method="m")], SMALL).results
    assert result.metrics[Level.PATCH]["patients"] == 9
    assert dict(result.intervals) == {level: {} for level in LEVELS}


def test_level_without_units(make_table):
    """Every test patient has both classes."""
    rows = [(f"p{i}", f"s{i}", "ab"[i % 2], "train") for i in range(30)]
    rows += [(f"q{i // 2}", f"t{i}", "ab"[i % 2], "test") for i in range(6)]
    features = np.eye(2)[[i % 2 for i in range(36)]]
    evaluation = evaluate([make_table(rows, features, method="m")], SMALL, against=None)
    (result,) = evaluation.results
    assert result.metrics[Level.SLIDE]["accuracy"] == 1.0
    patients = result.metrics[Level.PATIENT]
    assert (patients["n"], patients["left_out"], patients["accuracy"]) == (0, 3, None)
    assert Level.PATIENT not in result.intervals
    json.dumps(evaluation.to_json(), allow_nan=False)


def test_patches_without_label_and_classes_without_bank(make_table):
    rows = [(f"p{i}", f"s{i}", "ab"[i % 2], "train") for i in range(30)]
    rows += [("q", "t", "c", "test"), ("r", "u", "", "test"), ("v", "w", "", "val")]
    evaluation = evaluate([make_table(rows, np.eye(33), method="m")], SMALL)
    assert evaluation.notices == (
        "m: 1 of 32 patches have no label and are left out",
        "m: the train side has no patch of c, which is asked for",
    )


def test_json_holds_all_and_no_nan(cohort_table):
    tables = [
        *three_folds(cohort_table, 0.3, method="hlss · last", config_hash="abc"),
        *three_folds(cohort_table, 1.0, method="hlss · start"),
    ]
    evaluation = evaluate(tables, SMALL, against="start")
    found = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    assert found["tables"][0] == {"seed": 0, "fold": 0, "method": "hlss · last", "config_hash": "abc"}
    assert found["settings"]["resamples"] == 200
    assert found["classes"] == ["a", "b", "c"]
    last = found["results"][0]
    assert set(last["metrics"]) == {"patch", "slide", "patient"}
    assert set(last["intervals"]["patient"]) == set(MEASURES)
    difference = last["differences"]["patient"]["accuracy"]
    assert set(difference) == {"mean", "interval", "detectable", "patients"}
    assert math.isfinite(difference["interval"]["low"])


def test_queries_may_be_validation(cohort_table):
    table = cohort_table(range(9), range(9, 12), method="m")
    table["side"][table["side"] == "test"] = "val"
    assert evaluate([table], SMALL, queries="val").queries == "val"
    with pytest.raises(UserError, match="0 on the test side"):
        evaluate([table], SMALL)


def test_released_scoring_differs(cohort_table):
    tables = three_folds(cohort_table, 1.5, method="m")
    mean, released = (
        evaluate(tables, SMALL.model_copy(update={"scoring": scoring})).results[0] for scoring in ("mean", "released")
    )
    assert mean.metrics[Level.PATCH] == released.metrics[Level.PATCH]
    assert mean.metrics[Level.PATIENT] != released.metrics[Level.PATIENT]


def test_same_input_same_output(cohort_table):
    tables = three_folds(cohort_table, 0.8, method="m")
    assert evaluate(tables, SMALL).to_json() == evaluate(tables, SMALL).to_json()


@pytest.mark.parametrize(
    "settings",
    [{"protocols": ["other"]}, {"protocols": []}, {"k": {"paper": 0}}, {"k": {"other": 5}}, {"resamples": 1}, {"t": 1}],
)
def test_settings_are_strict(settings: dict[str, object]):
    with pytest.raises(UserError, match=next(iter(settings))):
        validate(settings, EvaluateSpec, where="config.yaml")


def test_settings_round_trip_and_are_frozen():
    spec = EvaluateSpec(protocols=("small",), k={"small": 7})
    assert EvaluateSpec.model_validate(spec.model_dump(mode="json")) == spec
    with pytest.raises(ValidationError):
        spec.seed = 1  # type: ignore[misc]


def test_encoders_of_a_bank_that_nobody_stands_behind_are_named(cohort_table):
    trained = {"m": {"bank_status": "unreviewed"}, "n": {"bank_status": "approved"}, "start": {}}
    tables = [table for name, of in trained.items() for table in three_folds(cohort_table, 0.1, method=name, **of)]
    (found,) = [notice for notice in evaluate(tables, SMALL).notices if "bank" in notice]
    assert found == "trained with an unreviewed bank, which no pathologist has verified: m"
