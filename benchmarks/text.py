"""A bank through CLIP RN50's text tower: encoded at once and trimmed, beside one characteristic at a time.

The usual way pads each text to 77 tokens and takes the 4 descriptions of one characteristic at a time, without a graph
(the released code keeps it, at 131 MB a characteristic). Random weights of RN50's shape: speed does not hang on them.
Each way runs in processes of its own, taken in turn; peak memory is its own. The second time comes from the cache.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 — torch's own name for it
from torch import Tensor

from hlss.encoders.clip import Clip
from hlss.encoders.clip_towers import open_clip_quietly
from hlss.language.bank import read_bank
from hlss.language.encode import encode
from hlss.types import Level

GOAL, GOAL_GB, SAME = 3.0, 2.0, 1e-4
WAYS = ("one at a time", "at once")
WARM = ["A first sentence, which wakes tokenizer and threads"]


def descriptions(count: int) -> list[list[str]]:
    return read_bank("general_he").texts(Level.PATCH)[:count]


@torch.no_grad()
def one_at_a_time(rows: list[list[str]]) -> Tensor:
    with open_clip_quietly() as open_clip:
        tokenizer = open_clip.get_tokenizer("RN50")
    model = Clip().model().eval()
    model.encode_text(tokenizer(WARM))
    began = time.perf_counter()
    found = [F.normalize(F.normalize(model.encode_text(tokenizer(row)), dim=1).mean(dim=0), dim=0) for row in rows]
    print(time.perf_counter() - began)
    return torch.stack(found)


def at_once(rows: list[list[str]]) -> Tensor:
    encoder = Clip().text().build()
    encoder.encode(WARM)
    with tempfile.TemporaryDirectory() as cache:
        began = time.perf_counter()
        found = encode({Level.PATCH: rows}, encoder, Path(cache))[Level.PATCH]
        first = time.perf_counter() - began
        encode({Level.PATCH: rows}, encoder, Path(cache))
        print(first, time.perf_counter() - began - first)
    return found


def child(way: str, count: int, out: Path) -> None:
    """Print seconds and peak memory of one way; leave its matrix."""
    matrix = {"one at a time": one_at_a_time, "at once": at_once}[way](descriptions(count))
    torch.save(matrix, out)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9)


def measured(way: str, count: int, out: Path) -> list[float]:
    """Seconds (of the second time too, where there is one), and peak memory in GB."""
    command = [sys.executable, __file__, "--child", way, str(count), str(out)]
    return [float(word) for word in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 characteristics, once: no verdict")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        way, count, out = arguments.child
        child(way, int(count), Path(out))
        return
    count, rounds = (2, 1) if arguments.quick else (16, 3)
    with tempfile.TemporaryDirectory() as folder:
        paths = {way: Path(folder) / f"{number}.pt" for number, way in enumerate(WAYS)}
        found = {way: [measured(way, count, paths[way])] for way in WAYS}
        for _ in range(rounds - 1):
            for way in WAYS:
                found[way].append(measured(way, count, paths[way]))
        apart = float((torch.load(paths[WAYS[0]]) - torch.load(paths[WAYS[1]])).abs().max())
    seconds = {way: min(row[0] for row in rows) for way, rows in found.items()}
    peak = {way: max(row[-1] for row in rows) for way, rows in found.items()}
    print(f"{count} characteristics × 4 descriptions, CLIP RN50's text tower, {torch.get_num_threads()} threads")
    for way in WAYS:
        print(f"  {way:14s} {seconds[way]:6.2f} s, peak {peak[way]:.2f} GB of the process, weights included")
    print(f"  ratio {seconds[WAYS[0]] / seconds[WAYS[1]]:.2f}× (goal {GOAL:g}×, at most {GOAL_GB:g} GB), ", end="")
    print(f"second time {min(row[1] for row in found[WAYS[1]]) * 1e3:.1f} ms; matrices differ by {apart:.1e}")
    if apart > SAME:
        sys.exit(f"the two ways differ by more than {SAME:g}")


if __name__ == "__main__":
    main()
