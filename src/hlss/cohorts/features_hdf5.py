"""A cohort from features that other tools extracted: a file a slide, and a manifest that says whose it is."""

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from hlss.cohorts.base import Cohort, CohortSpec
from hlss.cohorts.columns import Table, read_table
from hlss.cohorts.features import StoredFeatures, StoredImage, cohort_of_features
from hlss.cohorts.features_layouts import Layout, SlideFeatures, looked_for, slide_features
from hlss.cohorts.rows import identity, number, rows_of_slides
from hlss.errors import UserError
from hlss.registry import COHORTS


@COHORTS.register("features_hdf5")
class FeaturesHdf5Spec(CohortSpec):
    """One `<slide_id>.h5` a slide with `features` (n × d, or 1 × n × d) and `coords` (n × 2, level-0 px), or what
    another tool writes in its place.

    manifest:  CSV or Parquet with slide_id and patient_id, and label, site, split, mpp where there are any.
    folder:    of the HDF5 files, as TRIDENT and STAMP have them; CLAM keeps them in `h5_files` below; of slide2vec its
               output folder, with `tile_embeddings` and `tiles`.
    layout:    whose files they are; None: as they look.
    image_mpp: µm/px of level 0 of slides for which the manifest has none; STAMP's places need it, being in µm.
    where, columns: as for a manifest of images.
    """

    name: Literal["features_hdf5"] = "features_hdf5"
    manifest: Path
    folder: Path
    layout: Layout | None = None
    image_mpp: float | None = Field(default=None, gt=0)
    where: dict[str, list[str]] = Field(default_factory=dict)
    columns: dict[str, str] = Field(default_factory=dict)

    def open(self) -> Cohort:
        """Raises UserError, naming the slide, for a file that is missing, broken, not finite, or of another width."""
        table = read_table(self.manifest, self.columns)
        rows = rows_of_slides(table, self.where)
        slides = [self._features(table, row) for row in rows]
        first = slides[0]
        for slide in slides:
            if slide.width != first.width:
                what = f"features are {slide.width} wide, those of {first.path.name} {first.width}"
                raise UserError(what, where=slide.path, fix="Give features of one model.")
        ends = np.cumsum([len(slide.places) for slide in slides])
        together = np.empty((int(ends[-1]), first.width), dtype=np.result_type(*(slide.dtype for slide in slides)))
        images = []
        for at, (row, slide, end) in enumerate(zip(rows, slides, ends.tolist(), strict=True)):
            stored = np.arange(end - len(slide.places), end)
            slide.read_into(together[stored[0] : end])
            images.append(StoredImage(identity(table, row), at, slide.places, stored))
        source = StoredFeatures((together,), (None,), tuple(str(slide.path) for slide in slides))
        return cohort_of_features(self.manifest.stem, source, images, self, self.manifest)

    def _features(self, table: Table, row: int) -> SlideFeatures:
        slide, mpp0 = table.get("slide_id", row), number(table, "mpp", row) or self.image_mpp
        found = slide_features(self.folder, slide, self.layout, mpp0)
        if found is None:
            what = f"there is no {looked_for(slide, self.layout)}, for {table.where(row)}"
            raise UserError(what, where=self.folder, fix="Correct cohort.folder, or take the row out.")
        return found
