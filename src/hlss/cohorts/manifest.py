"""A cohort from a manifest: one row an image (a whole region of a slide), as CSV or Parquet."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from hlss.cohorts.base import Cohort, CohortSpec
from hlss.cohorts.build import ImageRow, cohort_from_images
from hlss.cohorts.columns import ALIASES, Table, read_table
from hlss.cohorts.images import FlatImages
from hlss.cohorts.rows import (
    filtered,
    number,
    read_sizes,
    refuse_blank_or_twice,
    refuse_lacking,
    refuse_missing,
    refuse_shared_slides,
    slide_ids,
    told,
    too_many_unreadable,
)
from hlss.errors import UserError
from hlss.registry import COHORTS
from hlss.slides.grid import FINER


@COHORTS.register("manifest")
class ManifestSpec(CohortSpec):
    """Columns `patient_id, slide_id, path, label, split, site, mpp, width, height` (and their usual aliases); only
    patient and path are needed. Without slide_id every image is a slide of its own.

    path, root:   the table; the folder its paths start from (default: the table's own).
    image_mpp:    µm/px of images for which the manifest has none; needed only with a target `mpp`.
    overlap_px:   shared by neighbouring tiles.
    where:        keep rows whose column holds one of these values, as in {preparation: [ffpe]}; any column.
    columns:      which column means what, where names do not tell, as in {slide_id: block}.
    max_unreadable: share of images that may be unreadable (left out and listed) before opening is refused.
    allow_upsampling: take a target `mpp` finer than the images'.
    """

    name: Literal["manifest"] = "manifest"
    path: Path
    root: Path | None = None
    image_mpp: float | None = Field(default=None, gt=0)
    overlap_px: int = Field(default=0, ge=0)
    where: dict[str, list[str]] = Field(default_factory=dict)
    columns: dict[str, str] = Field(default_factory=dict)
    max_unreadable: float = Field(default=0.05, ge=0, le=1)
    allow_upsampling: bool = False

    @model_validator(mode="after")
    def _fits(self) -> "ManifestSpec":
        if self.overlap_px >= self.tile_px:
            raise ValueError(f"overlap_px={self.overlap_px} must be smaller than tile_px={self.tile_px}")
        unknown = sorted(set(self.columns) - set(ALIASES))
        if unknown:
            raise ValueError(f"columns: {unknown[0]!r} is no field; the fields are {', '.join(ALIASES)}")
        return self

    def open(self) -> Cohort:
        """Read the table and what image headers must tell. Raises UserError for anything that does not fit."""
        table = read_table(self.path, self.columns)
        refuse_lacking(table, ("patient_id", "path"))
        rows = filtered(table, self.where)
        refuse_blank_or_twice(table, rows)
        slides = slide_ids(table, rows)
        refuse_shared_slides(table, rows, slides)
        order = sorted(rows, key=lambda row: (table.get("patient_id", row), slides[row], table.get("path", row)))
        root = self.root if self.root is not None else self.path.parent
        refuse_missing(table, order, root)
        sizes, problems = read_sizes(table, order, root)
        if len(problems) > self.max_unreadable * len(order):
            raise too_many_unreadable(problems, len(order), self.max_unreadable, self.path)
        return self._cohort(table, root, [(row, slides[row], sizes[row]) for row in order if row in sizes], problems)

    def _cohort(
        self,
        table: Table,
        root: Path,
        found: Sequence[tuple[int, str, tuple[int, int]]],
        problems: tuple[tuple[str, str], ...],
    ) -> Cohort:
        mpps = [number(table, "mpp", row) or self.image_mpp for row, _, _ in found]
        self._refuse_mpps(table, [row for row, _, _ in found], mpps)
        images = [
            ImageRow(
                patient=table.get("patient_id", row),
                slide=slide,
                width_px0=width,
                height_px0=height,
                mpp=mpp,
                **told(table, row),
            )
            for (row, slide, (width, height)), mpp in zip(found, mpps, strict=True)
        ]
        notices: tuple[str, ...] = ()
        if self.mpp is None and len(set(mpps)) > 1:
            finest, coarsest = min(filter(None, mpps)), max(filter(None, mpps))
            notices = (
                f"images have several resolutions ({finest:g} to {coarsest:g} µm/px or unknown), kept as stored",
            )
        source = FlatImages(root, [table.get("path", row) for row, _, _ in found], [size for _, _, size in found], mpps)
        name = self.path.stem if self.path.stem != "manifest" else self.path.resolve().parent.name
        return cohort_from_images(
            name,
            source,
            images,
            self.tile_px,
            self.mpp,
            overlap_px=self.overlap_px,
            where=self.path,
            notices=notices,
            problems=problems,
        )

    def _refuse_mpps(self, table: Table, rows: Sequence[int], mpps: Sequence[float | None]) -> None:
        if self.mpp is None:
            return
        unknown = [row for row, mpp in zip(rows, mpps, strict=True) if mpp is None]
        if unknown:
            what = f"mpp is missing for {len(unknown)} images, and tiles at {self.mpp:g} µm/px are asked for"
            fix = "Fill the column `mpp`, or set cohort.image_mpp=."
            raise UserError(what, where=table.where(unknown[0]), fix=fix)
        known = [(mpp, row) for row, mpp in zip(rows, mpps, strict=True) if mpp is not None]
        coarsest, row = max(known, key=lambda pair: pair[0])
        if not self.allow_upsampling and self.mpp < coarsest * (1 - FINER):
            what = f"tiles at {self.mpp:g} µm/px are finer than this image, {coarsest:g} µm/px"
            fix = f"Set cohort.mpp={coarsest:g} or coarser, or cohort.allow_upsampling=true."
            raise UserError(what, where=table.where(row), fix=fix)
