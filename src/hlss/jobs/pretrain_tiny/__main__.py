"""Train `tiny` from nothing on drawn tissue, and judge it; started again with the same command, it goes on.

    python -m hlss.jobs.pretrain_tiny --out runs/tiny

Draws the tiles (minutes), trains (half an hour on 2 cores) and writes OUT/tiny.safetensors (fp16), OUT/judge.json and
OUT/log.txt. Copied to src/hlss/encoders/tiny_clip/tiny.safetensors, the weights are what `encoder: tiny` starts from.
"""

import argparse
import sys
from pathlib import Path

import torch
from safetensors.torch import save

from hlss.encoders.tiny import Tiny
from hlss.errors import UserError
from hlss.files import file_digest, replacing, write_json
from hlss.jobs.pretrain_tiny.data import Drawn, drawn, judging_cohort, training_cohort
from hlss.jobs.pretrain_tiny.judge import judged
from hlss.jobs.pretrain_tiny.train import BATCH, Say, Trainer
from hlss.jobs.provenance import provenance
from hlss.jobs.setup import now_and_then
from hlss.jobs.train import say_once

_PATIENTS, _JUDGED, _STEPS = 1200, 84, 1000
_QUICK = {"patients": 2, "judged": 2, "steps": 2, "batch": 16, "workers": 1}


def main(arguments: list[str] | None = None) -> None:
    """Exits with one line for a user's mistake, and where it is interrupted."""
    options = _options(arguments)
    try:
        _made(options)
    except UserError as error:
        sys.exit(f"hlss: {error}")
    except KeyboardInterrupt:
        print("hlss: interrupted; the same command goes on", file=sys.stderr)
        sys.exit(130)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/tiny"))
    parser.add_argument("--steps", type=_positive, default=_STEPS)
    parser.add_argument("--patients", type=_positive, default=_PATIENTS)
    parser.add_argument("--judged", type=_positive, default=_JUDGED, help="patients of the held-out cohort")
    parser.add_argument("--batch", type=_positive, default=BATCH)
    parser.add_argument("--workers", type=_positive, default=2)
    parser.add_argument("--judge", type=Path, help="only judge these weights")
    parser.add_argument("--quick", action="store_true", help="a few tiles and steps, to see that it works")
    options = parser.parse_args(arguments)
    if options.quick:
        parser.set_defaults(**_QUICK)
        options = parser.parse_args(arguments)
    return options


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def _made(options: argparse.Namespace) -> None:
    say = _logged(options.out / "log.txt")
    progress = now_and_then(say, "drawing tiles to be judged by")
    held_out = drawn(judging_cohort(options.judged), options.out / "judged", options.workers, progress)
    if options.judge is not None:
        judge(options.judge, held_out, options.out / "judge.json", say)
        return
    progress = now_and_then(say, "drawing tiles to be trained on")
    tiles = drawn(training_cohort(options.patients), options.out / "tiles", options.workers, progress)
    trainer = Trainer(tiles, options.out, options.steps, options.batch)
    trainer.run(say)
    weights = options.out / "tiny.safetensors"
    half = {name: t.half() if t.is_floating_point() else t for name, t in trainer.model.state_dict().items()}
    with replacing(weights) as temporary:
        temporary.write_bytes(save({name: tensor.contiguous() for name, tensor in half.items()}))
    judge(weights, held_out, options.out / "judge.json", say)
    print(f"Output: {weights}", file=sys.stdout)


def _logged(path: Path) -> Say:
    """Says a line, and appends it to a file."""

    def say(text: str) -> None:
        say_once(text)
        with path.open("a", encoding="utf-8") as file:
            file.write(text + "\n")

    return say


def judge(weights: Path, held_out: Drawn, out: Path, say: Say = say_once) -> None:
    """Judge these weights, and random ones beside them."""
    with torch.inference_mode():
        found = {"tiny": judged(Tiny(weights=weights), held_out), "random weights": judged(Tiny(random=True), held_out)}
    write_json(out, {"judged": found, "weights": file_digest(weights), "provenance": provenance()})
    for name, one in found.items():
        say(
            f"{name}: mean AUROC {_number(one['mean'])}, unseen sentences {_number(one['mean_unseen_sentences'])}, "
            f"factors never captioned {_number(one['mean_held_out_factors'])}, "
            f"distractors {_number(one['distractors'])}, "
            f"R@1 {one['retrieval']['r1']:.3f}, R@5 {one['retrieval']['r5']:.3f} of {one['retrieval']['captions']}"
        )


def _number(value: float | None) -> str:
    """As it is said; a factor that too few tiles have, or lack, has no AUROC."""
    return "unknown" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
