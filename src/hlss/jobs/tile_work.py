"""One slide of `hlss tile`, whichever process does it."""

import time
from pathlib import Path

from hlss.errors import Unreadable
from hlss.jobs.claims import claimed
from hlss.jobs.hands import Busy, Outcome
from hlss.jobs.tile_cut import cut
from hlss.jobs.tile_folder import TileFolder
from hlss.jobs.tile_recipe import TileRecipe
from hlss.jobs.tile_slides import SlideFile
from hlss.jobs.tile_write import write_patches, write_picture, write_tiles
from hlss.slides.base import Slide
from hlss.slides.opening import open_slide


def tile_one(folder: TileFolder, root: Path, recipe: TileRecipe, began: float, slide: SlideFile) -> Outcome | Busy:
    """Cut a slide and say so last, unless another process does or did.

    began: of the whole work, by the folder's clock: a problem noted since is not met again.
    """
    with claimed(folder.claims / slide.name) as mine:
        if not mine:
            return Busy()
        if folder.is_done(slide):
            return Outcome.ALREADY
        if folder.problem_since(slide, began):
            return Outcome.PROBLEM
        folder.sweep(slide.name)
        try:
            _cut_and_write(folder, root, recipe, slide)
        except Unreadable as error:
            folder.note_problem(slide, error.reason)
            return Outcome.PROBLEM
        return Outcome.DONE


def _cut_and_write(folder: TileFolder, root: Path, recipe: TileRecipe, slide: SlideFile) -> None:
    start = time.monotonic()
    with _opened(root / slide.path, recipe, slide) as opened:
        found = cut(opened, recipe)
        write_patches(folder.patches(slide.name), found, recipe, opened.size_px0, opened.mpp or 0.0)
        write_tiles(folder.tiles(slide.name), found)
        write_picture(folder.picture(slide.name), found)
        folder.note_done(slide, opened, found, time.monotonic() - start)


def _opened(path: Path, recipe: TileRecipe, slide: SlideFile) -> Slide:
    opened = open_slide(path, slide.mpp, recipe.reader)
    if not slide.hash:
        opened.close()
        raise Unreadable(path, "its content cannot be read")
    if opened.mpp is None:
        opened.mpp = recipe.slide_mpp
    return opened
