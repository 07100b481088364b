"""OpenSRH, a GDC download and TRIDENT's patches, in their exact layouts: one step, then scores, all by commands."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from commands import hlss
from gdc_folder import TILES, gdc_folder

from hlss.cohorts.phantom import PhantomSpec
from hlss.cohorts.write.hdf5 import write_hdf5s
from hlss.cohorts.write.opensrh import write_opensrh
from hlss.cohorts.write.pyramid import write_pyramids
from hlss.embedding_table import EmbeddingTable
from hlss.train.run_folder import read_log

Settings = dict[str, Any]
RANDOM = {"kind": "random", "test": 0.34}


def silent(done: int, of: int) -> None:
    pass


def opensrh(folder: Path) -> tuple[Settings, Settings, int]:
    """Settings of the cohort and the split, and how many patches there are."""
    drawn = PhantomSpec(patients=6, slides=1, side=1, tile_px=300, classes=2).open()
    write_opensrh(drawn, folder / "opensrh", silent, normal=drawn.classes[1])
    sides = {"train": list(drawn.patients[:4]), "val": list(drawn.patients[4:])}
    (folder / "opensrh/meta/train_val_split.json").write_text(json.dumps(sides))
    return {"name": "opensrh", "root": folder / "opensrh"}, {"kind": "given"}, 6


def tcga(folder: Path) -> tuple[Settings, Settings, int]:
    drawn = PhantomSpec(patients=6, slides=1, side=2, tile_px=32, classes=2).open()
    hlss("tile", gdc_folder(folder, drawn), "--out", folder / "tiles", *TILES)
    columns = {"patient_id": "case_submitter_id", "label": "project_id"}
    cohort = {"name": "tcga", "tiles": folder / "tiles", "labels": folder / "labels.csv", "columns": columns}
    return cohort, RANDOM, 24


def trident(folder: Path) -> tuple[Settings, Settings, int]:
    drawn = PhantomSpec(patients=6, slides=1, side=2, tile_px=32, classes=2).open()
    write_pyramids(drawn, folder / "whole", silent)
    write_hdf5s(drawn, folder / "trident", silent, flavour="trident", images=False)
    cohort = {"name": "patches_hdf5", "manifest": folder / "trident/dataset.csv", "folder": folder / "trident"}
    return {**cohort, "slides": folder / "whole/slides", "tile_px": 32}, RANDOM, 24


@pytest.mark.parametrize("made", [opensrh, tcga, trident])
def test_a_step_and_scores(tmp_path: Path, made: Callable[[Path], tuple[Settings, Settings, int]]) -> None:
    cohort, split, n_tiles = made(tmp_path)
    experiment = {
        "name": "small",
        "out": str(tmp_path / "run"),
        "cache": str(tmp_path / "cache"),
        "cohort": {key: str(value) if isinstance(value, Path) else value for key, value in cohort.items()},
        "split": split,
        "batches": {"patients": 4, "slides": 1, "patches": 1, "views": 2},
        "loader": {"workers": 0, "pack": None},
        "encoder": {"name": "timm", "architecture": "resnet10t", "input_px": 32, "dim": 16},
        "objective": "simclr",
        "train": {"steps": 1, "precision": "fp32", "log_every": 1},
    }
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(experiment))
    hlss("train", tmp_path / "small.yaml")
    (row,) = [row for row in read_log(tmp_path / "run/log.jsonl") if "loss/total" in row]
    assert math.isfinite(row["loss/total"])
    hlss("embed", tmp_path / "run")
    table = EmbeddingTable.read(tmp_path / "run/embeddings/last")
    assert len(table.features) == n_tiles
    assert np.isfinite(table.features).all()
    assert len(set(table["patient"].tolist())) == 6
    assert len(set(table["label"].tolist())) == 2
    hlss("evaluate", tmp_path / "run/embeddings/last", "--protocol", "small", "--set", "k.small=2")
    assert (tmp_path / "run/embeddings/last/evaluation.json").exists()
