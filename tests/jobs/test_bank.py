"""The commands `hlss bank …`, as their user sees them."""

import json
from pathlib import Path

import pytest
import yaml

from hlss.cli import main
from hlss.language.bank import read_bank
from hlss.language.bank_files import write_bank

CLEAN = {
    "title": "mine",
    "domain": "any",
    "provenance": "me",
    "patch": [
        {
            "name": "round nuclei",
            "descriptions": [
                "Nuclei are round discs",
                "Circles lie side by side",
                "Even globes fill it",
                "Smooth spheres are seen",
            ],
        }
    ],
    "slide": [
        {
            "name": "pink stroma",
            "descriptions": [
                "Stroma is rosy and wide",
                "Collagen spreads between nests",
                "Fibres take up eosin",
                "Broad bands cross here",
            ],
        }
    ],
    "patient": [
        {
            "name": "mucin",
            "descriptions": [
                "Mucus lakes recur everywhere",
                "Pale pools mark each section",
                "Gelatinous ground prevails overall",
                "Blue slime is common to all",
            ],
        }
    ],
}


def written(path: Path, **changes: object) -> str:
    path.write_text(yaml.safe_dump({**CLEAN, **changes}, sort_keys=False))
    return str(path)


def run(*arguments: str) -> int:
    try:
        main(["bank", *arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_lint_ends_with_1_for_errors_only_and_writes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean = written(tmp_path / "clean.yaml")
    assert run("lint", clean) == 0
    assert "nothing found" in capsys.readouterr().out
    texts = ["Nuclei without any nucleoli", "Circles lie side by side", "Even globes", "Smooth spheres are seen"]
    bad = written(tmp_path / "bad.yaml", patch=[{"name": "round nuclei", "descriptions": texts}])
    assert run("lint", bad, "--json", str(tmp_path / "found.json")) == 1
    assert "error negation: patch / round nuclei, description 1" in capsys.readouterr().out
    found = json.loads((tmp_path / "found.json").read_text())
    assert [(one["rule"], one["description"]) for one in found["findings"]] == [("negation", 0), ("length", 2)]


def test_markup_in_a_bank_is_shown_as_it_stands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [
        "Nuclei are [red]round[/red]",
        "Circles lie side by side",
        "Even globes fill it",
        "Smooth spheres are seen",
    ]
    path = written(tmp_path / "a.yaml", patch=[{"name": "round nuclei", "descriptions": texts}])
    assert run("show", path, "--level", "patch") == 0
    assert "Nuclei are [red]round[/red]" in capsys.readouterr().out
    assert run("lint", path) == 1


def test_show_takes_level_and_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", "phantom", "--level", "patch", "--name", "giant") == 0
    shown = capsys.readouterr().out
    assert "giant tumour nuclei (unreviewed)" in shown
    assert "crowded nuclei" not in shown


def test_diff_tells_every_change_and_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = written(tmp_path / "old.yaml")
    assert run("diff", old, old) == 0
    other = [{"name": "mucin", "descriptions": [*CLEAN["patient"][0]["descriptions"][:3], "New words of mucus"]}]
    new = written(tmp_path / "new.yaml", patient=other, slide=[{**CLEAN["slide"][0], "name": "rosy stroma"}])
    capsys.readouterr()
    assert run("diff", old, new) == 1
    assert capsys.readouterr().out.splitlines() == [
        "- slide / pink stroma",
        "~ patient / mucin: - Blue slime is common to all",
        "~ patient / mucin: + New words of mucus",
        "+ slide / rosy stroma",
    ]


def test_merge_keeps_what_both_have_once(tmp_path: Path) -> None:
    more = {"name": "ducts", "descriptions": ["Ducts branch", "Tubes fork in two", "Pipes divide", "Channels part"]}
    first, second = written(tmp_path / "a.yaml"), written(tmp_path / "b.yaml", slide=[*CLEAN["slide"], more])
    assert run("merge", first, second, "--out", str(tmp_path / "c.yaml")) == 0
    whole = read_bank(tmp_path / "c.yaml")
    assert {level: whole.names(level) for level in whole.counts} == {
        "patch": ["round nuclei"],
        "slide": ["pink stroma", "ducts"],
        "patient": ["mucin"],
    }
    assert run("merge", first, second, "--out", str(tmp_path / "c.yaml")) == 1  # it is there


@pytest.mark.parametrize(
    ("slide", "said"),
    [
        ([{"name": "Pink stroma", "descriptions": ["a", "b", "c", "d"]}], "described in other words"),
        ([{"name": "new", "descriptions": ["Nuclei are round discs", "b", "c", "d"]}], "stands twice"),
    ],
)
def test_merge_refuses_clashes_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], slide: list[dict[str, object]], said: str
) -> None:
    first = written(tmp_path / "a.yaml")
    patch = [{"name": "other nuclei", "descriptions": ["e", "f", "g", "h"]}]
    patient = [{"name": "other case", "descriptions": ["i", "j", "k", "l"]}]
    second = written(tmp_path / "b.yaml", slide=slide, patch=patch, patient=patient)
    assert run("merge", first, second, "--out", str(tmp_path / "c.yaml")) == 1
    assert said in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.yaml", "b.yaml"]


def test_encode_leaves_what_a_training_looks_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "a.yaml")
    assert run("encode", path, "--text", "tiny", "--cache", str(tmp_path / "cache")) == 0
    assert "slide: 1 characteristics × 128" in capsys.readouterr().out
    assert len(list((tmp_path / "cache" / "texts").glob("*.safetensors"))) == 1
    assert run("encode", path, "--text", "nosuch", "--cache", str(tmp_path / "cache")) == 1
    assert "nosuch" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["he_generic", "srh_brain"])
def test_a_bank_that_is_written_reads_the_same(tmp_path: Path, name: str) -> None:
    bank = read_bank(name)
    write_bank(tmp_path / "a.yaml", bank)
    assert read_bank(tmp_path / "a.yaml") == bank


def test_levels_and_one_list_do_not_mix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("lint", written(tmp_path / "a.yaml", generic=CLEAN["patch"])) == 1
    assert "generic stands for all levels" in capsys.readouterr().err
    assert run("lint", written(tmp_path / "b.yaml", slide=[])) == 1
    assert "`slide` is missing" in capsys.readouterr().err
    assert run("merge", written(tmp_path / "c.yaml"), "he_generic", "--out", str(tmp_path / "d.yaml")) == 1
