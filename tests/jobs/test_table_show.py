"""Every way to score in a table: a section each, starts by the same, figures those of the embeddings."""

import re

import numpy as np
import pytest
import yaml
from small_table import silent, write_small_table

from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.evaluate.evaluation import EvaluateSpec, evaluate
from hlss.jobs.table import make_table

FURTHER = {
    "protocols": ["small"],
    "k": {"small": 3},
    "neighbours": [2],
    "also": ["probe", "few-shot", "retrieval", "mean-probe"],
    "shots": [1, 2, 9],
    "draws": 2,
    "compare_scoring": True,
    "resamples": 100,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table of one method and two seeds, all scorers asked for."""
    folder = tmp_path_factory.mktemp("show")
    table = write_small_table(folder)
    base = yaml.safe_load((folder / "base.yaml").read_text())
    base["cohort"]["patients"] = 12
    (folder / "base.yaml").write_text(yaml.safe_dump({**base, "evaluate": FURTHER}))
    (folder / "prompts.yaml").write_text("{follicular: [rings], spindled: [long nuclei, waves]}\n")
    table.write_text("title: Shown\nrows: [hlss.yaml]\nseeds: [0, 1]\nfolds: [0]\nprompts: prompts.yaml\n")
    make_table([table], out=folder / "out", say=silent)
    return folder


def sections(folder):
    """Lines below each title."""
    parts = (folder / "out" / "table.md").read_text().split("## ")[1:]
    return {
        part.splitlines()[0]: [[c.strip() for c in line.strip("|").split("|")] for line in part.splitlines()]
        for part in parts
    }


def results(folder):
    tables = [
        EmbeddingTable.read(folder / "out" / "runs" / f"hlss-seed{seed}-fold0" / "embeddings" / "last")
        for seed in (0, 1)
    ]
    return {result.protocol: result for result in evaluate(tables, EvaluateSpec.model_validate(FURTHER)).results}


def test_a_section_a_scorer(folder):
    assert list(sections(folder)) == [
        "Protocol small (k = 3)",
        "Protocol small-released (k = 3), scoring released",
        "Protocol knn-2 (k = 2)",
        "Protocol knn-2-released (k = 2), scoring released",
        "Protocol probe: linear probe",
        "Protocol probe-released: linear probe, scoring released",
        "Few-shot: linear probe on some patients of each class (mean of 2 draws)",
        "Few-shot: linear probe on some patients of each class (mean of 2 draws), scoring released",
        "Protocol retrieval (k = 5): retrieval MV@5",
        "Protocol mean-probe: linear probe on mean embeddings",
        "Protocol zero-shot: zero-shot",
        "Protocol zero-shot-released: zero-shot, scoring released",
    ]
    for title, lines in sections(folder).items():
        heads = next(line for line in lines if line[0] == "method")
        assert [line[0] for line in lines[lines.index(heads) + 2 :]][:2] == ["start", "hlss"], title
    (said,) = re.findall(r"few-shot with 9 patients.*", (folder / "out" / "table.md").read_text())
    assert "the smallest class of the smallest bank has 3" in said


def test_figures_of_seeds_and_their_spread(folder):
    """Against each seed alone."""
    both = results(folder)
    lines = sections(folder)["Protocol small (k = 3)"]
    (cells, *_) = [line for line in lines if line[0] == "hlss"]
    runs = folder / "out" / "runs"
    alone = [
        evaluate([EmbeddingTable.read(runs / f"hlss-seed{seed}-fold0" / "embeddings" / "last")],
                 EvaluateSpec.model_validate({**FURTHER, "also": [], "neighbours": []})).results[0]
        for seed in (0, 1)
    ]  # fmt: skip
    accuracies = [100 * result.metrics["patch"]["accuracy"] for result in alone]
    assert both["small"].by_seed["patch"] == pytest.approx([value / 100 for value in accuracies])
    apart = abs(accuracies[0] - accuracies[1]) / np.sqrt(2)  # of two, by hand
    assert cells[1].startswith(f"{np.mean(accuracies):.1f} ± {apart:.1f}")


def test_few_shot_by_patients_and_retrieval_by_classes(folder):
    both, shown = results(folder), sections(folder)
    lines = next(lines for title, lines in shown.items() if title.startswith("Few-shot"))
    heads = [line for line in lines if line[0] == "method"]
    assert heads == [["method", "1", "2"]] * 3
    first = next(line for line in lines if line[0] == "hlss")
    for cell, shots in zip(first[1:], (1, 2), strict=True):
        assert cell.split()[0] == f"{100 * both[f'few-shot-{shots}'].metrics['patch']['accuracy']:.1f}"
    lines = shown["Protocol retrieval (k = 5): retrieval MV@5"]
    assert any("mMV@5" in cell for line in lines for cell in line)
    heads, cells = (next(line for line in lines if line[0] == name) for name in ("method", "hlss"))
    assert heads[1:3] == ["slide", "patient"]
    for level, cell in zip(heads[1:3], cells[1:3], strict=True):
        assert cell.split()[0] == f"{100 * both['retrieval'].metrics[level]['balanced_accuracy']:.1f}"


def test_prompts_that_are_not_there_are_named(folder):
    (folder / "lost.yaml").write_text("title: Lost\nrows: [hlss.yaml]\nprompts: none.yaml\n")
    with pytest.raises(UserError, match=r"none\.yaml: cannot read prompts"):
        make_table([folder / "lost.yaml"], out=folder / "out", run=False, say=silent)
