"""Judging `tiny` on drawn tissue that it never saw: retrieval, and zero-shot AUROC factor by factor."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 — torch's own name for it
from jaxtyping import Float64
from numpy import ndarray

from hlss.cohorts.phantom.factors import FACTORS
from hlss.encoders.base import TextEncoder
from hlss.encoders.tiny import Tiny
from hlss.explain.agreement import HIGH, LOW, auroc, interval_of_mean
from hlss.jobs.pretrain_tiny.captions import HELD_OUT, caption, sentences
from hlss.jobs.pretrain_tiny.data import Drawn, truth_row
from hlss.jobs.truth import WHOLE_SLIDE
from hlss.language.bank import read_bank
from hlss.language.factors import truth_of
from hlss.types import LEVELS

_BATCH, _CAPTIONS, _RESAMPLES = 128, 256, 200


def judged(spec: Tiny, drawn: Drawn, seed: int = 0) -> dict[str, Any]:
    """Retrieval among 256 captions, and AUROC of (high − low) prompts by factor, with sentences read in training and
    with such as were held back from it; factors never captioned and distractors apart.
    """
    images, text = _image_features(spec, drawn), spec.text().build()
    read = {name: _zero_shot(images, text, drawn, name, back=False) for name in FACTORS if name not in WHOLE_SLIDE}
    back = {name: _zero_shot(images, text, drawn, name, back=True) for name in read}
    seen = [name for name in read if name not in HELD_OUT]
    empty = _distractors(images, text, drawn)
    return {
        "retrieval": _retrieval(images, text, drawn, seed),
        "factors": {
            name: {"auroc": read[name], "unseen_sentences": back[name], **_counts(drawn, name)} for name in read
        },
        "mean": _mean([read[name] for name in seen]),
        "interval": _interval(images, text, drawn, seen, seed),
        "mean_unseen_sentences": _mean([back[name] for name in seen]),
        "mean_held_out_factors": _mean([read[name] for name in HELD_OUT]),
        "mean_every_factor": _mean(list(read.values())),
        "distractors": _mean(empty),
        "distractors_off_chance": _mean([abs(value - 0.5) for value in empty]),
        "tiles": len(drawn.tiles),
        "patients": int(drawn.patients.max()) + 1,
    }


@torch.no_grad()
def _image_features(spec: Tiny, drawn: Drawn) -> Float64[ndarray, "n d"]:
    encoder = spec.build().eval()
    found = []
    for start in range(0, len(drawn.tiles), _BATCH):
        pixels = torch.from_numpy(drawn.tiles[start : start + _BATCH]).permute(0, 3, 1, 2)
        found.append(F.normalize(encoder(encoder.normalised(pixels)).float(), dim=1))
    return torch.cat(found).double().numpy()


def _text_features(text: TextEncoder, texts: list[str]) -> Float64[ndarray, "t d"]:
    return F.normalize(text.encode(texts).float(), dim=1).double().numpy()


def _scores(images: ndarray, text: TextEncoder, factor: str, back: bool) -> Float64[ndarray, " n"]:
    """Mean similarity to the high end's sentences less that to the low end's."""
    high, low = (list(sentences(factor, end)[int(back)]) for end in ("high", "low"))
    found: Float64[ndarray, " n"] = (images @ _text_features(text, high).T).mean(axis=1) - (
        images @ _text_features(text, low).T
    ).mean(axis=1)
    return found


def _zero_shot(images: ndarray, text: TextEncoder, drawn: Drawn, factor: str, back: bool) -> float | None:
    truth = drawn.truth[:, FACTORS.index(factor)]
    return auroc(_scores(images, text, factor, back), truth >= HIGH, truth <= LOW)


def _counts(drawn: Drawn, factor: str) -> dict[str, int]:
    truth = drawn.truth[:, FACTORS.index(factor)]
    return {"high": int((truth >= HIGH).sum()), "low": int((truth <= LOW).sum())}


def _interval(
    images: ndarray, text: TextEncoder, drawn: Drawn, factors: list[str], seed: int
) -> tuple[float, float] | None:
    """95 % interval of the mean over factors, patients resampled; None where nothing can be said."""
    tables = [
        (_scores(images, text, name, back=False), drawn.truth[:, FACTORS.index(name)].astype(np.float64), "high")
        for name in factors
    ]
    return interval_of_mean(tables, drawn.patients, _RESAMPLES, seed)


def _distractors(images: ndarray, text: TextEncoder, drawn: Drawn) -> list[float]:
    """AUROC of each distractor's similarity against the high end of each factor."""
    bank, truths = read_bank("phantom"), truth_of("phantom")
    found = []
    for level in LEVELS:
        for characteristic in bank.level(level):
            if truths[level][characteristic.name].factor is None:
                score = (images @ _text_features(text, list(characteristic.descriptions)).T).mean(axis=1)
                for name in FACTORS:
                    if name not in WHOLE_SLIDE:
                        truth = drawn.truth[:, FACTORS.index(name)]
                        found.append(auroc(score, truth >= HIGH, truth <= LOW))
    return [value for value in found if value is not None]


def _retrieval(images: ndarray, text: TextEncoder, drawn: Drawn, seed: int) -> dict[str, float]:
    """How often the own caption is first, or among five, of 256 different ones, for tiles spread over the cohort."""
    rng = np.random.default_rng(seed)
    rows: dict[str, int] = {}
    for row in rng.permutation(len(drawn.tiles)):
        rows.setdefault(caption(truth_row(drawn, int(row)), rng), int(row))
        if len(rows) == _CAPTIONS:
            break
    similarity = images[list(rows.values())] @ _text_features(text, list(rows)).T
    rank = (similarity > np.diag(similarity)[:, None]).sum(axis=1)
    return {"captions": len(rows), "r1": float((rank < 1).mean()), "r5": float((rank < 5).mean())}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
