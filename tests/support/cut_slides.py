"""Small slides of drawn tissue, written as pyramids and cut."""

from pathlib import Path
from typing import Any

from hlss.cohorts.phantom.spec import PhantomSpec
from hlss.cohorts.write.pyramid import write_pyramids
from hlss.jobs.tile import tile_slides


def cut_slides(folder: Path) -> dict[str, Any]:
    """Settings of a cohort `slides`: four patients of one slide each, 2×2 tiles of 32 px."""
    drawn = PhantomSpec(patients=4, slides=1, side=2, tile_px=32, mpp=1.0, classes=2).open()
    write_pyramids(drawn, folder, lambda done, total: None)
    settings = ["mpp=1.0", "tile_px=32", "min_tissue=0"]
    return {"tiles": tile_slides(folder / "manifest.csv", folder / "tiles", settings, say=lambda text: None)}
