"""Drawing tissue: milliseconds a 224 px tile on one core, by resolution. Goal: 5 ms at 0.5 µm/px."""

import argparse
import time

import cv2
import numpy as np

from hlss.cohorts.phantom.spec import PhantomSpec, drawn_slides

GOAL_MS, TILE_PX = 5.0, 224


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few tiles, to see that it runs: no verdict")
    quick = parser.parse_args().quick
    cv2.setNumThreads(1)
    source = drawn_slides(PhantomSpec(patients=28, slides=1, side=8, tile_px=TILE_PX).open())
    source.read(0, (0, 0), 4 * TILE_PX, 0.5)  # from here on freed memory is kept, as in a process that holds batches
    rounds, images = (1, 2) if quick else (5, 28)
    print(f"tiles of {TILE_PX} px of {images} slides, one core, median over slides of the best of {rounds}")
    for mpp in (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0):
        best = np.full(images, np.inf)
        for turn in range(rounds):
            for image in range(images):
                began = time.perf_counter()
                source.read(image, (1000 * turn, 500), TILE_PX, mpp)
                best[image] = min(best[image], time.perf_counter() - began)
        found = 1e3 * float(np.median(best))
        verdict = f"  goal {GOAL_MS:g} ms: {'reached' if found <= GOAL_MS else 'MISSED'}" if mpp == 0.5 else ""
        print(f"  {mpp:5.2f} µm/px {found:6.2f} ms{'' if quick else verdict}")


if __name__ == "__main__":
    main()
