"""The features of a slide in TRIDENT's layout: `features` (n, d) float32, `coords` (n, 2) int64, level-0 px."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64
from numpy import ndarray

from hlss.cohorts.build import scale_of
from hlss.cohorts.write.hdf5 import Disk, overlap_px_of
from hlss.slides.grid import extent_px0
from hlss.slides.trident import trident_attributes


@dataclass(frozen=True)
class Geometry:
    """What is known of a slide's tiles. tile_px: side, px; mpp: µm/px of a tile (None: as level 0 has it); mpp0,
    size_px0: µm/px and (width, height) of level 0.
    """

    tile_px: int | None = None
    mpp: float | None = None
    mpp0: float | None = None
    size_px0: tuple[int, int] | None = None

    @property
    def extent_px0(self) -> int | None:
        """Side of what a tile covers, px of level 0; None where that cannot be known."""
        if self.tile_px is None or (self.mpp is not None and self.mpp0 is None):
            return None
        return extent_px0(self.tile_px, scale_of(self.mpp0, self.mpp))

    def attributes(self, name: str, coords: Int64[ndarray, "n 2"], folder: str) -> dict[str, Any]:
        """TRIDENT's attributes of `coords`; what is not known is left out."""
        extent = self.extent_px0
        overlap = None if extent is None or self.tile_px is None else overlap_px_of(coords, extent, self.tile_px)
        return trident_attributes(
            name,
            self.tile_px,
            self.mpp,
            self.mpp0,
            extent_px0=extent,
            size_px0=self.size_px0,
            overlap_px=overlap,
            folder=folder,
        )


def write_slide_features(
    path: Path,
    features: Float32[ndarray, "n d"],
    coords: Int64[ndarray, "n 2"],
    geometry: Geometry,
    folder: str,
    *,
    facts: Mapping[str, Any] | None = None,
    more: Mapping[str, ndarray] | None = None,
) -> None:
    """Write one slide's file, called NAME.h5. Callers see to it that it appears whole (`hlss.files.replacing`).

    folder: where TRIDENT would say the file was saved; facts: attributes of the file itself; more: datasets beside
    the two. The same arguments give the same bytes. Raises OSError where writing fails.
    """
    import h5py

    with Disk(path) as disk:
        with h5py.File(disk, "w") as file:
            stored = file.create_dataset("features", data=features.astype(np.float32, copy=False))
            places = file.create_dataset("coords", data=coords.astype(np.int64, copy=False))
            name = (facts or {}).get("name", path.stem)
            stored.attrs.update({"name": name, "savetodir": folder})
            places.attrs.update(geometry.attributes(name, coords, folder))
            file.attrs.update(facts or {})
            for kind, values in (more or {}).items():
                file.create_dataset(kind, data=values)
        disk.check()
