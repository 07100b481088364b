"""Example patches beside a characteristic under review: those of a run's cohort that match its words best and worst."""

from collections import OrderedDict
from functools import cached_property
from pathlib import Path
from threading import Lock

import numpy as np
from numpy import ndarray

from hlss.errors import UserError
from hlss.explain.extremes import Found, Search
from hlss.jobs.chosen_table import table_of
from hlss.jobs.explain_sources import Source, refuse_other_width, sources_of
from hlss.jobs.table_pixels import SIDE_PX, TablePixels, pixel_notices, png_of
from hlss.language.review.entries import Wording
from hlss.language.review.evidence import Evidence, Picture
from hlss.language.review.text_rows import TextRows
from hlss.types import Level

COUNT, KEPT = 4, 64  # pictures each way; characteristics whose pictures are kept
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
        return pixel_notices(self._source)

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
    def _patches(self) -> TablePixels:
        return TablePixels(self._source.table, self._source.experiment)


def cohort_evidence(run: Path, side: str = "all") -> CohortEvidence:
    """Of a run (folder; its last embeddings are taken where it has several) or of an embedding table in one.

    side: of the split, whose patches are shown, or all. Raises UserError where there are no embeddings, or several and
    none is the last, where the side has no patch, or texts and features do not fit.
    """
    return CohortEvidence(sources_of([table_of(run)], side)[0])
