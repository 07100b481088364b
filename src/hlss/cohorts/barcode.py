"""TCGA's barcodes: what the name of a slide says of it."""

import re
from dataclasses import dataclass
from typing import Literal

Sample = Literal["tumour", "normal", "control"]
Kind = Literal["DX", "TS", "BS", "MS"]  # diagnostic (FFPE); top, bottom and middle of a frozen block

_PATIENT = r"TCGA-(?P<site>[A-Z0-9]{2})-[A-Z0-9]{4}"
_SLIDE = re.compile(rf"(?P<patient>{_PATIENT})-(?P<sample>[0-2]\d)[A-Z]-\d{{2}}-(?P<kind>DX|TS|BS|MS)[A-Z0-9]{{1,2}}")
_SAMPLES: tuple[Sample, ...] = ("tumour", "normal", "control")  # types 01–09, 10–19, 20–29


@dataclass(frozen=True)
class Barcode:
    """slide: the whole barcode; patient: its first three fields; site: the tissue source site, its second field."""

    slide: str
    patient: str
    site: str
    sample: Sample
    kind: Kind


def barcode_of(name: str) -> Barcode | None:
    """What a slide's file name says, up to its first dot; None where that is no barcode of a slide."""
    slide = name.partition(".")[0]
    found = _SLIDE.fullmatch(slide)
    if found is None or found["sample"] == "00":
        return None
    kinds: dict[str, Kind] = {"DX": "DX", "TS": "TS", "BS": "BS", "MS": "MS"}
    sample = _SAMPLES[int(found["sample"]) // 10]
    return Barcode(slide, found["patient"], found["site"], sample, kinds[found["kind"]])


def patient_of(barcode: str) -> str:
    """The first three fields of any of TCGA's barcodes; what is none stays as it is."""
    found = re.match(rf"{_PATIENT}(?=-|$)", barcode)
    return barcode if found is None else found[0]
