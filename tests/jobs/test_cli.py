"""The main job as a user runs it: train, kill, go on, embed, evaluate; and one clear line for each mistake."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from hlss.cli import app, main


def run_here(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.mark.parametrize("command", ["train", "embed", "evaluate", "phantom", "doctor", "demo", "tile", "push"])
def test_every_command_has_help_with_an_example(command):
    result = run_here(command, "--help")
    assert result.exit_code == 0
    assert f"Example: hlss {command}" in " ".join(result.output.split())


def test_phantom_writes_what_the_manifest_source_opens(tmp_path, capsys):
    out = tmp_path / "slides"
    assert run_here("phantom", out, "patients=2", "slides=1", "side=1", "tile_px=32").exit_code == 0
    assert len((out / "manifest.csv").read_text().splitlines()) == 3
    assert "not empty" in mistake(capsys, "phantom", out)
    assert "unknown layout 'zarr'" in mistake(capsys, "phantom", tmp_path / "x", "--layout", "zarr")
    assert "unknown key `patient`" in mistake(capsys, "phantom", tmp_path / "x", "patient=2")


def test_doctor_names_device_and_precision():
    result = run_here("doctor")
    assert result.exit_code == 0
    assert "training will use" in result.output


def test_train_embed_evaluate_and_say_where_the_output_lies(experiment, hlss, tmp_path):
    trained = hlss("train", experiment)
    assert trained.returncode == 0, trained.stderr
    assert f"Output: {tmp_path / 'run'}" in trained.stdout
    assert "random vectors" in trained.stderr
    assert "no characteristic is claimed" in trained.stderr
    for checkpoint in ("start", "last"):
        assert run_here("embed", tmp_path / "run", "--checkpoint", checkpoint).exit_code == 0
    tables = [tmp_path / "run" / "embeddings" / name for name in ("start", "last")]
    out = tmp_path / "scores.json"
    result = run_here("evaluate", *tables, "--against", "start", "--protocol", "small", "--out", out)
    assert result.exit_code == 0, result.output
    found = json.loads(out.read_text())
    assert {table["method"] for table in found["tables"]} == {"small · start", "small · last"}
    assert all(table["config_hash"] == found["tables"][0]["config_hash"] for table in found["tables"])
    provenance = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert provenance["config_hash"] == found["tables"][0]["config_hash"]
    assert {"code_version", "hardware", "bank_fingerprint", "data_hash"} <= set(provenance)
    assert [table.get("bank_status") for table in found["tables"]] == [None, "unreviewed"]
    assert "trained with an unreviewed bank, which no pathologist has verified: small · last" in found["notices"]
    assert "trained with an unreviewed bank" in " ".join(result.output.split())
    again = hlss("train", experiment)
    assert "nothing to do" in again.stderr
    assert again.returncode == 0
    (tmp_path / "run" / "provenance.json").unlink()  # as in a run of which somebody carried the weights only
    assert run_here("embed", tmp_path / "run", "--out", tmp_path / "carried").exit_code == 0


def test_killed_and_started_again_ends_with_the_same_bits(experiment, hlss, tmp_path):
    whole = hlss("train", experiment, f"out={tmp_path / 'whole'}", "train.steps=8")
    assert whole.returncode == 0, whole.stderr
    assert interrupted(experiment, tmp_path / "run", signal.SIGKILL, "train.steps=8") == -signal.SIGKILL
    assert hlss("train", experiment, "train.steps=8").returncode == 0
    for name in ("encoder", "objective", "optimizer"):
        paths = [tmp_path / run / "checkpoints" / "step-00000008" / f"{name}.safetensors" for run in ("whole", "run")]
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_asked_to_stop_it_saves_and_says_so_by_its_exit_code(experiment, hlss, tmp_path):
    assert interrupted(experiment, tmp_path / "run", signal.SIGTERM, "train.steps=2000") == 75
    saved = sorted((tmp_path / "run" / "checkpoints").glob("step-*"))[-1]
    steps = [json.loads(line).get("step", 0) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert int(saved.name.removeprefix("step-")) >= max(steps)


def interrupted(experiment, run, how, *overrides):
    """Exit code of a training that is sent a signal once its second checkpoint lies there."""
    command = [sys.executable, "-c", "from hlss.cli import main; main()", "train", str(experiment), *overrides]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (run / "checkpoints" / "step-00000002").exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(how)
    return process.wait(timeout=120)


def mistake(capsys, *arguments):
    """Standard error of a command that must fail with exit code 1 and one line."""
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    assert left.value.code == 1
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert line.startswith("hlss: ")
    assert "Traceback" not in line
    return line


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("train.stepz=3", "unknown key `train.stepz`"),
        ("train.steps=many", "`train.steps`"),
        ("train.lr=-1", "`train.lr`"),
        ("objective=hls", "unknown objective 'hls'. Known: byol, hidisc, hlss, simclr"),
        ("cohort.name=folder", "unknown cohort source 'folder'"),
        ("steps", "is no override"),
        ("language=null", "needs text"),
        ("split.test=0.99", "leaves a side empty"),
        ("batches.patients=1", "cannot be contrasted"),
        ("language.bank=brain", "unknown bank 'brain'"),
        ("encoder.dim=8", "text of level patch has 16 dimensions, image features have 8"),
        ("train.freeze={stages: 40}", "cannot freeze 40 stages"),
    ],
)
def test_a_wrong_setting_is_one_line(experiment, capsys, override, says):
    assert says in mistake(capsys, "train", experiment, override)


def test_missing_files_are_one_line(tmp_path, capsys):
    assert "cannot read settings" in mistake(capsys, "train", tmp_path / "none.yaml")
    assert "no config.yaml" in mistake(capsys, "embed", tmp_path)
    assert "none" in mistake(capsys, "evaluate", tmp_path / "none")


def test_output_that_cannot_be_written_is_one_line(experiment, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert "Choose another" in mistake(capsys, "train", experiment, f"out={tmp_path / 'file' / 'run'}")


def test_a_folder_of_another_experiment_is_refused(experiment, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "provenance.json").write_text('{"config_hash": "other"}')
    assert "another experiment (config other" in mistake(capsys, "train", experiment)


def test_a_single_class_cannot_be_evaluated(experiment, tmp_path, capsys):
    main_ok = run_here("train", experiment, "cohort.classes=1", "train.steps=1")
    assert main_ok.exit_code == 0
    assert run_here("embed", tmp_path / "run").exit_code == 0
    assert "class" in mistake(capsys, "evaluate", tmp_path / "run" / "embeddings" / "last")


def test_k_larger_than_the_bank_is_refused(experiment, tmp_path, capsys):
    assert run_here("train", experiment, "train.steps=1").exit_code == 0
    assert run_here("embed", tmp_path / "run").exit_code == 0
    asked = ["evaluate", tmp_path / "run" / "embeddings" / "last", "--protocol", "paper"]
    assert "200" in mistake(capsys, *asked)
    assert "unknown key `kk`" in mistake(capsys, *asked, "--set", "kk=3")
    assert run_here(*asked, "--set", "k.paper=5").exit_code == 0
    assert '"k": 5' in (tmp_path / "run" / "embeddings" / "last" / "evaluation.json").read_text()


def save_noise(path, seed):
    import numpy as np
    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, quality=90)


def cohort_with_a_truncated_image(tmp_path):
    """The override that sets it, and the path of the image."""
    lines = ["patient_id,slide_id,path,label"]
    for i in range(12):
        save_noise(tmp_path / f"{i}.jpg", i)
        lines.append(f"p{i // 2},s{i // 2},{i}.jpg,{'ab'[i % 4 // 2]}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    broken = tmp_path / "3.jpg"
    broken.write_bytes(broken.read_bytes()[:1500])
    cohort = f"cohort={{name: manifest, path: {tmp_path / 'manifest.csv'}, tile_px: 32, max_unreadable: 0.5}}"
    return cohort, broken


def rows_of(problems):
    return list(csv.DictReader(problems.read_text().splitlines()))


def test_tiles_of_a_truncated_image_are_left_out_and_listed(experiment, tmp_path):
    cohort, broken = cohort_with_a_truncated_image(tmp_path)
    result = run_here("train", experiment, cohort, "train.steps=1", "loader.pack.max_unreadable=0.5")
    assert result.exit_code == 3, result.output  # finished, but for what cannot be read
    assert "left out, unreadable" in result.stderr
    assert "3.jpg" in result.stderr
    assert "1 images or tiles could not be read" in result.stderr
    (row,) = rows_of(tmp_path / "run" / "problems.csv")
    assert (row["slide"], row["place"], row["during"]) == (str(broken), "", "training")
    assert (tmp_path / "run" / "checkpoints" / "step-00000001").is_dir()
    assert run_here("embed", tmp_path / "run").exit_code == 3
    save_noise(broken, 3)  # mended: this embedding lacks nothing, and says so
    assert run_here("embed", tmp_path / "run").exit_code == 0


def test_tiles_that_fail_at_work_are_listed_by_place_and_the_work_is_finished(experiment, tmp_path):
    cohort, broken = cohort_with_a_truncated_image(tmp_path)
    asked = [cohort, "train.steps=4", "loader.pack=null", "split.test=0.34", "split.val=0", "train.max_unreadable=1"]
    assert run_here("train", experiment, *asked).exit_code == 3
    assert (tmp_path / "run" / "checkpoints" / "step-00000004").is_dir()
    assert run_here("embed", tmp_path / "run").exit_code == 3
    rows = rows_of(tmp_path / "run" / "problems.csv")
    assert {row["slide"] for row in rows} == {str(broken)}
    assert [row["place"] for row in rows if row["during"] == "embedding"] == ["0,0", "0,32", "32,0", "32,32"]
    assert any(row["during"] == "training" for row in rows)
    assert run_here("train", experiment, *asked).exit_code == 3  # nothing to do, and still so
