"""A run folder: one process, one experiment, a log that survives a cut line."""

import subprocess
import sys

import pytest

from hlss.errors import UserError
from hlss.train.run_folder import Log, RunFolder, read_log


def test_another_process_is_refused(tmp_path):
    code = f"""
from pathlib import Path
from hlss.errors import UserError
from hlss.train.run_folder import RunFolder
try:
    RunFolder(Path({str(tmp_path)!r}), "hash", "", {{}}).__enter__()
except UserError as error:
    print(error)
"""
    with RunFolder(tmp_path, "hash", "", {}):
        inside = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    after = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "in use by another process" in inside
    assert after == ""


def test_another_experiment_is_refused_and_the_first_kept(tmp_path):
    with RunFolder(tmp_path, "one", "name: one\n", {"command": "x"}):
        pass
    with (
        pytest.raises(UserError, match=r"another experiment \(config one, not two\)"),
        RunFolder(tmp_path, "two", "", {}),
    ):
        pass
    assert (tmp_path / "config.yaml").read_text() == "name: one\n"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Choose another folder"), RunFolder(tmp_path / "file" / "run", "x", "", {}):
        pass


def test_log_writes_null_for_what_is_not_finite_and_is_cut_on_resume(tmp_path):
    log = Log(tmp_path, 0)
    for step in (1, 2, 3):
        log.write(step, {"a": step / 4, "b": float("nan") if step == 2 else 1.0})
    log.close()
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "a"')  # a kill in mid-line
    Log(tmp_path, 2).close()
    assert read_log(tmp_path / "log.jsonl") == [{"step": 1, "a": 0.25, "b": 1.0}, {"step": 2, "a": 0.5, "b": None}]
