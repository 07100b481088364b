"""A cohort from images in folders whose names say who they are: PATIENT/SLIDE/patch.png, and levels of your own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from hlss.cohorts.base import Cohort, CohortSpec
from hlss.cohorts.build import ImageRow, cohort_from_images
from hlss.cohorts.images import FlatImages
from hlss.cohorts.paths import files_below, refuse_case_clashes
from hlss.cohorts.rows import too_many_unreadable
from hlss.errors import Unreadable, UserError
from hlss.registry import COHORTS
from hlss.slides.decode import read_size
from hlss.slides.grid import FINER

ENDINGS = frozenset((".png", ".jpg", ".jpeg", ".tif", ".tiff"))
Folder = Literal["patient", "slide", "class", "site", "split", "any"]


@COHORTS.register("folder_tree")
class FolderTreeSpec(CohortSpec):
    """Every image below the root is cut into tiles; one of the tile's own size is one tile.

    levels:       what each folder on the way to an image says; `any` says nothing. Without `slide` every image is one.
    image_mpp:    µm/px of the images; needed only with a target `mpp`.
    overlap_px:   shared by neighbouring tiles.
    max_unreadable: share of images that may be unreadable (left out and listed) before opening is refused.
    """

    name: Literal["folder_tree"] = "folder_tree"
    root: Path
    levels: list[Folder] = Field(default=["patient", "slide"])
    image_mpp: float | None = Field(default=None, gt=0)
    overlap_px: int = Field(default=0, ge=0)
    max_unreadable: float = Field(default=0.05, ge=0, le=1)

    @model_validator(mode="after")
    def _fits(self) -> "FolderTreeSpec":
        named = [level for level in self.levels if level != "any"]
        twice = sorted({level for level in named if named.count(level) > 1})
        if twice or "patient" not in named:
            raise ValueError(f"levels name {twice[0]!r} twice" if twice else "levels must name the patient")
        if self.overlap_px >= self.tile_px:
            raise ValueError(f"overlap_px={self.overlap_px} must be smaller than tile_px={self.tile_px}")
        if self.mpp is not None and (self.image_mpp is None or self.mpp < (1 - FINER) * self.image_mpp):
            raise ValueError(f"mpp={self.mpp:g} needs an image_mpp that is no coarser")
        return self

    def open(self) -> Cohort:
        """Raises UserError for a folder without images, images at another depth, names that differ by case only, a
        patient in two splits, links that lead out of the root, and where too many images cannot be read.
        """
        paths = files_below(self.root, ENDINGS)
        if not paths:
            fix = f"Correct cohort.root; taken are {', '.join(sorted(ENDINGS))}."
            raise UserError("there is no image in this folder", where=self.root, fix=fix)
        self._refuse_other_depth(paths)
        refuse_case_clashes(paths, self.root)
        sizes, problems = dict[str, tuple[int, int]](), list[tuple[str, str]]()
        for path in paths:
            try:
                sizes[path] = read_size(self.root / path)
            except Unreadable as error:
                problems.append((error.path, error.reason))
        if len(problems) > self.max_unreadable * len(paths):
            raise too_many_unreadable(problems, len(paths), self.max_unreadable, self.root)
        rows = {path: self._row(path, size) for path, size in sizes.items()}
        order = sorted(rows, key=lambda path: (rows[path].patient, rows[path].slide, path))
        source = FlatImages(self.root, order, [sizes[path] for path in order], [self.image_mpp] * len(order))
        return cohort_from_images(
            self.root.resolve().name,
            source,
            [rows[path] for path in order],
            self.tile_px,
            self.mpp,
            overlap_px=self.overlap_px,
            where=self.root,
            problems=tuple(problems),
        )

    def _refuse_other_depth(self, paths: list[str]) -> None:
        wrong = [path for path in paths if path.count("/") != len(self.levels)]
        if wrong:
            form = "/".join([level.upper() for level in self.levels] + ["image"])
            what = f"{len(wrong)} of {len(paths)} images do not lie as {form}, the first {wrong[0]}"
            raise UserError(what, where=self.root, fix="Set cohort.levels=[…] to what each folder means.")

    def _row(self, path: str, size_px0: tuple[int, int]) -> ImageRow:
        *folders, file = path.split("/")
        said: Mapping[str, str] = dict(zip(self.levels, folders, strict=True))
        return ImageRow(
            patient=said["patient"],
            slide=said.get("slide", Path(file).stem),
            width_px0=size_px0[0],
            height_px0=size_px0[1],
            label=said.get("class"),
            site=said.get("site"),
            split=said.get("split"),
            mpp=self.image_mpp,
        )
