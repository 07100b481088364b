"""`hlss phantom`: a cohort written out as the world stores slides."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from hlss.cohorts.base import Cohort
from hlss.cohorts.phantom.spec import PhantomSpec
from hlss.cohorts.write.drawn import write_drawn
from hlss.cohorts.write.folder import write_images, write_tiles
from hlss.cohorts.write.frame import Progress
from hlss.cohorts.write.hdf5 import write_hdf5s
from hlss.cohorts.write.opensrh import write_opensrh
from hlss.cohorts.write.pyramid import write_pyramids
from hlss.config import overridden, validate
from hlss.errors import UserError
from hlss.files import replacing
from hlss.jobs.setup import Say, now_and_then
from hlss.jobs.train import say_once

Writer = Callable[[Cohort, Path, Progress], None]

LAYOUTS: Mapping[str, Writer] = {
    "pyramid": write_pyramids,
    "drawn": write_drawn,
    "opensrh": write_opensrh,
    "clam": partial(write_hdf5s, flavour="clam"),
    "trident": partial(write_hdf5s, flavour="trident"),
    "tiles": write_tiles,
    "images": write_images,
}


def write_phantom(out: Path, layout: str, overrides: Sequence[str], say: Say = say_once) -> Path:
    """Draw a phantom cohort of these settings and write it. Raises UserError."""
    spec = validate(overridden({}, overrides), PhantomSpec, where="settings of the phantom")
    return export(spec.open(), out, layout, say)


def export(cohort: Cohort, out: Path, layout: str, say: Say) -> Path:
    """Write a cohort to the folder `out` in one of LAYOUTS; the folder appears when it is whole, or not at all.

    Raises UserError for an unknown layout, a folder that is not empty, what the layout cannot hold (see its writer),
    an unreadable tile, and a disk that is full.
    """
    if layout not in LAYOUTS:
        raise UserError(f"unknown layout {layout!r}", where="layout", fix=f"Known: {', '.join(sorted(LAYOUTS))}.")
    _refuse_unless_empty(out)
    say(str(cohort))
    with replacing(out) as temporary:
        temporary.mkdir()
        LAYOUTS[layout](cohort, temporary, now_and_then(say, f"writing {layout}"))
        say("making sure that everything is on the disk")
    return out


def _refuse_unless_empty(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UserError("this is a file, not a folder", where=out, fix="Choose another output folder.")
    if out.is_dir() and any(out.iterdir()):
        raise UserError("the output folder is not empty", where=out, fix="Choose another, or empty it.")
