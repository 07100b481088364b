"""Example patches beside a characteristic under review: those of a run's cohort that match its words best and worst."""

from collections import OrderedDict
from functools import cached_property
from pathlib import Path
from threading import Lock

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from hlss.cohorts.base import Cohort
from hlss.embedding_table import IDS_FILE
from hlss.errors import UserError
from hlss.explain.extremes import Found, Search
from hlss.jobs.explain import NO_CLAIM
from hlss.jobs.explain_sources import Source, refuse_other_width, sources_of
from hlss.language.review.entries import Wording
from hlss.language.review.evidence import Evidence, Picture
from hlss.language.review.text_rows import TextRows
from hlss.slides.resample import resized
from hlss.types import Level

COUNT, SIDE_PX, KEPT = 4, 160, 64  # pictures each way; of a picture; characteristics whose pictures are kept
_UNIT = {Level.PATCH: "", Level.SLIDE: " (the slide)", Level.PATIENT: " (the patient)"}


class CohortEvidence:
    """Called with a characteristic as it is worded now, gives its Evidence under a run's image tower.

    Its four descriptions become one text as in training (language/encode.py). Patches are scored for the levels patch
    and all, slides and patients by their mean (explain/extremes.py). Only then, and only of what is shown, pixels are
    read. Tabs may ask at the same time.

    notices: what must be said beside the pictures. rows: the texts by the run's own tower.
    """

    def __init__(self, source: Source, count: int = COUNT) -> None:
        """Raises UserError where the run's texts are not as wide as its features."""
        self._source, self._count = source, count
        self.rows = TextRows(source.text.build())
        refuse_other_width(source, self.rows.encoder.dim)
        self._kept: OrderedDict[str, Evidence] = OrderedDict()
        self._lock = Lock()

    @property
    def notices(self) -> tuple[str, ...]:
        source = self._source
        other = source.table.provenance.get("config_hash") not in (None, source.experiment.hash)
        said = "the patches were embedded with other settings than the run's: pictures may not be what was embedded"
        return (*(() if source.aligned else (NO_CLAIM,)), *source.notices, *((said,) if other else ()))

    def __call__(self, wording: Wording) -> Evidence | None:
        """Raises UserError where the text tower cannot read the text whole, or no picture can be had."""
        row = self.rows.row(wording)
        with self._lock:
            if wording.mark not in self._kept:
                self._kept[wording.mark] = self._evidence(row, wording.level or Level.PATCH)
            self._kept.move_to_end(wording.mark)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return self._kept[wording.mark]

    def _evidence(self, row: ndarray, level: Level) -> Evidence:
        found = self._search.extremes(row, level, self._count)
        failed: list[UserError] = []
        best, worst = (
            tuple(self._picture(one, level, failed) for one in several) for several in (found.best, found.worst)
        )
        if len(failed) == len(best) + len(worst):
            raise failed[0]
        return Evidence(best, worst)

    def _picture(self, found: Found, level: Level, failed: list[UserError]) -> Picture:
        """A grey one, and the reason below it, where its pixels cannot be had."""
        table = self._source.table
        slide, x, y = (table[name][found.row] for name in ("slide", "x_px0", "y_px0"))
        caption = f"{slide}, x {x}, y {y} px: {found.sigma:+.1f} σ{_UNIT[level]}"
        try:
            pixels = self._patches.read(found.row)
        except UserError as error:
            failed.append(error)
            return Picture(png_of(np.full((SIDE_PX, SIDE_PX, 3), 128, np.uint8)), f"{caption}. {error}")
        return Picture(png_of(pixels), caption)

    @cached_property
    def _search(self) -> Search:
        return Search(self._source.table)

    @cached_property
    def _patches(self) -> "_Patches":
        return _Patches(self._source)


class _Patches:
    """Pixels of a table's rows, read from the cohort of its run."""

    def __init__(self, source: Source) -> None:
        """Raises UserError where the cohort cannot be opened, or has no pixels."""
        self._table, self._cohort = source.table, self._opened(source)
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

    @staticmethod
    def _opened(source: Source) -> Cohort:
        cohort: Cohort = source.experiment.cohort.open()
        if cohort.holds_features:
            raise UserError("this run's cohort has features, not pixels: there are no pictures", where=cohort.name)
        return cohort


def cohort_evidence(run: Path, side: str = "all") -> CohortEvidence:
    """Of a run (folder; its last embeddings are taken where it has several) or of an embedding table in one.

    side: of the split, whose patches are shown, or all. Raises UserError where there are no embeddings, or several and
    none is the last, where the side has no patch, or texts and features do not fit.
    """
    last = run / "embeddings" / "last"
    sources = sources_of([last if (last / IDS_FILE).is_file() else run], side)
    if len(sources) > 1:
        names = ", ".join(source.name for source in sources)
        raise UserError(f"several tables: {names}", where=run, fix="Name one: RUN/embeddings/NAME.")
    return CohortEvidence(sources[0])


def png_of(pixels: UInt8[ndarray, "h w 3"]) -> bytes:
    """RGB pixels as a PNG of at most SIDE_PX a side."""
    scale = SIDE_PX / max(pixels.shape[:2])
    if scale < 1:
        pixels = resized(pixels, (round(scale * pixels.shape[1]), round(scale * pixels.shape[0])))
    done, data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    assert done
    return bytes(data)
