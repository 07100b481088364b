"""Slides of a few hundred kilobytes whose tissue is known: a disc of H&E colours on glass."""

from pathlib import Path

import cv2
import numpy as np

from hlss.cohorts.write.pyramid import write_pyramid

MPP0 = 2.0
SIZE_PX0 = (768, 640)  # width, height
CENTRE_PX0, RADIUS_PX0 = (300, 320), 240
GLASS, EOSIN, HAEMATOXYLIN = (242, 240, 241), (224, 150, 190), (120, 70, 150)


def pixels(seed: int = 0) -> np.ndarray:
    """Level 0: a disc at CENTRE_PX0, its nuclei placed by the seed."""
    random = np.random.default_rng(seed)
    width, height = SIZE_PX0
    image = np.full((height, width, 3), GLASS, dtype=np.uint8)
    cv2.circle(image, CENTRE_PX0, RADIUS_PX0, EOSIN, -1)
    for _ in range(400):
        angle, far = random.uniform(0, 2 * np.pi), RADIUS_PX0 * 0.97 * np.sqrt(random.uniform())
        centre = (int(CENTRE_PX0[0] + far * np.cos(angle)), int(CENTRE_PX0[1] + far * np.sin(angle)))
        cv2.circle(image, centre, 3, HAEMATOXYLIN, -1)
    return image


def write_slide(path: Path, seed: int = 0, mpp0: float = MPP0) -> Path:
    """A pyramid of it."""
    levels = [pixels(seed)]
    while min(levels[-1].shape[:2]) > 1:
        height, width = (side // 2 for side in levels[-1].shape[:2])
        levels.append(cv2.resize(levels[-1][: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA))

    def read(xy_px0: tuple[int, int], size_px: int, mpp: float) -> np.ndarray:
        scale = round(mpp / mpp0)
        x, y = (value // scale for value in xy_px0)
        return np.ascontiguousarray(levels[scale.bit_length() - 1][y : y + size_px, x : x + size_px])

    path.parent.mkdir(parents=True, exist_ok=True)
    write_pyramid(path, read, SIZE_PX0, mpp0)
    return path
