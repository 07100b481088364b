"""A committed table.json as a page shows it: figures, differences, what is missing, where it comes from."""

import json

from rendering import render


def level(n, accuracy, balanced=None):
    return {"n": n, "accuracy": accuracy, "balanced_accuracy": balanced}


def result(method, accuracy, by_seed, difference=None, protocol="small", way="kNN", k=20):
    return {
        "method": method,
        "protocol": protocol,
        "way": way,
        "k": k,
        "seeds": len(by_seed),
        "folds": 1,
        "metrics": {"patch": level(90, accuracy), "slide": level(0, None), "patient": level(12, 0.75, 0.5)},
        "by_seed": {"patch": by_seed, "slide": [], "patient": [0.75] * len(by_seed)},
        "intervals": {"patch": {"accuracy": {"low": 0.7, "high": 0.9}}},
        "differences": {} if difference is None else {"patch": {"accuracy": difference}},
    }


def run(made=True, seconds=90.0, config="c0"):
    facts = {"code_version": "1.0 (abc)", "data_hash": "dddd", "bank_fingerprint": "bbbb", "hardware": "a CPU"}
    return {
        "provenance": {**facts, "precision": "fp32"} if made else None,
        "made": {"seconds": seconds, "config_hash": config} if made else None,
    }


GAIN = {"mean": 0.05, "interval": {"low": 0.01, "high": 0.09}, "detectable": 0.06}
UNSURE = {"mean": -0.02, "interval": None, "detectable": None}
FOUND = {
    "against": "start",
    "results": [
        result("start", 0.75, [0.75]),
        result("HLSS", 0.8, [0.79, 0.81], GAIN),
        result("HLSS", 0.8, [0.79, 0.81], protocol="retrieval", way="retrieval MV@5", k=5),
    ],
    "compared": {"HiDisc": [{"method": "HLSS", "protocol": "small", "differences": {"patch": {"accuracy": UNSURE}}}]},
    "health": {name: {"rank": 3.25, "spread": 0.5, "dim": 8} for name in ("start", "HLSS")},
    "paper": {"source": "OpenSRH", "accuracy_percent": {"hlss": {"patch": 84.1, "slide": 89.5, "patient": 91.7}}},
    "rows": [
        {
            "label": "HLSS",
            "experiment": "hlss",
            "start": "start",
            "missing": {},
            "runs": [run(seconds=90.0 + 60 * n, config=f"c{n}") for n in range(5)],
        },
        {
            "label": "BYOL",
            "experiment": "byol",
            "start": None,
            "missing": {"BYOL, seed 0": "not run yet"},
            "runs": [run(False)],
        },
    ],
    "provenance": {"command": "hlss table t.yaml", "compared_with": ["HiDisc", "start"]},
}


def test_a_table_of_methods(tmp_path):
    (tmp_path / "table.json").write_text(json.dumps(FOUND))
    (tmp_path / "a.md").write_text("# A\n<!-- figures table.json -->\n<!-- end -->\n")
    made = render().rendered(tmp_path / "a.md")
    lines = made.splitlines()
    assert "units: 90 patch, 12 patient." in made
    assert "| method | patch | patient | paper: OpenSRH | rank | spread | seeds × folds |" in lines
    assert "| start | 75.0 [70.0, 90.0] | 75.0 | – | 3.2 of 8 | 0.50 | 1 × 1 |" in lines
    own = "| HLSS | 80.0 ± 1.4 [70.0, 90.0] | 75.0 ± 0.0 | 84.1 / 89.5 / 91.7 | 3.2 of 8 | 0.50 | 2 × 1 |"
    assert own in lines
    less = {
        name: lines.index(next(line for line in lines if line.startswith(f"Less {name}")))
        for name in ("HiDisc", "start")
    }
    assert less["HiDisc"] < less["start"]
    assert lines[less["HiDisc"] + 4] == "| HLSS | -2.0 | – |"
    assert lines[less["start"] + 4] == "| HLSS | +5.0 [+1.0, +9.0], detectable 6.0 | – |"
    assert "Protocol `retrieval` (k = 5), retrieval MV@5: mMV" in made
    assert "| HLSS | – | 50.0 | 3.2 of 8 | 0.50 | 2 × 1 |" in lines  # the paper's are of kNN
    assert "**BYOL is not complete**: 1 of 1 runs are missing. BYOL, seed 0: not run yet" in lines
    assert lines[-2] == (
        "Command: `hlss table t.yaml`; code: 1.0 (abc); data: dddd; bank: bbbb; hardware: a CPU; precision: fp32; "
        "a run: 3.5 min (median of 5); config hashes: HLSS c0, c1, c2 and 2 more."
    )
