"""Embedding tables and HDF5 files of features, made up for tests."""

from pathlib import Path
from typing import Any

import numpy as np

from hlss.embedding_table import EmbeddingTable

PATIENTS, SLIDES, TILES = 8, 2, 6  # of each patient, of each slide


def table(width: int = 12, seed: int = 0, classes: int = 2) -> EmbeddingTable:
    """Features of patients p0..p7; the first six train, the others are tested."""
    n = PATIENTS * SLIDES * TILES
    patient, slide = np.arange(n) // (SLIDES * TILES), np.arange(n) // TILES
    place = np.arange(n) % TILES
    columns: dict[str, Any] = {
        "patient": np.array([f"p{i}" for i in patient], dtype=object),
        "slide": np.array([f"s{i:02d}" for i in slide], dtype=object),
        "site": np.array([f"site {i % 2}" for i in patient], dtype=object),
        "image": np.array([f"s{i:02d}.svs" for i in slide], dtype=object),
        "label": np.array([f"class {i % classes}" for i in patient], dtype=object),
        "side": np.array(["train" if i < 6 else "test" for i in patient], dtype=object),
        "x_px0": place % 3 * 100,
        "y_px0": place // 3 * 100,
    }
    features = np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)
    return EmbeddingTable(features, columns, {})


def hdf5_slide(path: Path, features: np.ndarray, coords: np.ndarray) -> None:
    """A slide as TRIDENT and CLAM store it."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["features"] = features
        file["coords"] = coords


def hdf5_cohort(folder: Path, below: str = "", width: int = 12) -> dict[str, Any]:
    """A manifest and a file for each of its six slides; the settings that open them."""
    random = np.random.default_rng(0)
    lines = ["slide_id,patient_id,label,site,split"]
    for slide in range(6):
        coords = np.column_stack([np.arange(4) * 512, np.full(4, 256)])
        hdf5_slide(
            folder / "features" / below / f"s{slide}.h5", random.normal(size=(4, width)).astype(np.float32), coords
        )
        lines.append(f"s{slide},{slide // 2:03d},class {slide // 2},x,{'test' if slide > 3 else 'train'}")
    (folder / "slides.csv").write_text("\n".join(lines) + "\n")
    return {"name": "features_hdf5", "manifest": folder / "slides.csv", "folder": folder / "features"}
