"""Drawn slides as the GDC hands out TCGA's: a folder a file, named by its UUID, and the manifest beside them."""

import uuid
from pathlib import Path
from typing import Any

from hlss.cohorts.base import Cohort
from hlss.cohorts.phantom import PhantomSpec
from hlss.cohorts.write.pyramid import write_pyramids
from hlss.jobs.tile import tile_slides

SITES = ("02", "06", "HT")
TILES = ["tile_px=32", "mpp=0.5", "min_tissue=0"]


def gdc_folder(folder: Path, drawn: Cohort) -> Path:
    """`folder/gdc`, its manifest and labels.csv (patient, project) beside it; every slide is a patient's of its own."""
    write_pyramids(drawn, folder / "drawn", lambda done, of: None)
    manifest, labels = ["id\tfilename\tmd5\tsize\tstate"], ["case_submitter_id,project_id"]
    for number, slide in enumerate(drawn.slides):
        own = str(uuid.uuid5(uuid.NAMESPACE_OID, slide))
        patient = f"TCGA-{SITES[number % len(SITES)]}-{number:04d}"
        place = folder / "gdc" / own
        (place / "logs").mkdir(parents=True)
        (place / "logs" / "file.parcel").write_bytes(b"")
        (place / "annotations.txt").write_text("id\tsubmitter_id\n")
        file = place / f"{patient}-01Z-00-DX1.{own.upper()}.svs"
        (folder / "drawn" / "slides" / f"{slide}.tiff").rename(file)
        manifest.append(f"{own}\t{file.name}\t{'0' * 32}\t{file.stat().st_size}\treleased")
        labels.append(f"{patient},{drawn.classes[drawn.slide_label[number]]}")
    (folder / "gdc_manifest.2024-01-01.txt").write_text("\n".join(manifest) + "\n")
    (folder / "labels.csv").write_text("\n".join(labels) + "\n")
    return folder / "gdc"


def gdc_cohort(folder: Path) -> dict[str, Any]:
    """Settings of a cohort `tcga`: four patients of one slide each, 2×2 tiles of 32 px."""
    drawn = PhantomSpec(patients=4, slides=1, side=2, tile_px=32, classes=2).open()
    tiles = tile_slides(gdc_folder(folder, drawn), folder / "tiles", TILES, say=lambda text: None)
    columns = {"patient_id": "case_submitter_id", "label": "project_id"}
    return {"tiles": tiles, "labels": folder / "labels.csv", "columns": columns}
