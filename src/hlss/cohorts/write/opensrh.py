"""OpenSRH's layout: two-channel uint16 TIFF patches of stimulated Raman histology, and its two JSON files.

PATIENT/SLIDE/patches/*.tif     (2, 300, 300): the channels CH2 and CH3
meta/opensrh.json               patient → class, slides → tumor_patches, normal_patches
meta/train_val_split.json       train, val: patients
"""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt8, UInt16
from numpy import ndarray

from hlss.cohorts.base import Cohort
from hlss.cohorts.opensrh import NORMAL, PATCH_PX
from hlss.cohorts.paths import file_names
from hlss.cohorts.splits import SplitSpec, split
from hlss.cohorts.write.frame import Progress
from hlss.errors import UserError

VAL_SHARE = 0.2

# Optical densities of haematoxylin and eosin in R, G, B (Ruifrok & Johnston 2001), rows of unit length.
STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
STAINS /= np.linalg.norm(STAINS, axis=1, keepdims=True)
GLASS, LIPID, PROTEIN = 3000.0, 12_000.0, 9000.0  # counts: without tissue; of eosin; of haematoxylin
DENSEST = 2.5  # density from which a stain counts as black


def write_opensrh(cohort: Cohort, folder: Path, progress: Progress, *, normal: str | None = None) -> None:
    """Every tile of a cohort as a patch, and who they belong to.

    normal: a class to be written as OpenSRH's `normal` (a class of that name is, without asking). The split is the
    cohort's own (its test side becomes val), else a fifth of each class's patients becomes val.
    Raises UserError for tiles that are not 300 px, a patient without one class, and an unknown class in `normal`.
    """
    _refuse(cohort, normal)
    val = _val_patients(cohort)
    (folder / "meta").mkdir(parents=True)
    meta = _write_patches(cohort, folder, progress, normal)
    _write_json(folder / "meta" / "opensrh.json", meta)
    sides = {"train": sorted(set(cohort.patients) - val), "val": sorted(val)}
    _write_json(folder / "meta" / "train_val_split.json", sides)


def srh(rgb: UInt8[ndarray, "h w 3"]) -> UInt16[ndarray, "2 h w"]:
    """CH2 and CH3 as haematoxylin h and eosin e might have been: a caricature, no physics.

    CH2 (lipid) = GLASS + LIPID·e·exp(−h): bright cytoplasm and fibres, dark nuclei; CH3 (protein and DNA) =
    CH2 + PROTEIN·h: so CH3 − CH2 shows nuclei bright, as in stimulated Raman histology.
    """
    haematoxylin, eosin = np.moveaxis(_densities(rgb), -1, 0)
    ch2 = GLASS + LIPID * eosin * np.exp(-haematoxylin)
    return np.round(np.stack([ch2, ch2 + PROTEIN * haematoxylin])).astype(np.uint16)


def _densities(rgb: UInt8[ndarray, "h w 3"]) -> Float64[ndarray, "h w 2"]:
    """Haematoxylin and eosin, 0..DENSEST, by least squares on optical densities (Beer-Lambert)."""
    absorbed = -np.log((rgb.astype(np.float64) + 1) / 256)
    return np.clip(absorbed @ np.linalg.pinv(STAINS), 0, DENSEST)


def _refuse(cohort: Cohort, normal: str | None) -> None:
    if cohort.tile_px != PATCH_PX:
        what = f"its patches are {PATCH_PX} px, the cohort's tiles {cohort.tile_px} px"
        raise UserError(what, where="layout opensrh", fix=f"Open the cohort with tile_px={PATCH_PX}.")
    without = [name for name, label in zip(cohort.patients, cohort.patient_label, strict=True) if label < 0]
    if without:
        what = f"{len(without)} of {len(cohort.patients)} patients have no class or several, as {without[0]!r}"
        raise UserError(what, where="layout opensrh", fix="Give each patient one class, or leave them out.")
    if normal is not None and normal not in cohort.classes:
        raise UserError(f"unknown class {normal!r}", where="normal", fix=f"Known: {', '.join(cohort.classes)}.")


def _val_patients(cohort: Cohort) -> set[str]:
    if not cohort.splits and len(cohort.patients) * VAL_SHARE < 0.5:  # too few for a side of their own
        return set()
    sides = split(cohort, SplitSpec(kind="given") if cohort.splits else SplitSpec(val=VAL_SHARE, test=0.0))
    return {patient for side in ("val", "test") if side in sides for patient in sides[side].patients}


def _write_patches(cohort: Cohort, folder: Path, progress: Progress, normal: str | None) -> dict[str, Any]:
    patients, slides = file_names(cohort.patients), file_names(cohort.slides)
    meta: dict[str, Any] = {}
    done = 0
    for patient, name in enumerate(cohort.patients):
        label = cohort.classes[cohort.patient_label[patient]]
        label = NORMAL if label == normal else label
        listed: dict[str, dict[str, list[str]]] = {}
        for slide in cohort.patient_slides(patient).tolist():
            place = f"{patients[patient]}/{slides[slide]}/patches"
            (folder / place).mkdir(parents=True)
            paths = []
            for row in cohort.slide_tiles(slide).tolist():
                paths.append(f"{place}/{slides[slide]}-{row:08d}.tif")
                (folder / paths[-1]).write_bytes(_tiff(srh(cohort.read_tile(row))))
                done += 1
                progress(done, cohort.n_tiles)
            is_normal = label == NORMAL
            listed[cohort.slides[slide]] = {
                "tumor_patches": [] if is_normal else paths,
                "normal_patches": paths if is_normal else [],
            }
        meta[name] = {"class": label, "slides": listed}
    return meta


def _tiff(channels: UInt16[ndarray, "2 h w"]) -> bytes:
    """One page a channel, uncompressed."""
    import tifffile

    buffer = BytesIO()  # written at once: tifffile itself gives no reason where the disk is full
    tifffile.imwrite(buffer, channels, photometric="minisblack", software="hlss", metadata=None)
    return buffer.getvalue()


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
