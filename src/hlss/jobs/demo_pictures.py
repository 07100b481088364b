"""The demo's picture of its tissue: tiles of every class."""

from pathlib import Path

import numpy as np

from hlss.cohorts.base import Cohort
from hlss.explain.pictures import show_sheet

_ACROSS = 9  # tiles of a class on the contact sheet


def contact_sheet(cohort: Cohort, path: Path) -> None:
    """A row of tiles for each class, each of another patient as long as there are any."""
    rows, names = [], []
    for label, name in enumerate(cohort.classes):
        patients = np.flatnonzero(cohort.patient_label == label)
        tiles = []
        for number in range(_ACROSS):
            patient = int(patients[number % len(patients)])
            of_patient = np.concatenate([cohort.slide_tiles(int(slide)) for slide in cohort.patient_slides(patient)])
            tiles.append(cohort.read_tile(int(of_patient[(7 * number) % len(of_patient)])))
        rows.append(tiles)
        names.append(name.replace("_", " "))
    show_sheet(rows, names, path)


def image_of(cohort: Cohort, slide: str) -> int:
    """Number of the image of a drawn slide, as its source counts."""
    return int(cohort.image_number[cohort.image_slide == cohort.slides.index(slide)][0])
