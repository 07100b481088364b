"""A cohort whose pixels say where they come from, and one image of which can be made unreadable."""

from collections.abc import Callable

import numpy as np
import pytest

from hlss.cohorts.base import Cohort, TileSource
from hlss.cohorts.build import ImageRow, cohort_from_images
from hlss.errors import Unreadable


class Places(TileSource):
    """Red is the image's number, green x, blue y."""

    def __init__(self, broken: frozenset[int] = frozenset()) -> None:
        self.broken = broken

    @property
    def fingerprint(self) -> str:
        return "places"

    def image_name(self, image: int) -> str:
        return f"image {image}"

    def read(self, image, xy_px0, tile_px, mpp):
        if image in self.broken:
            raise Unreadable(self.image_name(image), "broken on purpose")
        x, y = np.meshgrid(xy_px0[0] + np.arange(tile_px), xy_px0[1] + np.arange(tile_px))
        return np.stack([np.full_like(x, image), x, y], axis=-1).astype(np.uint8)


@pytest.fixture
def make_cohort() -> Callable[..., Cohort]:
    """patients: for each, the sides (in tiles) of its slides' images; labels, sites: of each patient."""

    def make(patients, labels=None, broken=(), tile_px=16, sites=None) -> Cohort:
        images = [
            ImageRow(
                f"p{p:07d}",
                f"p{p:07d}-s{s}",
                side * tile_px,
                side * tile_px,
                labels[p] if labels else None,
                sites[p] if sites else None,
            )
            for p, sides in enumerate(patients)
            for s, side in enumerate(sides)
        ]
        return cohort_from_images("places", Places(frozenset(broken)), images, tile_px)

    return make
