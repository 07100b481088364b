"""Slides of drawn tissue as files that say which slide they are; what reads them draws the pixels."""

from pathlib import Path

from hlss.cohorts.base import Cohort
from hlss.cohorts.phantom.reader import ENDING, PhantomFile
from hlss.cohorts.phantom.spec import DRAWING, drawn_slides
from hlss.cohorts.write.frame import Progress, frame_of, image_names, mpp0_of, slide_rows, write_manifest
from hlss.config import validate

LEAST_PX = 256  # longest side of a level below which there is none
STEP = 4.0  # from level to level


def write_drawn(cohort: Cohort, folder: Path, progress: Progress) -> None:
    """Every image of a phantom cohort as `slides/NAME.phantom`, and the manifest that pyramids have.

    Raises UserError for a cohort that is not drawn, and for slides larger than a file may say.
    """
    source = drawn_slides(cohort)
    frames = [frame_of(cohort, image) for image in range(cohort.n_images)]
    mpps = [mpp0_of(cohort, image, frame) for image, frame in enumerate(frames)]
    paths = [f"slides/{name}{ENDING}" for name in image_names(cohort)]
    (folder / "slides").mkdir(parents=True)
    for image, frame in enumerate(frames):
        patient, slide = divmod(int(cohort.image_number[image]), source.spec.slides)
        said = {
            "drawing": DRAWING,
            "cohort": source.spec,
            "patient": patient,
            "slide": slide,
            "width_px0": frame.width_px0,
            "height_px0": frame.height_px0,
            "mpp": mpps[image],
            "downsamples": downsamples(max(frame.width_px0, frame.height_px0)),
        }
        file = validate(said, PhantomFile, where=cohort.slides[cohort.image_slide[image]])
        (folder / paths[image]).write_text(file.text(), encoding="utf-8")
        progress(int(cohort.tiles.starts[image + 1]), cohort.n_tiles)
    write_manifest(folder / "manifest.csv", slide_rows(cohort, frames, mpps, paths))


def downsamples(side_px0: int) -> tuple[float, ...]:
    """Of the levels of a slide whose longest side is `side_px0`: level-0 px per px of each."""
    found = [1.0]
    while side_px0 / found[-1] > LEAST_PX:
        found.append(found[-1] * STEP)
    return tuple(found)
