"""Files of text vectors, as another machine would write them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hlss.language.bank import read_bank
from hlss.types import LEVELS


def sentences_of(bank: str) -> list[str]:
    """Every description of a bank, as docs/guides/features.md lists them."""
    return [text for level in LEVELS for four in read_bank(bank).texts(level) for text in four]


def vectors_file(path: Path, sentences: Sequence[str], width: int) -> Path:
    """A file of random vectors."""
    vectors = np.random.default_rng(0).normal(size=(len(sentences), width)).astype(np.float32)
    np.savez(path, sentences=sentences, vectors=vectors)
    return path
