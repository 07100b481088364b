"""A run of known features: settings and embedding tables of its cohort's tiles, as `hlss embed` leaves them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from hlss.cohorts.base import Cohort
from hlss.cohorts.phantom.factors import FACTORS
from hlss.cohorts.phantom.truth import tile_truths
from hlss.config import read_settings, write_settings
from hlss.embedding_table import EmbeddingTable
from hlss.encoders.tiny import TinyText
from hlss.evaluate.embed import Identities
from hlss.experiment import Experiment
from hlss.language.bank import read_bank

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


def towards(name: str, level: str, factor: str) -> Features:
    """Features of the tiny tower's width that are made of the words of a characteristic of the bank `phantom` where a
    factor is drawn, and of noise.
    """

    def features(cohort: Cohort, labels: np.ndarray) -> np.ndarray:
        bank, tower = read_bank("phantom"), TinyText().build()
        words = tower.encode(dict(zip(bank.names(level), bank.texts(level), strict=True))[name]).numpy().mean(axis=0)
        truth = tile_truths(cohort, np.arange(cohort.n_tiles))[:, FACTORS.index(factor)]
        rest = np.random.default_rng(0).normal(size=(cohort.n_tiles, len(words))) / np.sqrt(len(words))
        return np.asarray((truth - 0.5)[:, None] * words / np.linalg.norm(words) + rest)

    return features
