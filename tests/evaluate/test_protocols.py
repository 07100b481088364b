"""Everything beyond the two protocols of neighbours, through the whole evaluation."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from hlss.errors import UserError
from hlss.evaluate.evaluation import EvaluateSpec, evaluate
from hlss.evaluate.fold import ClassPrompts, by_side
from hlss.evaluate.knn import PAPER, knn_probabilities
from hlss.evaluate.probe import FewShot
from hlss.evaluate.scores import aggregated, metrics
from hlss.types import LEVELS, Level

FAST = {"protocols": ("small",), "resamples": 100}
CORNERS = ClassPrompts({name: np.eye(6, dtype=np.float32)[i] for i, name in enumerate("abc")}, ("towers apart",))


def two_folds(cohort_table, noise: float = 0.6, **provenance):
    """30 patients in two folds."""
    everyone = np.arange(30)
    return [
        cohort_table(everyone[everyone % 6 // 3 != fold], everyone[everyone % 6 // 3 == fold], noise, fold,
                     fold=fold, **provenance)
        for fold in range(2)
    ]  # fmt: skip


def by_protocol(evaluation):
    return {result.protocol: result for result in evaluation.results}


def shown(evaluation) -> str:
    out = io.StringIO()
    evaluation.show(Console(file=out, width=200))
    return out.getvalue()


def test_nothing_further_unless_asked(cohort_table):
    evaluation = evaluate(two_folds(cohort_table, method="m"), EvaluateSpec(resamples=100))
    assert [result.protocol for result in evaluation.results] == ["small"]
    assert evaluation.results[0].fitted == ()


def test_all_that_can_be_asked_for(cohort_table):
    tables = [
        two_folds(cohort_table, noise, method=f"m · {name}")[0] for name, noise in (("last", 0.6), ("start", 0.9))
    ]
    spec = EvaluateSpec(
        **FAST, neighbours=(3, 7, 3), also=("retrieval", "probe", "few-shot", "mean-probe"), shots=(1, 2), draws=3
    )
    evaluation = evaluate(tables, spec, "start", prompts=[CORNERS] * 2)
    found = [result for result in evaluation.results if result.method == "m · last"]
    assert [(r.protocol, r.k, r.draws) for r in found] == [
        ("small", 20, 1), ("knn-3", 3, 1), ("knn-7", 7, 1), ("retrieval", 5, 1), ("probe", None, 1),
        ("few-shot-1", None, 3), ("few-shot-2", None, 3), ("mean-probe", None, 1), ("zero-shot", None, 1),
    ]  # fmt: skip
    for result in found:
        coarse = result.protocol in ("retrieval", "mean-probe")
        assert [result.metrics[level]["n"] for level in LEVELS] == [0 if coarse else 60, 30, 15]
        assert (result.seeds, result.folds, result.scoring) == (1, 1, None if coarse else "mean")
        assert Level.PATIENT in result.intervals
        assert "accuracy" in result.differences[Level.PATIENT]
        assert result.metrics[Level.PATIENT]["accuracy"] > 0.6
    json.dumps(evaluation.to_json(), allow_nan=False)
    text = shown(evaluation)
    assert "linear probe accuracy %, protocol probe, test side" in text
    assert "probe on 2 patients a class (mean of 3 draws) accuracy %, protocol few-shot-2" in text
    assert "balanced, its mean over classes, is mMV@5" in text
    assert "towers apart" in text


def test_chosen_c_is_recorded_by_seed_and_fold(cohort_table):
    tables = two_folds(cohort_table, method="m")
    for table in two_folds(cohort_table, 0.9, method="m"):
        table.provenance["seed"] = 1
        tables.append(table)
    evaluation = evaluate(tables, EvaluateSpec(**FAST, also=("probe", "mean-probe"), compare_scoring=True))
    results = by_protocol(evaluation)
    wanted = [(seed, f"m, fold {fold}") for seed in (0, 1) for fold in (0, 1)]
    assert [(facts["seed"], facts["fold"]) for facts in results["probe"].fitted] == wanted
    assert all(facts["C"] > 0 for facts in results["probe"].fitted)
    assert len(results["mean-probe"].fitted) == 8
    assert results["probe-released"].fitted == ()
    assert "m, protocol mean-probe, slide level: C = " in shown(evaluation)


def test_neighbours_are_as_paper_but_for_k(cohort_table):
    (table,) = two_folds(cohort_table, method="m")[:1]
    task = by_side(table, "test").opened(("a", "b", "c"))
    results = by_protocol(evaluate([table], EvaluateSpec(**FAST, neighbours=(4, 9))))
    for k in (4, 9):
        wanted = knn_probabilities(task.bank.features, task.bank.labels, task.queries.features, 3, replace(PAPER, k=k))
        accuracy = (wanted.argmax(axis=1) == task.queries.labels).mean()
        assert results[f"knn-{k}"].metrics[Level.PATCH]["accuracy"] == accuracy


def test_neighbours_that_a_bank_does_not_have(cohort_table):
    with pytest.raises(UserError, match=r"k = 61 of protocol knn-61 is more than the 60 .* --set neighbours=\[60\]"):
        evaluate(two_folds(cohort_table, method="m"), EvaluateSpec(**FAST, neighbours=(5, 61)))


def test_bank_too_small_for_the_usual_protocols(cohort_table):
    """12 patches: with a probe asked for, that is no error."""
    table = cohort_table(range(3), range(3, 9), method="m")
    evaluation = evaluate([table], EvaluateSpec(resamples=100, also=("probe",)))
    assert [result.protocol for result in evaluation.results] == ["probe"]
    assert len([notice for notice in evaluation.notices if "is left out: its k" in notice]) == 2
    assert "m, protocol probe: all C were equal on held-out patients" in evaluation.notices  # one patient a class


def test_few_shot_is_the_mean_over_draws(cohort_table):
    (table,) = two_folds(cohort_table, method="m")[:1]
    spec = EvaluateSpec(**FAST, also=("few-shot",), shots=(2,), draws=4, seed=3)
    result = by_protocol(evaluate([table], spec))["few-shot-2"]
    task = by_side(table, "test").opened(("a", "b", "c"))
    draws = [scored.by_level[Level.PATCH] for scored in FewShot((2,), 4, 3).score(task)]
    for level, column in ((Level.SLIDE, "slide"), (Level.PATIENT, "patient")):
        wanted = [metrics(aggregated(patches, task.queries.ids(column)))["macro_auroc"] for patches in draws]
        assert result.metrics[level]["macro_auroc"] == pytest.approx(np.mean(wanted))
    assert np.sum(result.confusions[Level.PATCH]) == 4 * 60


def test_more_patients_than_a_class_has_are_left_out(cohort_table):
    tables = two_folds(cohort_table, method="m")
    evaluation = evaluate(tables, EvaluateSpec(**FAST, also=("few-shot",), draws=1))
    assert list(by_protocol(evaluation)) == ["small", "few-shot-1", "few-shot-2", "few-shot-4"]
    (notice,) = [notice for notice in evaluation.notices if notice.startswith("few-shot")]
    assert notice.startswith("few-shot with 8, 16 patients a class is left out: the smallest class")
    assert "has 5 (m, fold 0)" in notice
    with pytest.raises(UserError, match="m, fold 0: few-shot wants 6 patients of each class, the smallest class has 5"):
        evaluate(tables, EvaluateSpec(**FAST, also=("few-shot",), shots=(6, 7)))


def test_both_scorings_side_by_side(cohort_table):
    tables = two_folds(cohort_table, 1.5, method="m")
    both = by_protocol(evaluate(tables, EvaluateSpec(**FAST, also=("retrieval",), compare_scoring=True)))
    assert list(both) == ["small", "small-released", "retrieval"]
    for scoring, protocol in (("mean", "small"), ("released", "small-released")):
        alone = by_protocol(evaluate(tables, EvaluateSpec(**FAST, scoring=scoring)))["small"]
        assert both[protocol].metrics == alone.metrics
        assert both[protocol].scoring == scoring
    assert both["small"].metrics[Level.PATIENT] != both["small-released"].metrics[Level.PATIENT]
    other = evaluate(tables, EvaluateSpec(**FAST, scoring="released", compare_scoring=True))
    assert list(by_protocol(other)) == ["small", "small-mean"]


def with_sites(table):
    """Patients of a site share the tens of their number; all sites have all classes."""
    site = np.array([f"site {patient[1]}" for patient in table["patient"]], dtype=object)
    return replace(table, columns={**table.columns, "site": site})


def test_leaving_one_site_out(cohort_table):
    table = with_sites(cohort_table(range(20), range(20, 30), 0.5, method="m"))
    evaluation = evaluate([table], EvaluateSpec(**FAST, by_site=True, also=("probe",)))
    result = by_protocol(evaluation)["probe"]
    assert (result.folds, result.metrics[Level.PATIENT]["n"]) == (3, 30)
    assert [facts["fold"] for facts in result.fitted] == [f"m, site site {i}" for i in range(3)]
    assert evaluation.queries == "sites"
    assert "each site in turn" in shown(evaluation)
    assert any(notice.startswith("by site: patches of every side are asked") for notice in evaluation.notices)


def test_folds_of_one_seed_are_averaged_by_site(cohort_table):
    """Every fold's encoder is asked about every patient."""
    tables = [with_sites(table) for table in two_folds(cohort_table, method="m")]
    (result,) = evaluate(tables, EvaluateSpec(**FAST, by_site=True)).results
    assert (result.seeds, result.folds, result.metrics[Level.PATIENT]["n"]) == (2, 3, 30)


def test_external_cohort(cohort_table):
    tables = [*two_folds(cohort_table, 0.3, method="m"), *two_folds(cohort_table, 1.0, method="n")]
    others = []
    for table in tables[::-1]:
        other = cohort_table(range(100, 112), range(112, 115), 0.3, method=table.provenance["method"],
                             fold=table.provenance["fold"])  # fmt: skip
        other["label"][other["label"] == "c"] = "C"
        others.append(other)
    spec = EvaluateSpec(**FAST, class_names={"C": "c"})
    evaluation = evaluate(tables, spec, "n", queries_from=others)
    result = evaluation.results[0]
    assert (result.method, result.seeds, result.folds, result.metrics[Level.PATIENT]["n"]) == ("m", 2, 1, 15)
    assert result.metrics[Level.PATIENT]["accuracy"] == 1.0
    assert evaluation.queries == "external"
    assert len(evaluation.tables) == 8
    assert "another cohort" in shown(evaluation)
    with pytest.raises(UserError, match="classes of the queries that the bank does not have: C"):
        evaluate(tables, EvaluateSpec(**FAST), queries_from=others)
    with pytest.raises(UserError, match="do not go together"):
        evaluate(tables, EvaluateSpec(**FAST, by_site=True), queries_from=others)


def test_prompts_are_checked_before_anything_is_scored(cohort_table, monkeypatch):
    monkeypatch.setattr("hlss.evaluate.evaluation.scored_fold", None)
    few = ClassPrompts({"a": np.ones(6, dtype=np.float32)})
    with pytest.raises(UserError, match="no prompts of class b, c"):
        evaluate(two_folds(cohort_table, method="m"), EvaluateSpec(**FAST), prompts=[few, few])


def test_progress_is_said(cohort_table, monkeypatch):
    monkeypatch.setattr("hlss.evaluate.clock._SAY_EVERY_S", -1.0)
    said: list[str] = []
    evaluate(two_folds(cohort_table, method="m"), EvaluateSpec(**FAST, also=("retrieval",)), say=said.append)
    assert [line.split(",")[0] for line in said] == [f"scoring: {i} of 4 protocols and folds" for i in range(1, 5)]
