"""A table file of two methods, two folds of one small cohort, whose runs take a second each."""

from pathlib import Path

import yaml

BASE = {
    "name": "base",
    "cohort": {"name": "phantom", "patients": 8, "slides": 1, "side": 2, "tile_px": 32, "classes": 2},
    "split": {"kind": "kfold", "folds": 2},
    "batches": {"patients": 2, "slides": 1, "patches": 2, "views": 2},
    "loader": {"workers": 0},
    "encoder": {"name": "timm", "architecture": "resnet10t", "input_px": 32, "dim": 8},
    "language": {"bank": "general_he", "text": {"name": "random", "dim": 8}},
    "objective": "hidisc",
    "train": {"steps": 2, "precision": "fp32", "checkpoint_every": 1, "log_every": 1},
    "evaluate": {"protocols": ["small"], "k": {"small": 3}, "resamples": 100},
}


def write_small_table(folder: Path) -> Path:
    """Write it and its experiments; returns the table file."""
    (folder / "base.yaml").write_text(yaml.safe_dump({**BASE, "cache": str(folder / "cache")}))
    (folder / "hidisc.yaml").write_text("base: base.yaml\nname: hidisc\n")
    (folder / "hlss.yaml").write_text("base: base.yaml\nname: hlss\nobjective: { name: hlss }\n")
    rows = "rows: [{ experiment: hidisc.yaml, label: HiDisc }, { experiment: hlss.yaml, label: HLSS }]\n"
    (folder / "table.yaml").write_text(f"title: Small\npaper: table1\n{rows}")
    return folder / "table.yaml"


def silent(line: str) -> None:
    """Say nothing."""
