"""A run of known features: settings and embedding tables of its cohort's tiles, as `hlss embed` leaves them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from hlss.cohorts.base import Cohort
from hlss.config import read_settings, write_settings
from hlss.embedding_table import EmbeddingTable
from hlss.evaluate.embed import Identities
from hlss.experiment import Experiment

Features = Callable[[Cohort, np.ndarray], np.ndarray]  # of a cohort's tiles, with the label of each


def write_run(folder: Path, settings: Mapping[str, Any], tables: Mapping[str, Features]) -> Path:
    """A run's settings and tables of its cohort's tiles; tables: by checkpoint, features of n tiles."""
    folder.mkdir(parents=True)
    path = folder.with_suffix(".yaml")
    path.write_text(yaml.safe_dump({**settings, "out": str(folder), "cache": str(folder.parent / "cache")}))
    experiment = read_settings(path, Experiment)
    write_settings(experiment, folder / "config.yaml")
    cohort = experiment.cohort.open()
    rows = np.arange(cohort.n_tiles)
    sides = ["test" if patient // 2 % 2 else "train" for patient in cohort.tile_patient(rows).tolist()]
    columns = {**Identities(cohort, "").of(rows), "side": np.array(sides, dtype=object)}
    for name, features in tables.items():
        facts = {"method": f"{experiment.name} · {name}", "seed": 0, "fold": 0, "config_hash": experiment.hash}
        table = EmbeddingTable(features(cohort, columns["label"]).astype(np.float32), columns, facts)
        table.write(folder / "embeddings" / name)
    return folder


def noise(dimensions: int, seed: int = 0) -> Features:
    """Features that know nothing."""
    return lambda cohort, labels: np.random.default_rng(seed).standard_normal((len(labels), dimensions))
