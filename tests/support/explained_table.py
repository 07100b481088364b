"""Tables whose slides are made of known directions, and texts whose rows are such directions."""

from collections.abc import Sequence

import numpy as np

from hlss.embedding_table import EmbeddingTable
from hlss.explain.units import Wordings


def table_of(
    patients: int, slides: int, patches: int, dimensions: int, *, seed: int = 0, labels: Sequence[str] = ("",)
) -> EmbeddingTable:
    """Noise, rows shuffled; slide number s of all has `patches` + s mod 3 patches on a grid of 8 a row.

    Patient number p has label p mod their number.
    """
    rng = np.random.default_rng(seed)
    rows = [
        (p, p * slides + s, k) for p in range(patients) for s in range(slides) for k in range(patches + (p + s) % 3)
    ]
    patient, slide, place = np.array([rows[i] for i in rng.permutation(len(rows))]).T
    columns = {
        "patient": np.array([f"p{p:03d}" for p in patient], dtype=object),
        "slide": np.array([f"s{s:03d}" for s in slide], dtype=object),
        "label": np.array([labels[p % len(labels)] for p in patient], dtype=object),
        **{name: np.full(len(rows), "", dtype=object) for name in ("site", "image", "side")},
        "x_px0": place % 8 * 100,
        "y_px0": place // 8 * 100,
    }
    features = rng.standard_normal((len(rows), dimensions)).astype(np.float32)
    return EmbeddingTable(features, columns, {})


def moved(table: EmbeddingTable, column: str, name: str, by: np.ndarray) -> EmbeddingTable:
    """The same table with `by` added to the features of one slide, patient or label."""
    features = table.features + np.outer(table[column] == name, by).astype(np.float32)
    return EmbeddingTable(features, table.columns, table.provenance)


def unit_rows(count: int, dimensions: int, seed: int, around: float = 0.0) -> np.ndarray:
    """Random directions; around: how far all are moved to one that they share."""
    rows = np.random.default_rng(seed).standard_normal((count, dimensions))
    rows += around * np.random.default_rng(99).standard_normal(dimensions)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def wordings(count: int, dimensions: int, *, seed: int = 0, draws: int = 20, alike: float = 0.0) -> Wordings:
    """Texts at random, and random texts that lie `alike` near each other, as shuffled words do."""
    *random, spare = [unit_rows(count, dimensions, 1000 * (seed + 1) + draw, alike) for draw in range(draws + 1)]
    return Wordings([f"text {k}" for k in range(count)], unit_rows(count, dimensions, seed), random, spare)
