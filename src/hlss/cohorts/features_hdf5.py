"""A cohort from features that TRIDENT or CLAM extracted: one HDF5 a slide, and a manifest that says whose it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy import ndarray
from pydantic import Field

from hlss.cohorts.base import Cohort, CohortSpec
from hlss.cohorts.build import ImageRow
from hlss.cohorts.columns import Table, read_table
from hlss.cohorts.features import StoredFeatures, StoredImage, cohort_of_features, refuse_non_finite
from hlss.cohorts.rows import filtered, refuse_shared_slides
from hlss.errors import UserError
from hlss.registry import COHORTS

_FIX = "Extract the features of this slide again, or take its row out."


@COHORTS.register("features_hdf5")
class FeaturesHdf5Spec(CohortSpec):
    """One `<slide_id>.h5` a slide with `features` (n × d, or 1 × n × d) and `coords` (n × 2, level-0 px).

    manifest: CSV or Parquet with slide_id and patient_id, and label, site, split where there are any.
    folder:   of the HDF5 files, as TRIDENT has them; CLAM keeps them in `h5_files` below.
    where, columns: as for a manifest of images.
    """

    name: Literal["features_hdf5"] = "features_hdf5"
    manifest: Path
    folder: Path
    where: dict[str, list[str]] = Field(default_factory=dict)
    columns: dict[str, str] = Field(default_factory=dict)

    def open(self) -> Cohort:
        """Raises UserError, naming the slide, for a file that is missing, broken, not finite, or of another width."""
        table = read_table(self.manifest, self.columns)
        rows = self._rows(table)
        files = [self._file(table, row) for row in rows]
        slides = [_looked_at(path) for path in files]
        first = slides[0]
        for slide in slides:
            if slide.width != first.width:
                what = f"features are {slide.width} wide, those of {first.path.name} {first.width}"
                raise UserError(what, where=slide.path, fix="Give features of one model.")
        ends = np.cumsum([len(slide.places) for slide in slides])
        together = np.empty((int(ends[-1]), first.width), dtype=np.result_type(*(slide.dtype for slide in slides)))
        images = []
        for number, (row, slide, end) in enumerate(zip(rows, slides, ends.tolist(), strict=True)):
            stored = np.arange(end - len(slide.places), end)
            slide.read_into(together[stored[0] : end])
            images.append(StoredImage(_identity(table, row), number, slide.places, stored))
        source = StoredFeatures((together,), (None,), tuple(map(str, files)))
        return cohort_of_features(self.manifest.stem, source, images, self, self.manifest)

    def _rows(self, table: Table) -> list[int]:
        for needed in ("patient_id", "slide_id"):
            if needed not in table.columns:
                known = f"It has: {', '.join(table.columns)}. Rename one, or say which: cohort.columns={{{needed}: …}}."
                raise UserError(f"has no column for {needed}", where=self.manifest, fix=known)
        rows, seen = filtered(table, self.where), dict[str, int]()
        for row in rows:
            for needed in ("patient_id", "slide_id"):
                if not table.get(needed, row):
                    raise UserError(f"{needed} is empty", where=table.where(row), fix="Fill it in or remove the row.")
            slide = table.get("slide_id", row)
            if slide in seen:
                what = f"slide {slide!r} is listed before, in {table.where(seen[slide])}"
                raise UserError(what, where=table.where(row), fix="Remove one of the two rows.")
            seen[slide] = row
        refuse_shared_slides(table, rows, {row: table.get("slide_id", row) for row in rows})
        return rows

    def _file(self, table: Table, row: int) -> Path:
        name = f"{table.get('slide_id', row)}.h5"
        for path in (self.folder / name, self.folder / "h5_files" / name):
            if path.is_file():
                return path
        what = f"there is no {name}, nor h5_files/{name}, for {table.where(row)}"
        raise UserError(what, where=self.folder, fix="Correct cohort.folder, or take the row out.")


def _identity(table: Table, row: int) -> ImageRow:
    return ImageRow(
        patient=table.get("patient_id", row),
        slide=table.get("slide_id", row),
        width_px0=0,
        height_px0=0,
        label=table.get("label", row) or None,
        site=table.get("site", row) or None,
        split=table.get("split", row) or None,
    )


@dataclass(frozen=True)
class _Slide:
    """What a file holds, before its features are read: each is read once, straight to where it stays."""

    path: Path
    places: ndarray
    width: int
    dtype: np.dtype[Any]

    def read_into(self, target: ndarray) -> None:
        with _opened(self.path) as file:
            stored = file["features"]
            stored.read_direct(target[None] if stored.ndim == 3 else target)
        refuse_non_finite(target, self.path)


def _looked_at(path: Path) -> _Slide:
    """Raises UserError where features and coords are missing or do not belong together."""
    with _opened(path) as file:
        shape, dtype, places = file["features"].shape, file["features"].dtype, file["coords"][()]
    count, width = shape[-2:] if len(shape) == 2 or (len(shape) == 3 and shape[0] == 1) else (0, 0)
    if count == 0 or places.shape != (count, 2):
        what = f"features of shape {shape} and coords of shape {places.shape} do not belong together"
        raise UserError(what, where=path, fix=_FIX)
    return _Slide(path, places, width, np.dtype(np.float16 if dtype == np.float16 else np.float32))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    h5py = _h5py()
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, TypeError) as error:
        raise UserError(f"cannot be read: {error!s:.200}", where=path, fix=_FIX) from error


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        what = "features in HDF5 need the package h5py"
        raise UserError(what, where="cohort", fix="Install it: pip install 'hlss[hdf5]'.") from error
    return h5py
