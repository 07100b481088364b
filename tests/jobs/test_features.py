"""Training on stored features, through the commands' own functions: resumed to the bit, raw beside adapted."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from stored_features import hdf5_cohort, table
from text_vectors import sentences_of, vectors_file

from hlss.config import read_settings, validate
from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.experiment import Experiment
from hlss.jobs.embed import embed_run
from hlss.jobs.train import train_experiment
from hlss.train.checkpoint import Checkpoints

TRIDENT_HLSS = Path(__file__).parents[2] / "experiments" / "features" / "trident_hlss.yaml"


def silent(_: str) -> None:
    pass


def experiment(folder: Path, name: str = "features", **changes: Any) -> Experiment:
    if not (folder / "table").exists():
        table(width=16).write(folder / "table")
    tree = {
        "name": name,
        "out": folder / name,
        "cache": folder / "cache",
        "cohort": {"name": "embeddings", "path": folder / "table"},
        "split": {"kind": "given"},
        "batches": {"patients": 4, "slides": 2, "patches": 2, "views": 2},
        "views": {"preset": "features"},
        "encoder": {"name": "adapter", "width": 16, "words": {"name": "random", "dim": 16}},
        "language": {"bank": "phantom"},
        "objective": "hlss",
        "train": {"steps": 6, "checkpoint_every": 3, "log_every": 1},
    }
    return validate({**tree, **changes}, Experiment, where="test")


def weights(run: Path) -> dict[str, torch.Tensor]:
    encoder = experiment(run.parent).encoder.build()
    Checkpoints(run / "checkpoints").load_encoder("last", encoder)
    return encoder.state_dict()


def test_the_start_is_the_raw_table_and_the_end_another(tmp_path: Path) -> None:
    run = train_experiment(experiment(tmp_path), silent)
    raw = EmbeddingTable.read(tmp_path / "table")
    start = EmbeddingTable.read(embed_run(run, "start", None, [], say=silent))
    order = np.argsort(start["side"] == "test", kind="stable")
    np.testing.assert_array_equal(start.features[order], raw.features)
    for name, column in raw.columns.items():
        np.testing.assert_array_equal(start[name][order], column)
    last = EmbeddingTable.read(embed_run(run, "last", None, [], say=silent))
    assert np.abs(last.features - start.features).max() > 1e-3


def test_interrupted_training_ends_in_the_same_weights(tmp_path: Path) -> None:
    whole = train_experiment(experiment(tmp_path), silent)
    kept = weights(whole)
    shutil.rmtree(whole / "checkpoints" / "step-00000006")
    assert Checkpoints(whole / "checkpoints").steps() == [0, 3]
    train_experiment(experiment(tmp_path), silent)
    assert Checkpoints(whole / "checkpoints").steps()[-1] == 6
    for name, tensor in weights(whole).items():
        torch.testing.assert_close(tensor, kept[name], rtol=0, atol=0)


def test_hdf5_features_train_too(tmp_path: Path) -> None:
    cohort = hdf5_cohort(tmp_path)
    encoder = {"name": "adapter", "width": 12}
    batches = {"patients": 2, "slides": 1, "patches": 2}
    objective = {"name": "hidisc"}
    changed = experiment(tmp_path, cohort=cohort, encoder=encoder, batches=batches, objective=objective, language=None)
    run = train_experiment(changed, silent)
    assert len(EmbeddingTable.read(embed_run(run, "last", None, [], say=silent))) == 24


def trident_hlss(folder: Path, sentences: list[str]) -> Experiment:
    """The shipped experiment on six slides of 12 features and a file of these sentences' vectors."""
    cohort = hdf5_cohort(folder)
    overrides = [
        *(f"cohort.{key}={cohort[key]}" for key in ("manifest", "folder")),
        f"encoder.words.path={vectors_file(folder / 'sentences.npz', sentences, width=12)}",
        *("encoder.width=12", "split.kind=given", "batches={patients: 2, slides: 2, patches: 2}", "train.steps=4"),
        *(f"out={folder / 'run'}", f"cache={folder / 'cache'}"),
    ]
    return read_settings(TRIDENT_HLSS, Experiment, overrides)


def test_hdf5_features_train_with_vectors_of_their_own_text_tower(tmp_path: Path) -> None:
    said: list[str] = []
    sentences = sentences_of("general_he")
    run = train_experiment(trident_hlss(tmp_path, sentences), said.append)
    assert not any("not trained together" in line for line in said)
    start, last = (EmbeddingTable.read(embed_run(run, name, None, [], say=silent)) for name in ("start", "last"))
    assert len(start) == 24
    assert np.abs(last.features - start.features).max() > 1e-4
    stored = np.load(tmp_path / "sentences.npz")["vectors"][:4]
    four = stored / np.linalg.norm(stored, axis=1, keepdims=True)
    (cached,) = (tmp_path / "cache" / "texts").glob("*.safetensors")
    row = load_file(cached)["patch"][0]
    np.testing.assert_allclose(row, four.mean(axis=0) / np.linalg.norm(four.mean(axis=0)), rtol=1e-5)


def test_a_bank_with_a_sentence_more_than_the_file_is_refused(tmp_path: Path) -> None:
    *known, forgotten = sentences_of("general_he")
    with pytest.raises(UserError, match=re.escape(f"no vector for 1 of {len(known) + 1} sentences")) as error:
        train_experiment(trident_hlss(tmp_path, known), silent)
    assert forgotten[:60] in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder": {"name": "adapter", "width": 20}}, r"16 wide, the adapter expects 20.*encoder\.width=16"),
        ({"encoder": "tiny"}, "cohort has features, the encoder takes pixels"),
        ({"views": {"preset": "he"}}, "views are not for this cohort"),
        ({"cohort": {"name": "phantom", "patients": 4}, "split": {}}, "cohort has pixels, the encoder takes features"),
    ],
)
def test_what_does_not_fit_together_is_said(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    objective = {"name": "hidisc"}
    with pytest.raises(UserError) as error:
        train_experiment(experiment(tmp_path, objective=objective, language=None, **change), silent)
    assert re.search(message, str(error.value), re.DOTALL)


def test_stored_features_have_no_further_views(tmp_path: Path) -> None:
    run = train_experiment(experiment(tmp_path), silent)
    with pytest.raises(UserError, match="no further views"):
        embed_run(run, "last", None, [], view=1, say=silent)
