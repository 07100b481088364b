from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from hlss.cohorts.base import Cohort, TileSource
from hlss.cohorts.build import ImageRow, cohort_from_images
from hlss.cohorts.splits import SplitSpec, assign, split
from hlss.config import validate
from hlss.errors import UserError


class NoPixels(TileSource):
    @property
    def fingerprint(self) -> str:
        return "none"

    def image_name(self, image: int) -> str:
        return str(image)

    def read(self, image: int, xy_px0: tuple[int, int], tile_px: int, mpp: float | None) -> np.ndarray:
        raise AssertionError("a split reads no pixels")


def cohort_of(rows: Sequence[ImageRow]) -> Cohort:
    return cohort_from_images("drawn", NoPixels(), rows, tile_px=4)


@pytest.fixture
def patients() -> Callable[..., list[ImageRow]]:
    """patients(a=8, b=3): so many patients of each class, two slides each; sites go round three to a class."""

    def make(**classes: int) -> list[ImageRow]:
        return [
            ImageRow(f"{label}{i:03d}", f"{label}{i}-{slide}", 8, 8, label=label, site=f"{label}-site{i % 3}")
            for label, count in classes.items()
            for i in range(count)
            for slide in range(2)
        ]

    return make


def label_counts(cohort: Cohort) -> Counter[str]:
    return Counter(cohort.classes[label] for label in cohort.patient_label.tolist())


@pytest.mark.parametrize(
    "spec",
    [
        SplitSpec(test=0.3, val=0.2),
        SplitSpec(test=0.3, val=0.2, by_site=True),
        SplitSpec(kind="kfold", folds=4, fold=2, val=0.25, stratify=False),
        SplitSpec(kind="leave_one_patient_out", fold=7, val=0.1),
    ],
    ids=str,
)
def test_sides_are_disjoint_and_cover_all_patients_slides_and_tiles(patients, spec: SplitSpec) -> None:
    cohort = cohort_of(patients(a=8, b=7, c=6))
    sides = split(cohort, spec)
    assert list(sides) == ["train", "val", "test"]
    assert sorted(p for side in sides.values() for p in side.patients) == list(cohort.patients)
    assert sorted(s for side in sides.values() for s in side.slides) == sorted(cohort.slides)
    assert sum(side.n_tiles for side in sides.values()) == cohort.n_tiles
    assert all(side.classes == cohort.classes for side in sides.values())


def test_row_order_changes_nothing(patients) -> None:
    rows = patients(a=9, b=5)
    for spec in (SplitSpec(val=0.2), SplitSpec(kind="kfold", folds=3, by_site=True)):
        assert assign(cohort_of(rows), spec) == assign(cohort_of(rows[::-1]), spec)


def test_a_seed_draws_and_another_draws_otherwise(patients) -> None:
    cohort = cohort_of(patients(a=20, b=20))
    draws = [assign(cohort, SplitSpec(seed=seed)) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_the_draw_of_seed_0_stays_what_it_was(patients) -> None:
    sides = assign(cohort_of(patients(a=6, b=4)), SplitSpec(test=0.3))
    assert [patient for patient, side in sides.items() if side == "test"] == ["a001", "a005", "b003"]


def test_every_patient_is_tested_once_over_the_folds(patients) -> None:
    cohort = cohort_of(patients(a=8, b=7, c=6))
    for folds, specs in (
        (5, [SplitSpec(kind="kfold", folds=5, fold=fold) for fold in range(5)]),
        (21, [SplitSpec(kind="leave_one_patient_out", fold=fold) for fold in range(21)]),
    ):
        tested = [patient for spec in specs for patient in split(cohort, spec)["test"].patients]
        assert sorted(tested) == list(cohort.patients)
        assert len(specs) == folds


@pytest.mark.parametrize("sizes", [{"a": 8, "b": 12, "c": 13, "d": 7}, {"a": 2, "b": 2, "c": 40}, {"a": 11}])
def test_folds_differ_by_one_patient_at_most_in_size_and_in_each_class(patients, sizes: dict[str, int]) -> None:
    cohort = cohort_of(patients(**sizes))
    folds = [split(cohort, SplitSpec(kind="kfold", folds=3, fold=fold, seed=4))["test"] for fold in range(3)]
    sizes_seen = [len(fold.patients) for fold in folds]
    assert max(sizes_seen) - min(sizes_seen) <= 1
    for label in sizes:
        counts = [label_counts(fold)[label] for fold in folds]
        assert max(counts) - min(counts) <= 1


def test_shares_are_met_within_one_patient_in_all_and_in_each_class(patients) -> None:
    sizes = {"a": 2, "b": 3, "c": 2, "d": 3, "e": 30}
    cohort = cohort_of(patients(**sizes))
    for seed in range(20):
        test = split(cohort, SplitSpec(test=0.25, seed=seed))["test"]
        assert abs(len(test.patients) - 0.25 * 40) < 1
        assert all(abs(label_counts(test)[label] - 0.25 * count) < 1 for label, count in sizes.items())


def test_without_stratifying_classes_come_as_they_fall(patients) -> None:
    cohort = cohort_of(patients(a=10, b=10))
    draws = [label_counts(split(cohort, SplitSpec(test=0.5, seed=s, stratify=False))["test"])["a"] for s in range(30)]
    assert max(draws) - min(draws) > 1


def test_a_site_stays_on_one_side_and_chains_of_sites_too(patients) -> None:
    rows = patients(a=9, b=9)
    rows.append(ImageRow("a000", "bridge", 8, 8, label="a", site="b-site0"))  # joins two sites of two classes
    cohort = cohort_of(rows)
    bridged = {f"{label}{i:03d}" for label in "ab" for i in (0, 3, 6)}
    for fold in range(5):
        sides = split(cohort, SplitSpec(kind="kfold", folds=5, fold=fold, by_site=True))
        sites = [set(side.image_site.tolist()) for side in sides.values()]
        assert not sites[0] & sites[1]
        assert bridged <= set(sides["train"].patients) or bridged <= set(sides["test"].patients)


def test_no_fold_of_sites_is_empty(patients) -> None:
    rows = [ImageRow(f"p{i}", f"s{i}", 8, 8, site="big" if i < 20 else f"small{i}") for i in range(24)]
    sizes = [len(split(cohort_of(rows), SplitSpec(kind="kfold", folds=5, fold=f, by_site=True))["test"].patients)
             for f in range(5)]  # fmt: skip
    assert sorted(sizes) == [1, 1, 1, 1, 20]


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "validation", "TEST")])
def test_given_sides_are_taken(names: tuple[str, str, str]) -> None:
    cohort = cohort_of([ImageRow(f"p{i}", f"s{i}", 8, 8, split=names[i % 3]) for i in range(9)])
    assert split(cohort, SplitSpec(kind="given"))["val"].patients == ("p1", "p4", "p7")
    with pytest.raises(UserError, match="gives a val side already"):
        assign(cohort, SplitSpec(kind="given", val=0.2))


def test_a_val_side_may_be_drawn_from_given_training_patients() -> None:
    cohort = cohort_of([ImageRow(f"p{i}", f"s{i}", 8, 8, split="test" if i == 3 else "train") for i in range(9)])
    sides = split(cohort, SplitSpec(kind="given", val=0.25))
    assert {side: len(part.patients) for side, part in sides.items()} == {"train": 6, "val": 2, "test": 1}
    assert sides["test"].patients == ("p3",)


def test_a_side_nobody_asked_for_is_absent(patients) -> None:
    cohort = cohort_of(patients(a=5))
    assert list(split(cohort, SplitSpec(test=0))) == ["train"]
    assert list(split(cohort, SplitSpec(test=1))) == ["test"]
    assert list(split(cohort, SplitSpec(test=0, val=0.2))) == ["train", "val"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (SplitSpec(kind="kfold", folds=9), r"split\.folds: 5 patients are too few for 9 folds"),
        (SplitSpec(kind="kfold", folds=4, by_site=True), "3 groups of patients that share sites are too few for 4"),
        (SplitSpec(kind="leave_one_patient_out", fold=5), r"split\.fold: fold 5 of 5 patients.*0 to 4"),
        (SplitSpec(test=0.01), r"split\.test: test=0.01 of 5 patients leaves a side empty"),
        (SplitSpec(test=0.8, val=0.9), r"split\.val: val=0.9 of 1 patients leaves a side empty"),
        (SplitSpec(kind="given"), "column `split`: 'a000' has no split"),
    ],
)
def test_impossible_splits_are_refused(patients, spec: SplitSpec, message: str) -> None:
    with pytest.raises(UserError, match=message):
        split(cohort_of(patients(a=5)), spec)


def test_unknown_given_side_missing_site_and_crossed_site_are_refused() -> None:
    with pytest.raises(UserError, match="patient 'p' is in 'fold1', which is no side"):
        assign(cohort_of([ImageRow("p", "s", 8, 8, split="fold1")]), SplitSpec(kind="given"))
    with pytest.raises(UserError, match="patient 'q' has an image without a site"):
        assign(cohort_of([ImageRow("p", "s", 8, 8, site="x"), ImageRow("q", "t", 8, 8)]), SplitSpec(by_site=True))
    crossed = [ImageRow("p", "s", 8, 8, site="x", split="train"), ImageRow("q", "t", 8, 8, site="x", split="test")]
    with pytest.raises(UserError, match="patients p, q share a site and stand on several sides"):
        assign(cohort_of(crossed), SplitSpec(kind="given", by_site=True))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "kfold", "fold": 5}, r"fold=5 must lie in 0\.\.4"),
        ({"kind": "kfold", "folds": 1}, "folds"),
        ({"kind": "bootstrap"}, "kind"),
        ({"test": 1.1}, "test"),
        ({"kind": "leave_one_patient_out", "by_site": True}, "by_site needs"),
        ({"share": 0.1}, "unknown key `share`"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        validate(settings, SplitSpec, where="split")
