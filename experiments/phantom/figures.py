"""What a score on the phantom means, and how near it comes to real stains and nuclei: docs/phantom.md's figures.

    python experiments/phantom/figures.py [--patients 140] [--real ../shared/data/tcga_organs]

Writes docs/results/phantom_signal.json (what true factors and bare colours tell of the class), docs/results/phantom.txt
(colours and nuclear sizes beside real ones, where they are at hand) and docs/pictures/phantom.jpg. With --beside FILE
it also pictures real tiles beside drawn ones; that picture is for the eye and is not to be committed.
"""

import argparse
import json
import warnings
from pathlib import Path

import cv2
import numpy as np
from numpy import ndarray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hlss.cohorts.base import Cohort
from hlss.cohorts.manifest import ManifestSpec
from hlss.cohorts.phantom.factors import FACTORS
from hlss.cohorts.phantom.spec import PhantomSpec
from hlss.cohorts.phantom.truth import tile_truths
from hlss.explain.pictures import show_sheet
from hlss.jobs.demo import contact_sheet
from hlss.jobs.provenance import provenance
from hlss.jobs.truth import WHOLE_SLIDE

DOCS = Path(__file__).parents[2] / "docs"
MPP, TILE_PX = 0.5, 224


def accuracies(features: ndarray, cohort: Cohort, folds: int = 5) -> list[float]:
    """Accuracy % of a linear probe at patch, slide and patient level, patients held out fold by fold."""
    rows = np.arange(cohort.n_tiles)
    labels, patients, slides = cohort.tile_label(rows), cohort.tile_patient(rows), cohort.tile_slide(rows)
    found = np.zeros((len(rows), len(cohort.classes)))
    for train, test in GroupKFold(folds).split(features, labels, patients):
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        found[test] = probe.fit(features[train], labels[train]).predict_proba(features[test])
    result = [float((found.argmax(axis=1) == labels).mean())]
    for groups, truth in ((slides, cohort.slide_label), (patients, cohort.patient_label)):
        sums = np.stack([np.bincount(groups, column) for column in found.T], axis=1)
        result.append(float((sums.argmax(axis=1) == truth).mean()))
    return [round(100 * value, 1) for value in result]


def signal(patients: int) -> dict[str, object]:
    spec = PhantomSpec(patients=patients, slides=3, side=3, tile_px=96, mpp=1.0, sites=5, seed=4711)
    cohort = spec.open()
    rows = np.arange(cohort.n_tiles)
    truth = tile_truths(cohort, rows)
    truth = np.where(np.isnan(truth), np.nanmean(truth, axis=0), truth)
    seen = [number for number, name in enumerate(FACTORS) if name not in WHOLE_SLIDE]
    tiles = (cohort.read_tile(int(row)).reshape(-1, 3).astype(float) for row in rows)
    colours = np.array([np.concatenate([t.mean(axis=0), t.std(axis=0)]) for t in tiles])
    what = {
        "true factors, all (ceiling)": truth,
        "true factors that a tile can show": truth[:, seen],
        "mean and spread of R, G, B (floor)": colours,
    }
    table = []
    for name, features in what.items():
        patch, slide, patient = accuracies(features, cohort)
        table.append({"linear probe on": name, "patch %": patch, "slide %": slide, "patient %": patient})
    facts = provenance()
    return {
        "rows": table,
        "cohort": f"{patients} patients, 3 slides each, 9 tiles of 96 px at 1 µm/px, 7 classes, seed {spec.seed}",
        "command": "python experiments/phantom/figures.py",
        "code": facts["code_version"],
        "machine": facts["hardware"],
    }


def haematoxylin(tile: ndarray) -> ndarray:
    """Density of haematoxylin by Ruifrok and Johnston's vectors, light of the tile's 99th percentile."""
    stains = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
    stains /= np.linalg.norm(stains, axis=1, keepdims=True)
    light = np.percentile(tile.reshape(-1, 3), 99, axis=0) + 1
    density = -np.log((tile.astype(float) + 1) / light)
    return (density @ np.linalg.inv(stains))[..., 0]


def nuclear_areas_um2(tile: ndarray) -> ndarray:
    """Areas of dark blobs, by Otsu's threshold on smoothed haematoxylin: crude, but the same for drawn and real."""
    amount = cv2.GaussianBlur(np.clip(haematoxylin(tile), 0, 3).astype(np.float32), (0, 0), 1.0)
    scaled = np.clip(amount / max(float(np.percentile(amount, 99.5)), 1e-6) * 255, 0, 255).astype(np.uint8)
    _, mask = cv2.threshold(scaled, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    areas = stats[1:, cv2.CC_STAT_AREA] * MPP**2
    return areas[(areas > 8) & (areas < 300)]


def described(name: str, tiles: list[ndarray]) -> str:
    means = np.array([tile.reshape(-1, 3).mean(axis=0) for tile in tiles])
    areas = np.concatenate([nuclear_areas_um2(tile) for tile in tiles])
    low, middle, high = (np.percentile(means, q, axis=0).round().astype(int).tolist() for q in (5, 50, 95))
    quarter = np.percentile(areas, [25, 50, 75]).round().astype(int).tolist()
    bins = np.histogram(areas, bins=[8, 20, 30, 40, 50, 60, 80, 100, 150, 300])[0] / len(areas)
    share = " ".join(f"{100 * value:4.0f}" for value in bins)
    return (
        f"{name:22s} {len(tiles):4d} tiles  mean RGB 5 % {low}  50 % {middle}  95 % {high}\n"
        f"{'':22s} blobs of haematoxylin, µm²: quartiles {quarter}; % in 8-20-30-40-50-60-80-100-150-300: {share}\n"
    )


def tiles_of(cohort: Cohort, count: int) -> list[ndarray]:
    return [cohort.read_tile(int(row)) for row in np.linspace(0, cohort.n_tiles - 1, count).astype(int)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=140)
    parser.add_argument("--real", type=Path, default=Path("../shared/data/tcga_organs"))
    parser.add_argument("--beside", type=Path, help="picture of real tiles beside drawn ones")
    options = parser.parse_args()
    warnings.simplefilter("error")
    (DOCS / "pictures").mkdir(exist_ok=True)
    found = signal(options.patients)
    (DOCS / "results" / "phantom_signal.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps(found["rows"], indent=1))
    sheet = PhantomSpec(patients=63, slides=1, side=3, tile_px=128, mpp=1.0, sites=9, seed=2).open()
    contact_sheet(sheet, DOCS / "pictures" / "phantom.jpg")
    drawn = tiles_of(PhantomSpec(patients=42, slides=1, side=4, tile_px=TILE_PX, sites=9, seed=1).open(), 300)
    text = described("drawn", drawn)
    manifest = options.real / "manifest.csv"
    if manifest.exists():
        real = tiles_of(ManifestSpec(path=manifest, tile_px=TILE_PX, mpp=MPP).open(), 300)
        text += described(options.real.name, real)
        if options.beside:
            show_sheet([real[::40][:7], drawn[::40][:7]], ["real", "drawn"], options.beside)
    else:
        print(f"no real images at {options.real}: drawn ones only")
    (DOCS / "results" / "phantom.txt").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
