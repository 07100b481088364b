"""Cohorts to be written."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hlss.cohorts.base import Cohort, TileSource
from hlss.cohorts.manifest import ManifestSpec
from hlss.cohorts.phantom import PhantomSpec


class Opaque(TileSource):
    """Pixels that say where they are, of images whose size nobody tells."""

    fingerprint = "opaque"

    def image_name(self, image: int) -> str:
        return f"opaque {image}"

    def read(self, image: int, xy_px0: tuple[int, int], tile_px: int, mpp: float | None) -> np.ndarray:
        return np.full((tile_px, tile_px, 3), (image, *xy_px0), dtype=np.uint8)


@pytest.fixture
def drawn() -> Cohort:
    """3 patients, 6 slides, 24 tiles of 32 px at 1 µm/px, drawn at 0.5."""
    return PhantomSpec(patients=3, slides=2, side=2, tile_px=32, mpp=1.0).open()


@pytest.fixture
def stored(small: Path) -> Cohort:
    """The manifest `small` at twice its µm/px: 5 images of 70×50 px, 3 patients; two images are of one slide."""
    return ManifestSpec(path=small, tile_px=10, mpp=0.8, image_mpp=0.4).open()


@pytest.fixture
def without_mpp(small: Path) -> Cohort:
    return ManifestSpec(path=small, tile_px=20).open()


@pytest.fixture
def opaque(without_mpp: Cohort) -> Cohort:
    return replace(without_mpp, source=Opaque())
