"""Training `tiny` from nothing: CLIP's contrast of drawn tiles and their captions."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 — torch's own name for it
from jaxtyping import Float, Int64, UInt8
from numpy import ndarray
from torch import Tensor, nn

from hlss.encoders.clip_towers import encode_tokens, open_clip_quietly
from hlss.encoders.tiny import TinyModel
from hlss.files import replacing
from hlss.jobs.pretrain_tiny.captions import caption
from hlss.jobs.pretrain_tiny.data import CROP_PX, Drawn, batches, keep_settings, truth_row
from hlss.train.device import bf16_is_native
from hlss.train.optim import learning_rate
from hlss.train.settings import TrainSpec

Say = Callable[[str], None]
BATCH, SEED = 256, 1
_SPEC = TrainSpec(lr=1.5e-3, warmup=0.05)
_WEIGHT_DECAY, _CLIP_NORM, _MOST_SCALE = 0.1, 1.0, 100.0
_SAVE_EVERY = 100
_STAIN = 0.1  # how far a channel's optical density is stretched, at most


def clip_loss(images: Float[Tensor, "b d"], texts: Float[Tensor, "b d"], scale: Tensor) -> Tensor:
    """Symmetric cross entropy of each image with its own text among all, and back (Radford et al. 2021)."""
    logits = scale * F.normalize(images, dim=1) @ F.normalize(texts, dim=1).T
    own = torch.arange(len(logits))
    return 0.5 * (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own))


def augmented(tiles: UInt8[ndarray, "b p p 3"], rng: np.random.Generator) -> UInt8[Tensor, "b 3 q q"]:
    """A crop, turned and mirrored at random, each channel's optical density stretched a little."""
    most = tiles.shape[1] - CROP_PX
    views = np.empty((len(tiles), 3, CROP_PX, CROP_PX), dtype=np.uint8)
    levels = -np.log((np.arange(256) + 1) / 256)
    for view, tile in zip(views, tiles, strict=True):
        x, y = rng.integers(0, most + 1, 2)
        crop = np.rot90(tile[y : y + CROP_PX, x : x + CROP_PX], int(rng.integers(4)))
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        stretch = rng.uniform(1 - _STAIN, 1 + _STAIN) * rng.uniform(1 - _STAIN / 2, 1 + _STAIN / 2, 3)
        table = np.clip(256 * np.exp(-levels[:, None] * stretch) - 1, 0, 255).astype(np.uint8)
        for channel in range(3):
            view[channel] = table[:, channel][crop[..., channel]]
    return torch.from_numpy(views)


class Trainer:
    """The model, its optimiser, and where they are kept; goes on where a killed run was.

    Raises UserError where that run had other settings.
    """

    def __init__(self, drawn: Drawn, folder: Path, steps: int, batch: int = BATCH) -> None:
        self.drawn, self.steps, self.batch = drawn, steps, batch
        self.kept = folder / "training.pt"
        settings = {"steps": steps, "batch": batch, "tiles": len(drawn.tiles)}
        keep_settings(folder / "settings.json", settings)
        self.model = cast(Any, TinyModel(random=True, seed=SEED).model())
        self.scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.bf16 = bf16_is_native(torch.device("cpu"))
        self.visual: Any = self.model.visual.to(memory_format=torch.channels_last)
        parameters = [*self.model.parameters(), self.scale]
        decayed = [p for p in parameters if p.ndim >= 2]
        plain = [p for p in parameters if p.ndim < 2]
        groups = [{"params": decayed, "weight_decay": _WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=_SPEC.lr, betas=(0.9, 0.98))
        self.step = 0
        mean, std = (torch.tensor(self.visual.preprocess_cfg[key]) for key in ("mean", "std"))
        self.mean, self.std = mean[:, None, None], std[:, None, None]
        with open_clip_quietly() as open_clip:
            self.tokenizer = open_clip.get_tokenizer("hlss-tiny")
        if self.kept.exists():
            self._load()

    def run(self, say: Say, until: int | None = None) -> None:
        """Train to the last step (or to `until`), saying how it goes."""
        began, first, losses = time.monotonic(), self.step, list[float]()
        last = began
        self.model.train()
        for step, rows in batches(len(self.drawn.tiles), self.batch, SEED, self.step, until or self.steps):
            losses.append(self._step(step, rows))
            self.step = step + 1
            if self.step % _SAVE_EVERY == 0 or self.step in (self.steps, until):
                self._save()
            now = time.monotonic()
            if now - last > 5 or self.step == self.steps:
                last = now
                rate = (self.step - first) * self.batch / (now - began)
                left = (self.steps - self.step) * self.batch / rate
                speed = f"{rate:.0f} images/s  {left:.0f} s left"
                say(f"step {self.step}/{self.steps}  loss {np.mean(losses[-20:]):.3f}  {speed}")

    def _step(self, step: int, rows: Int64[ndarray, " b"]) -> float:
        rng = np.random.Generator(np.random.Philox([SEED, 7, step]))
        pixels = augmented(self.drawn.tiles[rows], rng)
        captions = [caption(truth_row(self.drawn, int(row)), rng) for row in rows]
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(_SPEC, step, self.steps)
        self.optimizer.zero_grad(set_to_none=True)
        normal = ((pixels.float() / 255 - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            images = self.visual(normal)
            texts = encode_tokens(self.model, self._tokens(captions))
        loss = clip_loss(images.float(), texts.float(), self.scale.exp().clamp(max=_MOST_SCALE))
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_([*self.model.parameters(), self.scale], _CLIP_NORM)
        self.optimizer.step()
        return float(loss.detach())

    def _tokens(self, captions: list[str]) -> Int64[Tensor, "b t"]:
        tokens: Tensor = self.tokenizer(captions)
        return tokens[:, : int(tokens.argmax(dim=1).max()) + 1]  # the end mark has the largest number

    def _save(self) -> None:
        parts = {
            "model": self.model.state_dict(),
            "scale": self.scale.detach(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }
        with replacing(self.kept) as temporary:
            torch.save(parts, temporary)

    def _load(self) -> None:
        parts = torch.load(self.kept, weights_only=True)
        self.model.load_state_dict(parts["model"])
        self.optimizer.load_state_dict(parts["optimizer"])
        self.scale.data.copy_(parts["scale"])
        self.step = parts["step"]
