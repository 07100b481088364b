"""Pictures of a table's patches, read from the cohort of the run that the table lies in."""

import cv2
from jaxtyping import UInt8
from numpy import ndarray

from hlss.cohorts.base import Cohort
from hlss.cohorts.pack import packed_already
from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.experiment import Experiment
from hlss.jobs.explain_sources import Source
from hlss.jobs.tiles_of_rows import TilesOfRows
from hlss.slides.resample import resized

SIDE_PX = 160  # of a picture
OTHER_SETTINGS = "the patches were embedded with other settings than the run's: pictures may not be what was embedded"


class TablePixels:
    """Pixels of a table's rows, each read when it is asked for."""

    def __init__(self, table: EmbeddingTable, experiment: Experiment) -> None:
        """Raises UserError where the cohort cannot be opened, or has no pixels."""
        self._table, self._cohort = table, _opened(experiment)
        self._tiles = TilesOfRows(self._cohort)

    def read(self, row: int) -> UInt8[ndarray, "p p 3"]:
        """Raises Unreadable; UserError where the cohort does not have the patch."""
        return self._cohort.read_tile(int(self._tiles.tiles(self._table, [row])[0]))


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
    return (*source.no_claim, *source.notices, *other)


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
