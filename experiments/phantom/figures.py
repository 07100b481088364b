"""What a score on the phantom means, and how near it comes to real stains and nuclei: docs/phantom.md's figures.

    python experiments/phantom/figures.py [--only signal|scales|beside|sheet] [--real ../shared/data/tcga_organs]

Writes below docs: results/phantom_signal.json (what true factors and bare colours tell of the class),
results/phantom_scales.json (colours of reads at other resolutions beside area means of reads at 1 µm/px),
results/phantom.txt and pictures/phantom_beside.svg (colours and nuclear sizes beside real ones, where these are at
hand) and pictures/phantom.jpg. With --beside FILE it also pictures real tiles beside drawn ones; that picture is for
the eye and is not to be committed.
"""

import argparse
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
from hlss.cohorts.phantom.spec import PhantomSpec, drawn_slides
from hlss.cohorts.phantom.truth import tile_truths
from hlss.explain.pictures import blank, save, show_sheet
from hlss.jobs.demo_pictures import contact_sheet
from hlss.jobs.provenance import code_version, hardware
from hlss.jobs.truth import WHOLE_SLIDE

DOCS = Path(__file__).parents[2] / "docs"
CODE = code_version()  # before the files written here change it
MPP, TILE_PX = 0.5, 224
AREA_UM2 = (8, 20, 30, 40, 50, 60, 80, 100, 150, 300)
SIGNAL: dict[str, dict[str, Any]] = {
    "laboratories as unlike as real ones (stain 1)": {"sites": 5, "seed": 4711},
    "the demo's (stain 3.5, organ 5)": {"sites": 4, "stain": 3.5, "organ": 5, "seed": 22},
}
SCALES = (0.25, 0.5, 0.75, 1.0, 1.5, 1.51, 2.0, 3.0, 4.0, 4.1, 8.0, 16.0, 32.0)
FIELD_UM, FINE_FIELD_UM = 576, 192


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


def facts(**more: str) -> dict[str, str]:
    """Where figures come from."""
    command = " ".join(["python experiments/phantom/figures.py", *sys.argv[1:]])
    return {**more, "command": command, "code": CODE, "machine": hardware()}


def write(name: str, found: dict[str, object]) -> None:
    (DOCS / "results" / name).write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps(found["rows"], indent=1, ensure_ascii=False))


def signal(name: str, cohort: Cohort) -> list[dict[str, object]]:
    """What a linear probe on true factors and on bare colours tells of the class."""
    rows = np.arange(cohort.n_tiles)
    truth = tile_truths(cohort, rows)
    truth = np.where(np.isnan(truth), np.nanmean(truth, axis=0), truth)
    seen = [number for number, factor in enumerate(FACTORS) if factor not in WHOLE_SLIDE]
    tiles = (cohort.read_tile(int(row)).reshape(-1, 3).astype(float) for row in rows)
    colours = np.array([np.concatenate([t.mean(axis=0), t.std(axis=0)]) for t in tiles])
    what = {
        "true factors, all (reference)": truth,
        "true factors that a tile can show": truth[:, seen],
        "mean and spread of R, G, B (floor)": colours,
    }
    table: list[dict[str, object]] = []
    for probed, features in what.items():
        patch, slide, patient = accuracies(features, cohort)
        row = {"cohort": name, "linear probe on": probed, "patch %": patch, "slide %": slide, "patient %": patient}
        table.append(row)
    return table


def signals(patients: int) -> None:
    rows: list[dict[str, object]] = []
    for name, settings in SIGNAL.items():
        rows += signal(name, PhantomSpec(patients=patients, slides=3, side=3, tile_px=96, mpp=1.0, **settings).open())
    cohorts = f"{patients} patients, 3 slides each, 9 tiles of 96 px at 1 µm/px, 7 classes, seeds 4711 and 22"
    write("phantom_signal.json", {"rows": rows, **facts(cohorts=cohorts)})


def scales() -> None:
    """Reads of the same fields at other resolutions beside the area mean of the read at 1 µm/px."""
    source = drawn_slides(PhantomSpec(patients=7, slides=3, sites=6, seed=77).open())
    fields = np.array([source.read(i, (3000, 5000), FIELD_UM, 1.0) for i in range(21)], dtype=np.float32)
    table = []
    for mpp in SCALES:
        side_px = int((FINE_FIELD_UM if mpp < 1 else FIELD_UM) / mpp)
        pairs = [
            (source.read(i, (3000, 5000), side_px, mpp).astype(np.float32), field) for i, field in enumerate(fields)
        ]
        means = [brought(found, field[: (px := round(side_px * mpp)), :px]) for found, field in pairs]
        off = np.array([(found - mean).mean(axis=(0, 1)) for found, mean in means])
        alike = [np.corrcoef(found.mean(axis=-1).ravel(), mean.mean(axis=-1).ravel())[0, 1] for found, mean in means]
        read, mean = np.mean([[of.mean(axis=(0, 1)) for of in pair] for pair in means], axis=0)
        table.append(
            {
                "µm/px": mpp,
                "mean RGB": " ".join(f"{value:.1f}" for value in read),
                "of the area mean": " ".join(f"{value:.1f}" for value in mean),
                "a slide deviates by at most": f"{np.abs(off).max():.1f}",
                "median correlation of pixels": f"{np.median(alike):.2f}",
            }
        )
    write("phantom_scales.json", {"rows": table, **facts(slides="3 of each class, real looks, seed 77")})


def brought(found: ndarray, field: ndarray) -> tuple[ndarray, ndarray]:
    """A read and the reference on the coarser grid of the two, by area means."""
    shape = min(found.shape[:2], field.shape[:2])
    first, second = (np.asarray(cv2.resize(of, shape, interpolation=cv2.INTER_AREA)) for of in (found, field))
    return first, second


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


def described(name: str, means: ndarray, areas: ndarray) -> str:
    low, middle, high = (np.percentile(means, q, axis=0).round().astype(int).tolist() for q in (5, 50, 95))
    quarter = np.percentile(areas, [25, 50, 75]).round().astype(int).tolist()
    share = " ".join(f"{100 * value:4.0f}" for value in np.histogram(areas, bins=AREA_UM2)[0] / len(areas))
    bins = "-".join(str(area) for area in AREA_UM2)
    return (
        f"{name:22s} {len(means):4d} tiles  mean RGB 5 % {low}  50 % {middle}  95 % {high}\n"
        f"{'':22s} blobs of haematoxylin, µm²: quartiles {quarter}; % in {bins}: {share}\n"
    )


def histograms(sources: dict[str, tuple[ndarray, ndarray]], path: Path) -> None:
    """Mean colours of tiles and areas of blobs, a curve a source; no pixels."""
    figure = blank(9, 2.4)
    axes = [figure.add_axes((0.05 + 0.24 * place, 0.2, 0.2, 0.66)) for place in range(4)]
    colour_bins, area_bins = np.linspace(60, 255, 27), np.geomspace(AREA_UM2[0], AREA_UM2[-1], 25)
    for (name, (means, areas)), line in zip(sources.items(), ("-", "--"), strict=False):
        columns = [
            *((channel, colour_bins, "rgb"[which]) for which, channel in enumerate(means.T)),
            (areas, area_bins, "k"),
        ]
        for axis, (values, bins, colour) in zip(axes, columns, strict=True):
            share = 100 * np.histogram(values, bins)[0] / len(values)
            axis.stairs(share, bins, color=colour, linestyle=line, label=name)
    for axis, title in zip(axes, ("mean R of a tile", "mean G", "mean B", "blobs of haematoxylin, µm²"), strict=True):
        axis.set_title(title, fontsize=8)
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    axes[3].set_xscale("log")
    axes[0].set_ylabel("%", fontsize=7)
    axes[0].legend(fontsize=7, frameon=False, loc="upper left")
    save(figure, path)


def beside_real(real: Path, picture: Path | None) -> None:
    """Colours and blobs of drawn tiles, and of real ones where there are any."""
    tiles = {
        "drawn": tiles_of(PhantomSpec(patients=42, slides=1, side=4, tile_px=TILE_PX, sites=9, seed=1).open(), 300)
    }
    manifest = real / "manifest.csv"
    if not manifest.exists():
        print(f"no real images at {real}: nothing is written")
        return
    tiles[real.name] = tiles_of(ManifestSpec(path=manifest, tile_px=TILE_PX, mpp=MPP).open(), 300)
    sources = {
        name: (colours_of(those), np.concatenate([nuclear_areas_um2(t) for t in those]))
        for name, those in tiles.items()
    }
    text = "".join(described(name, *found) for name, found in sources.items())
    text += "".join(f"{key}: {value}\n" for key, value in facts().items())
    (DOCS / "results" / "phantom.txt").write_text(text)
    print(text)
    histograms(sources, DOCS / "pictures" / "phantom_beside.svg")
    if picture:
        show_sheet([those[::40][:7] for those in tiles.values()], ["drawn", "real"], picture)


def colours_of(tiles: list[ndarray]) -> ndarray:
    return np.array([tile.reshape(-1, 3).mean(axis=0) for tile in tiles])


def tiles_of(cohort: Cohort, count: int) -> list[ndarray]:
    return [cohort.read_tile(int(row)) for row in np.linspace(0, cohort.n_tiles - 1, count).astype(int)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=140)
    parser.add_argument("--real", type=Path, default=Path("../shared/data/tcga_organs"))
    parser.add_argument("--beside", type=Path, help="picture of real tiles beside drawn ones")
    parser.add_argument("--only", choices=("signal", "scales", "beside", "sheet"))
    options = parser.parse_args()
    warnings.simplefilter("error")
    (DOCS / "pictures").mkdir(exist_ok=True)
    parts: dict[str, Callable[[], None]] = {
        "signal": lambda: signals(options.patients),
        "scales": scales,
        "beside": lambda: beside_real(options.real, options.beside),
        "sheet": sheet,
    }
    for name, make in parts.items():
        if options.only in (None, name):
            make()


def sheet() -> None:
    drawn = PhantomSpec(patients=63, slides=1, side=3, tile_px=128, mpp=1.0, sites=9, seed=2)
    contact_sheet(drawn.open(), DOCS / "pictures" / "phantom.jpg")


if __name__ == "__main__":
    main()
