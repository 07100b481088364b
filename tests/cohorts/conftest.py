"""Images whose pixels say where they are, and manifests over them."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Coded = Callable[[int, int], np.ndarray]
Write = Callable[..., Path]


@pytest.fixture
def write_csv(tmp_path: Path) -> Write:
    """write_csv(rows): a manifest below tmp_path; the columns are those of the first row."""

    def write(rows: list[dict[str, object]], name: str = "manifest.csv") -> Path:
        path = tmp_path / name
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write


@pytest.fixture
def small(tmp_path: Path, coded: Coded, write_csv: Write) -> Path:
    """Manifest of 3 patients, 4 slides, 5 images of 70×50 px (3×2 tiles of 20 px each)."""
    rows = [
        ("007", "a", "x.png", "lung", "s1"),
        ("007", "a", "y.png", "lung", "s1"),
        ("007", "b", "z.png", "kidney", "s1"),
        ("08", "c", "v.png", "kidney", "s2"),
        ("NA", "d", "w.png", "", ""),
    ]
    for i, (_, _, path, _, _) in enumerate(rows):
        Image.fromarray(coded(70, 50) + np.uint8(i)).save(tmp_path / path)
    names = ("patient_id", "slide_id", "path", "label", "site")
    return write_csv([dict(zip(names, row, strict=True)) for row in rows])
