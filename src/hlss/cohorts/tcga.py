"""A cohort of TCGA's slides as the GDC hands them out, cut by `hlss tile`; barcodes say who they are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from hlss.cohorts.barcode import Barcode, Kind, Sample, barcode_of, patient_of
from hlss.cohorts.base import Cohort, CohortSpec
from hlss.cohorts.build import ImageRow
from hlss.cohorts.columns import Table, read_table
from hlss.cohorts.cut import CutSlides, cohort_of_cut, read_cut
from hlss.cohorts.gdc import manifest_of, read_manifest, why_incomplete
from hlss.cohorts.rows import filtered, too_many_unreadable
from hlss.errors import UserError
from hlss.registry import COHORTS

Told = tuple[str | None, str | None]  # label, split


@COHORTS.register("tcga")
class TcgaSpec(CohortSpec):
    """Patient, slide and tissue source site are read off the names of the files.

    tiles:    the output folder of `hlss tile`, whose tile_px and mpp hold.
    root:     the download folder; default: where the slides lay when they were cut.
    manifest: the GDC's, by which incomplete downloads are found; default: `gdc_manifest*.txt` in or beside the root.
    kinds, sample: which slides: DX are diagnostic, TS, BS, MS frozen; samples are tumour, normal or control.
    labels:   a table of patient_id (or slide_id) and label, and split where there is one; several rows of a patient
              must agree. Patients it does not name have no label.
    where, columns: of that table, as for a manifest of images: {patient_id: case_submitter_id, label: project_id}.
    max_unreadable: share of slides that may be incomplete (left out and listed) before opening is refused.
    srgb:     as of the cohort `slides`.
    """

    name: Literal["tcga"] = "tcga"
    tile_px: int = Field(default=0, ge=0)
    tiles: Path
    root: Path | None = None
    manifest: Path | None = None
    kinds: list[Kind] = Field(default=["DX"], min_length=1)
    sample: list[Sample] = Field(default=["tumour"], min_length=1)
    labels: Path | None = None
    where: dict[str, list[str]] = Field(default_factory=dict)
    columns: dict[str, str] = Field(default_factory=dict)
    max_unreadable: float = Field(default=0.05, ge=0, le=1)
    srgb: bool = False

    def open(self) -> Cohort:
        """Raises UserError for tiles that are not all cut or other than asked for, a slide that is there twice, labels
        that contradict each other, and a download of which too much is missing.
        """
        cut = read_cut(self.tiles)
        cut.refuse_other_tiles(self.tile_px, self.mpp)
        if self.root is not None:
            cut = replace(cut, root=self.root)
        found, unknown = self._slides(cut)
        problems = self._incomplete(cut)
        broken = {Path(path).name for path, _ in problems}
        told = {} if self.labels is None else _told(read_table(self.labels, self.columns), self.where)
        rows: dict[int, ImageRow] = {}
        for number, code in found.items():
            if Path(cut.paths[number]).name not in broken:
                label, split = told.get(code.slide, told.get(code.patient, (None, None)))
                row = cut.row(number, code.patient, label=label, site=code.site, split=split)
                rows[number] = replace(row, slide=code.slide)
        notices = [*_left_out(unknown, len(cut.paths) - len(unknown) - len(found)), *_unlabelled(rows, self.labels)]
        cohort = cohort_of_cut(self.tiles.resolve().name, cut, rows, self.tiles, notices, srgb=self.srgb)
        return replace(cohort, problems=cohort.problems + tuple(problems))

    def _slides(self, cut: CutSlides) -> tuple[dict[int, Barcode], list[str]]:
        """The slides that are wanted, by their number, and those whose names are no barcodes."""
        found, unknown, numbers = dict[int, Barcode](), list[str](), dict[str, int]()
        for number, path in enumerate(cut.paths):
            code = barcode_of(Path(path).name)
            if code is None:
                unknown.append(path)
            elif self._wants(code):
                other = numbers.setdefault(code.slide, number)
                if other != number:
                    what = f"slide {code.slide} is there twice: {cut.paths[other]} and {path}"
                    raise UserError(what, where=cut.root, fix="Keep one of the two, and cut the slides anew.")
                found[number] = code
        if not found:
            what = f"none of {len(cut.paths)} slides is one of {', '.join(self.kinds)} of {', '.join(self.sample)}"
            raise UserError(what, where=self.tiles, fix="Widen cohort.kinds or cohort.sample.")
        return found, unknown

    def _wants(self, code: Barcode | None) -> bool:
        return code is not None and code.kind in self.kinds and code.sample in self.sample

    def _incomplete(self, cut: CutSlides) -> list[tuple[str, str]]:
        """Slides of the GDC's manifest that are wanted and not whole, or not cut: (path, reason)."""
        path = self.manifest or manifest_of(cut.root)
        if path is None:
            return []
        table = read_manifest(path)
        wanted = [row for row in range(len(table)) if self._wants(barcode_of(table.get("filename", row)))]
        problems = [problem for row in wanted if (problem := why_incomplete(cut.root, table, row)) is not None]
        named = {Path(path).name for path in cut.paths} | {Path(path).name for path, _ in problems}
        not_cut = sorted({table.get("filename", row) for row in wanted} - named)
        problems += [(name, f"it was not cut; {self.tiles / 'problems.json'} may say why") for name in not_cut]
        if len(problems) > self.max_unreadable * len(wanted):
            raise too_many_unreadable(problems, len(wanted), self.max_unreadable, path)
        return problems


def _told(table: Table, where: dict[str, list[str]]) -> dict[str, Told]:
    """Label and split by slide or patient."""
    key = next((name for name in ("slide_id", "patient_id") if name in table.columns), None)
    if key is None:
        known = f"It has: {', '.join(table.columns)}. Say which: cohort.columns={{patient_id: …, label: …}}."
        raise UserError("has no column for patient_id", where=table.path, fix=known)
    told: dict[str, Told] = {}
    for row in filtered(table, where):
        name = table.get(key, row)
        name = name.partition(".")[0] if key == "slide_id" else patient_of(name)
        said = (table.get("label", row) or None, table.get("split", row) or None)
        if told.setdefault(name, said) != said:
            what = f"{name} is {_words(said)} here and {_words(told[name])} in a row before"
            raise UserError(what, where=table.where(row), fix="Give it one label, or choose another column.")
    return told


def _words(said: Told) -> str:
    return " ".join(repr(one) for one in said if one is not None) or "without label"


def _left_out(unknown: Sequence[str], others: int) -> Iterator[str]:
    if unknown:
        yield f"{len(unknown)} slides are not named by a TCGA barcode and are left out, as {unknown[0]}"
    if others:
        yield f"{others} slides are of other kinds or samples than asked for"


def _unlabelled(rows: Mapping[int, ImageRow], labels: Path | None) -> Iterator[str]:
    without = sorted({row.patient for row in rows.values() if row.label is None})
    if without and labels is not None:
        yield f"{len(without)} patients have no label, as {without[0]}"
