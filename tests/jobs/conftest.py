"""A small experiment on drawn tissue that trains in seconds, and the command line as a user runs it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from embedding_by_many import contents, embedded, write_run

SMALL = {
    "name": "small",
    "cohort": {"name": "phantom", "patients": 8, "slides": 1, "side": 2, "tile_px": 32, "classes": 2},
    "split": {"kind": "random", "test": 0.25, "val": 0.2},
    "batches": {"patients": 4, "slides": 1, "patches": 2, "views": 2},
    "loader": {"workers": 0},
    "encoder": {"name": "timm", "architecture": "resnet10t", "input_px": 32, "dim": 16},
    "language": {"bank": "general_he", "text": {"name": "random", "dim": 16}},
    "objective": "hlss",
    "train": {"steps": 6, "precision": "fp32", "checkpoint_every": 2, "log_every": 1},
}


@pytest.fixture(scope="session")
def write_experiment() -> Callable[..., Path]:
    """write_experiment(folder, **changes): the small experiment's file there; its run folder is `run` beside it."""

    def write(folder: Path, **changes: Any) -> Path:
        path = folder / "small.yaml"
        tree = {**SMALL, "out": str(folder / "run"), "cache": str(folder / "cache"), **changes}
        path.write_text(yaml.safe_dump(tree))
        return path

    return write


@pytest.fixture
def experiment(tmp_path: Path, write_experiment: Callable[..., Path]) -> Path:
    """The experiment's file; its run folder is `run` beside it."""
    return write_experiment(tmp_path)


@pytest.fixture
def hlss(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command in a process of its own."""

    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from hlss.cli import main; main()", *map(str, arguments)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=300, check=False, **options
        )

    return run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, write_experiment: Callable[..., Path]) -> Path:
    """A run on slides of several sizes, to be embedded by many."""
    return write_run(tmp_path_factory.mktemp("trained"), write_experiment)


@pytest.fixture(scope="session")
def alone(run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process leaves of it that nobody disturbs."""
    folder = tmp_path_factory.mktemp("alone") / "here"
    embedded(run, folder, cores=4)
    return contents(folder)
