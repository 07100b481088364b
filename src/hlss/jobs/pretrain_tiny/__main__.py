"""Train `tiny` from nothing on drawn tissue, and judge it; started again with the same command, it goes on.

    python -m hlss.jobs.pretrain_tiny --out runs/tiny

Draws the tiles (minutes), trains (half an hour on 2 cores) and writes OUT/tiny.safetensors (fp16) and OUT/judge.json.
Copied to src/hlss/encoders/tiny_clip/tiny.safetensors, the weights are what `encoder: tiny` starts from.
"""

import argparse
import sys
from pathlib import Path

import torch
from safetensors.torch import save

from hlss.encoders.tiny import Tiny
from hlss.files import file_digest, replacing, write_json
from hlss.jobs.pretrain_tiny.data import Drawn, drawn, judging_cohort, training_cohort
from hlss.jobs.pretrain_tiny.judge import judged
from hlss.jobs.pretrain_tiny.train import BATCH, Trainer
from hlss.jobs.provenance import provenance
from hlss.jobs.setup import now_and_then
from hlss.jobs.train import say_once

_PATIENTS, _JUDGED, _STEPS = 1200, 84, 1000


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/tiny"))
    parser.add_argument("--steps", type=int, default=_STEPS)
    parser.add_argument("--patients", type=int, default=_PATIENTS)
    parser.add_argument("--judged", type=int, default=_JUDGED, help="patients of the held-out cohort")
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--judge", type=Path, help="only judge these weights")
    options = parser.parse_args(arguments)
    progress = now_and_then(say_once, "drawing tiles to be judged by")
    held_out = drawn(judging_cohort(options.judged), options.out / "judged", options.workers, progress)
    if options.judge is not None:
        judge(options.judge, held_out, options.out / "judge.json")
        return
    progress = now_and_then(say_once, "drawing tiles to be trained on")
    tiles = drawn(training_cohort(options.patients), options.out / "tiles", options.workers, progress)
    trainer = Trainer(tiles, options.out, options.steps, options.batch)
    trainer.run(say_once)
    weights = options.out / "tiny.safetensors"
    half = {name: t.half() if t.is_floating_point() else t for name, t in trainer.model.state_dict().items()}
    with replacing(weights) as temporary:
        temporary.write_bytes(save({name: tensor.contiguous() for name, tensor in half.items()}))
    judge(weights, held_out, options.out / "judge.json")
    print(f"Output: {weights}", file=sys.stdout)


def judge(weights: Path, held_out: Drawn, out: Path) -> None:
    """Judge these weights, and random ones beside them."""
    with torch.inference_mode():
        found = {"tiny": judged(Tiny(weights=weights), held_out), "random weights": judged(Tiny(random=True), held_out)}
    write_json(out, {"judged": found, "weights": file_digest(weights), "provenance": provenance()})
    for name, one in found.items():
        say_once(
            f"{name}: mean AUROC {one['mean']:.3f}, unseen sentences {one['mean_unseen_sentences']:.3f}, factors never "
            f"captioned {one['mean_held_out_factors']:.3f}, distractors {one['distractors']:.3f}, "
            f"R@1 {one['retrieval']['r1']:.3f}, R@5 {one['retrieval']['r5']:.3f} of {one['retrieval']['captions']}"
        )


if __name__ == "__main__":
    main()
