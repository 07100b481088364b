"""Pictures of a table's patches, read from the cohort of the run that the table lies in."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from hlss.cohorts.base import Cohort
from hlss.cohorts.pack import packed_already
from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.experiment import Experiment
from hlss.jobs.explain import NO_CLAIM
from hlss.jobs.explain_sources import Source
from hlss.slides.resample import resized

SIDE_PX = 160  # of a picture
OTHER_SETTINGS = "the patches were embedded with other settings than the run's: pictures may not be what was embedded"


class TablePixels:
    """Pixels of a table's rows, each read when it is asked for."""

    def __init__(self, table: EmbeddingTable, experiment: Experiment) -> None:
        """Raises UserError where the cohort cannot be opened, or has no pixels."""
        self._table, self._cohort = table, _opened(experiment)
        self._slide = {name: number for number, name in enumerate(self._cohort.slides)}

    def read(self, row: int) -> UInt8[ndarray, "p p 3"]:
        """Raises Unreadable; UserError where the cohort does not have the patch."""
        table, cohort = self._table, self._cohort
        slide, place = str(table["slide"][row]), (int(table["x_px0"][row]), int(table["y_px0"][row]))
        number = self._slide.get(slide)
        tiles = np.empty(0, np.int64) if number is None else cohort.slide_tiles(number)
        tiles = tiles[(cohort.tile_xy_px0(tiles) == place).all(axis=1)]
        if len(tiles) > 1:  # one in each image of the slide
            tiles = tiles[[self._image(tile) == Path(str(table["image"][row])).name for tile in tiles.tolist()]]
        if len(tiles) != 1:
            fix = "Embed the cohort again."
            raise UserError(f"the run's cohort has no patch at x {place[0]}, y {place[1]}", where=slide, fix=fix)
        return cohort.read_tile(int(tiles[0]))

    def _image(self, tile: int) -> str:
        """Name of the file that a tile is of, wherever it lies now."""
        return Path(self._cohort.source.image_name(self._cohort.source_image(tile))).name


def _opened(experiment: Experiment) -> Cohort:
    """From the run's pack where it stands, which is faster than the slides."""
    cohort: Cohort = experiment.cohort.open()
    if cohort.holds_features:
        raise UserError("this run's cohort has features, not pixels: there are no pictures", where=cohort.name)
    pack = experiment.loader.pack
    stored = None if pack is None else packed_already(cohort, experiment.cache / "packs", pack)
    return cohort if stored is None else stored


def other_settings(table: EmbeddingTable, experiment: Experiment) -> bool:
    """Whether a table is known to be embedded with other settings than its run's."""
    return table.provenance.get("config_hash") not in (None, experiment.hash)


def pixel_notices(source: Source) -> tuple[str, ...]:
    """What must be said beside pictures and scores of a source."""
    other = (OTHER_SETTINGS,) if other_settings(source.table, source.experiment) else ()
    return (*(() if source.aligned else (NO_CLAIM,)), *source.notices, *other)


def at_most(pixels: UInt8[ndarray, "h w 3"], side_px: int) -> UInt8[ndarray, "h2 w2 3"]:
    """As they are, or made smaller until no side is longer."""
    scale = side_px / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    return resized(pixels, (round(scale * pixels.shape[1]), round(scale * pixels.shape[0])))


def png_of(pixels: UInt8[ndarray, "h w 3"], side_px: int = SIDE_PX) -> bytes:
    """RGB pixels as a PNG of at most side_px a side."""
    done, data = cv2.imencode(".png", cv2.cvtColor(at_most(pixels, side_px), cv2.COLOR_RGB2BGR))
    assert done
    return bytes(data)
