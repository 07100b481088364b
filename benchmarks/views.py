"""Views of a 300 px tile at 224 px, the HiDisc recipe as released (each operation with probability 0.5).

One core, in batches of 32 tiles. The usual way is torchvision v1 on Pillow images, each view resampled up to three
times (resize, affine, crop) and put into a batch of floats; ours draws the same operations for a batch at once, as the
loader does, resamples once, and fills the same batch. Ways take turns, and the best of the rounds
counts.
"""

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy import ndarray
from PIL import Image
from torch import Tensor

from hlss.batches.draw import draw
from hlss.batches.keyed import generator
from hlss.batches.opencv import views_of
from hlss.batches.recipe import ViewSpec
from hlss.encoders.torchvision_guard import import_guarded

TILE_PX, OUT_PX, VIEWS, BATCH = 300, 224, 2, 32
GOAL, AIM = 5.0, 1000.0  # times the usual way; views a second
Way = Callable[[list[ndarray], int, Tensor], None]  # fills a batch


def textures(count: int) -> list[ndarray]:
    """Smooth colourful tiles with some noise."""
    random = np.random.default_rng(0)
    coarse = random.integers(60, 240, (count, 30, 30, 3)).astype(np.uint8)
    return [cv2.resize(tile, (TILE_PX, TILE_PX), interpolation=cv2.INTER_CUBIC) for tile in coarse]


def usual_way() -> Way:
    """torchvision's transforms in the released order; noise after the conversion to a tensor, where Pillow has none."""
    transforms = import_guarded("torchvision.transforms")

    def noise(pixels: Tensor) -> Tensor:
        return pixels + torch.randn_like(pixels) * float(torch.empty(1).uniform_(0.01, 0.1))

    def half(operation: object) -> object:
        return transforms.RandomApply([operation], p=0.5)

    recipe = transforms.Compose(
        [
            transforms.Resize((OUT_PX, OUT_PX), transforms.InterpolationMode.BICUBIC),
            transforms.RandomHorizontalFlip(0.5),
            transforms.RandomVerticalFlip(0.5),
            transforms.RandomAutocontrast(0.5),
            transforms.RandomSolarize(51, 0.5),
            transforms.RandomAdjustSharpness(2, 0.5),
            half(transforms.GaussianBlur(5, 1.0)),
            half(transforms.RandomAffine(10, translate=(0.1, 0.3))),
            half(transforms.RandomResizedCrop(OUT_PX, (0.08, 1.0))),
            transforms.ToTensor(),
            half(transforms.Lambda(noise)),
            transforms.RandomErasing(0.5, (0.02, 0.33), value=0),
        ]
    )

    def views(tiles: list[ndarray], key: int, batch: Tensor) -> None:
        torch.manual_seed(key)
        images = [Image.fromarray(tile) for tile in tiles for _ in range(VIEWS)]
        for place, image in enumerate(images):
            batch[place] = recipe(image)

    return views


def our_way(preset: str) -> Way:
    spec = ViewSpec.model_validate({"preset": preset})

    def views(tiles: list[ndarray], key: int, batch: Tensor) -> None:
        params = draw(spec, [generator(0, key, i) for i in range(len(tiles))], VIEWS)
        for i, tile in enumerate(tiles):
            seen = views_of(tile, params, i * VIEWS, VIEWS, OUT_PX)
            batch[i * VIEWS : (i + 1) * VIEWS] = torch.from_numpy(seen)
        batch[: len(params)].div_(255)

    return views


def rate(way: Way, tiles: list[ndarray]) -> float:
    """Views a second, into one batch of floats, filled again and again."""
    batch = torch.zeros(BATCH * VIEWS, 3, OUT_PX, OUT_PX)
    began = time.perf_counter()
    for start in range(0, len(tiles), BATCH):
        way(tiles[start : start + BATCH], start, batch)
    return len(tiles) * VIEWS / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few tiles, to see that it runs: no verdict")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    tiles, rounds = textures(8 if quick else 8 * BATCH), 1 if quick else 5
    ways = {"torchvision v1, hidisc": usual_way(), "hlss, hidisc": our_way("hidisc"), "hlss, he": our_way("he")}
    best = dict.fromkeys(ways, 0.0)
    for way in ways.values():
        rate(way, tiles[:4])
    for _ in range(rounds):
        for name, way in ways.items():
            best[name] = max(best[name], rate(way, tiles))
    usual = next(iter(best.values()))
    print(f"{VIEWS} views of {TILE_PX} px tiles at {OUT_PX} px, one core")
    for name, found in best.items():
        print(f"  {name:24s} {found:7.0f} views/s  {found / usual:5.2f}×")
    if not quick:
        ours = best["hlss, hidisc"]
        print(f"  goal {GOAL:g}×: {'reached' if ours >= GOAL * usual else 'MISSED'};", end=" ")
        print(f"aim {AIM:g}/s: {'reached' if ours >= AIM else 'MISSED'}")


if __name__ == "__main__":
    main()
