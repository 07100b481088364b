"""A cohort of whole-slide files that `hlss tile` cut; pixels are read from the slides."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from hlss.cohorts.base import Cohort, CohortSpec
from hlss.cohorts.build import ImageRow
from hlss.cohorts.columns import Table, read_table
from hlss.cohorts.cut import CutSlides, cohort_of_cut, read_cut
from hlss.cohorts.rows import TOLD, filtered, refuse_blank, refuse_lacking, told
from hlss.errors import UserError
from hlss.registry import COHORTS


@COHORTS.register("slides")
class SlidesSpec(CohortSpec):
    """Slides with their tiles, patients and labels.

    tiles:    the output folder of `hlss tile`, whose tile_px and mpp hold.
    manifest: says whose the slides are (slide_id or path, patient_id, label, site, split); default: what the manifest
              said that the slides were cut from. Slides it does not list are left out. Without any, each slide is a
              patient of its own, and that is said.
    where, columns: as for a manifest of images.
    srgb:     colours as each slide's profile means them, brought to sRGB; slides without one stay as they are.
    """

    name: Literal["slides"] = "slides"
    tile_px: int = Field(default=0, ge=0)
    tiles: Path
    manifest: Path | None = None
    where: dict[str, list[str]] = Field(default_factory=dict)
    columns: dict[str, str] = Field(default_factory=dict)
    srgb: bool = False

    def open(self) -> Cohort:
        """Raises UserError for a folder that is not finished, other tiles than asked for, and slides nobody knows."""
        cut = read_cut(self.tiles)
        cut.refuse_other_tiles(self.tile_px, self.mpp)
        name = self.tiles.resolve().name
        if self.manifest is not None:
            return cohort_of_cut(name, cut, self._listed(cut, self.manifest), self.manifest, srgb=self.srgb)
        patients = cut.identity["patient_id"]
        lacking = [one for one, patient in zip(cut.names, patients, strict=True) if not patient]
        if lacking and len(lacking) < len(patients):
            what = f"{len(lacking)} of {len(patients)} slides have no patient, as {lacking[0]!r}"
            raise UserError(what, where=self.tiles, fix="Give cohort.manifest= with slide_id and patient_id of all.")
        every = range(len(cut.names))
        said = [{key: cut.identity[key][one] or None for key in TOLD} for one in every]
        rows = {one: cut.row(one, patients[one] or cut.names[one], **said[one]) for one in every}
        alone = ("no manifest says whose the slides are: each counts as a patient of its own",) if lacking else ()
        return cohort_of_cut(name, cut, rows, self.tiles, alone, srgb=self.srgb)

    def _listed(self, cut: CutSlides, manifest: Path) -> dict[int, ImageRow]:
        """The slides that the manifest lists."""
        table = read_table(manifest, self.columns)
        refuse_lacking(table, ("patient_id",))
        numbers = _numbers(cut)
        found: dict[int, ImageRow] = {}
        for row in filtered(table, self.where):
            slide = self._slide(table, row, numbers)
            if slide in found:
                raise UserError("this slide is listed before", where=table.where(row), fix="Remove one of the rows.")
            refuse_blank(table, row, ("patient_id",))
            found[slide] = cut.row(slide, table.get("patient_id", row), **told(table, row))
        return found

    def _slide(self, table: Table, row: int, numbers: dict[str, int]) -> int:
        names = [name for key in ("slide_id", "path") if (name := table.get(key, row))]
        for name in (*names, *(Path(name).stem for name in names)):
            if name in numbers:
                return numbers[name]
        what = f"slide {names[0]!r} was not cut" if names else "neither slide_id nor path says which slide"
        raise UserError(what, where=table.where(row), fix=f"Cut it (`hlss tile … --out {self.tiles}`), or take it out.")


def _numbers(cut: CutSlides) -> dict[str, int]:
    """Slides by the names that a manifest may have for them."""
    ids, stems = cut.identity["slide_id"], (Path(path).stem for path in cut.paths)
    found = {name: number for names in (stems, ids, cut.names, cut.paths) for number, name in enumerate(names)}
    found.pop("", None)
    return found
