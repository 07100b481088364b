"""Banks as data: what the linter catches, how long it takes, what a text tower finds out of place, what encoding needs.

    python benchmarks/banks.py [--quick]

Sentences with a known fault, and without one: tests/language/lint_sets (`authors` by those who wrote the rules;
`readers_*` by writers who had not seen them; `readers_c` came when the rules were set). Out of place: one description
of each characteristic changes places with that of another one of its level; counted is how many of these the rule
`apart` tells, and how many it tells of a bank as it is. Encoding: three banks through CLIP RN50's text tower (random
weights), in a process of its own.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml

from hlss.encoders.base import TextEncoder
from hlss.encoders.clip import Clip
from hlss.jobs.bank import text_tower
from hlss.language.bank import DESCRIPTIONS, GENERIC, DescriptionBank, Place, read_bank
from hlss.language.encode import encode
from hlss.language.lint.lint import lint_bank
from hlss.language.lint.tower import by_tower
from hlss.types import LEVELS

SETS = Path(__file__).parents[1] / "tests" / "language" / "lint_sets"
SHIPPED = ("srh_brain", "he_brain", "he_general", "he_generic")
GOAL_CAUGHT, GOAL_ALARMS, GOAL_GB = 0.95, 0.05, 2.0


def verdict(held: bool) -> str:
    return "reached" if held else "MISSED"


def sentences(path: Path) -> None:
    known = yaml.safe_load(path.read_text(encoding="utf-8"))
    bad = [sentence for group in known["bad"].values() for sentence in group]
    caught, alarms = sum(map(has_findings, bad)), sum(map(has_findings, known["good"]))
    held = caught >= GOAL_CAUGHT * len(bad) and alarms <= GOAL_ALARMS * len(known["good"])
    print(
        f"  {path.stem:10s} caught {caught:3d} of {len(bad):3d} ({caught / len(bad):5.1%}), false alarms {alarms:2d} of"
        f" {len(known['good'])} ({alarms / len(known['good']):4.1%}): {verdict(held)}"
    )


def has_findings(sentence: str) -> bool:
    """Of a bank that is plain but for this sentence."""
    fill = ["Pink fibres cross the field", "Rosy strands weave along it", "Threads of collagen run past"]
    parts = [{"name": "pink fibres", "descriptions": [sentence, *fill]}]
    tree = {"title": "t", "domain": "d", "provenance": "p", "generic": parts}
    return bool(lint_bank(DescriptionBank.model_validate(tree)).findings)


def duration(name: str) -> None:
    bank = read_bank(name)
    began = time.perf_counter()
    found = lint_bank(bank).findings
    print(
        f"  {name:10s} {time.perf_counter() - began:5.2f} s, {len(found)} findings in {len(list(bank.places()))} texts"
    )


def out_of_place(name: str, tower: TextEncoder, tower_name: str) -> None:
    bank = read_bank(name)
    mixed, moved = exchanged(bank)
    told, alarms = len(apart(mixed, tower) & moved), len(apart(bank, tower))
    count = sum(place.number is not None for place, _ in bank.places())
    print(
        f"  {name:10s} by {tower_name:6s} {told:3d} of {len(moved)} out of place ({told / len(moved):5.1%}),"
        f" {alarms:3d} of {count} as it is ({alarms / count:5.1%})"
    )


def apart(bank: DescriptionBank, tower: TextEncoder) -> set[Place]:
    return {one.place for one in by_tower(bank, tower) if one.rule == "apart"}


def exchanged(bank: DescriptionBank) -> tuple[DescriptionBank, set[Place]]:
    """One description of each characteristic, drawn by seed 0, goes to the next but some; and where they stand."""
    random = np.random.Generator(np.random.Philox(0))
    tree, moved = bank.model_dump(mode="json", exclude_none=True), set()
    for level in (None,) if bank.generic else LEVELS:
        rows = tree[level or GENERIC]
        which, step = random.integers(DESCRIPTIONS, size=len(rows)), int(random.integers(1, len(rows)))
        texts = [row["descriptions"][number] for row, number in zip(rows, which, strict=True)]
        for at, (row, number) in enumerate(zip(rows, which, strict=True)):
            row["descriptions"][number] = texts[(at + step) % len(rows)]
            moved.add(Place(level, row["name"], int(number)))
    return DescriptionBank.model_validate(tree), moved


def encoded(names: tuple[str, ...]) -> None:
    tower = Clip().text().build()
    with tempfile.TemporaryDirectory() as cache:
        for name in names:
            bank = read_bank(name)
            began = time.perf_counter()
            encode({level: bank.texts(level) for level in LEVELS}, tower, Path(cache))
            print(f"  {name:10s} {time.perf_counter() - began:5.1f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"  peak memory of all in one process {peak:.2f} GiB (goal {GOAL_GB:g}): {verdict(peak < GOAL_GB)}")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the smallest of each, to see that it runs: no verdict")
    quick = parser.parse_args().quick
    print("sentences with a known fault, and without one")
    for path in sorted(SETS.glob("*.yaml"))[: 1 if quick else None]:
        sentences(path)
    print("hlss bank lint")
    for name in SHIPPED[-1 if quick else 0 :]:
        duration(name)
    print("descriptions out of place")
    for tower in ("tiny",) if quick else ("tiny", "minilm"):
        built = text_tower(tower)
        for name in SHIPPED[-1 if quick else 0 :]:
            out_of_place(name, built, tower)
    print("hlss bank encode, CLIP RN50")
    sys.stdout.flush()
    process = multiprocessing.get_context("spawn").Process(
        target=encoded, args=(SHIPPED[-1:] if quick else SHIPPED[:3],)
    )
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(process.exitcode)


if __name__ == "__main__":
    main()
