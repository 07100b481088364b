"""Text matrices against the formula of SPEC §1 in float64; encoded once, then cached."""

import hashlib

import numpy as np
import pytest
import torch

from hlss.errors import UserError
from hlss.language.bank import read_bank
from hlss.language.encode import LanguageSpec, encode
from hlss.types import LEVELS, Level

GROUPS = {level: [[f"{level} {k} {j}" for j in range(4)] for k in range(3)] for level in LEVELS}


class Hashing:
    """Deterministic vectors of different lengths; counts what it is asked."""

    dim, context, family, fingerprint = 8, 77, None, "hashing"

    def __init__(self, scale=1.0):
        self.asked, self.scale = [], scale

    def token_counts(self, texts):
        return [len(text.split()) for text in texts]

    def encode(self, texts):
        self.asked += texts
        return torch.from_numpy(np.stack([self.vector(text) for text in texts])).float() * self.scale

    def vector(self, text):
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
        return np.random.default_rng(seed).normal(0.3, 1 + seed % 3, 8)


def test_rows_are_the_formula():
    encoder = Hashing()
    found = encode(GROUPS, encoder, None)
    for level, rows in GROUPS.items():
        for k, texts in enumerate(rows):
            units = [v / np.linalg.norm(v) for v in map(encoder.vector, texts)]
            mean = np.mean(units, axis=0)
            np.testing.assert_allclose(found[level][k], mean / np.linalg.norm(mean), rtol=1e-5, atol=1e-7)
        assert not found[level].requires_grad


def test_each_text_once_then_from_the_cache_and_a_broken_cache_is_made_anew(tmp_path):
    encoder = Hashing()
    groups = {**GROUPS, Level.PATIENT: GROUPS[Level.PATCH]}
    first = encode(groups, encoder, tmp_path)
    assert sorted(encoder.asked) == sorted({text for rows in groups.values() for row in rows for text in row})
    encoder.asked.clear()
    again = encode(groups, encoder, tmp_path)
    assert encoder.asked == []
    assert all(torch.equal(first[level], again[level]) for level in LEVELS)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:40])
    assert torch.equal(encode(groups, encoder, tmp_path)[Level.SLIDE], first[Level.SLIDE])
    assert encoder.asked
    encode(GROUPS, encoder, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_embeddings_that_are_not_finite_are_refused():
    with pytest.raises(UserError, match="not finite"):
        encode(GROUPS, Hashing(scale=float("nan")), None)


def test_variants():
    bank = read_bank("general_he")
    granular = LanguageSpec().groups(bank)
    assert granular[Level.PATCH] == bank.texts(Level.PATCH)
    generic = LanguageSpec(variant="generic", generic_level="patch").groups(bank)
    assert all(generic[level] == bank.texts(Level.PATCH) for level in LEVELS)
    permuted, other = (LanguageSpec(variant="permuted", seed=seed).groups(bank) for seed in (0, 1))
    flat = [
        sorted(text for level in LEVELS for row in groups[level] for text in row) for groups in (granular, permuted)
    ]
    assert flat[0] == flat[1]
    assert permuted != other
    assert permuted == LanguageSpec(variant="permuted", seed=0).groups(bank)
    kept = sum(row in granular[level] for level in LEVELS for row in permuted[level])
    assert kept == 0


def test_a_bank_through_a_text_tower_says_what_it_is(tmp_path):
    texts = LanguageSpec(text={"name": "random", "dim": 12}).encoded(None, tmp_path)
    assert {level: rows.shape[1] for level, rows in texts.rows.items()} == dict.fromkeys(LEVELS, 12)
    assert texts.fingerprint == texts.bank.fingerprint
    assert any("unreviewed" in notice for notice in texts.notices)
    assert (
        LanguageSpec(text={"name": "random", "dim": 12}, variant="generic").encoded(None, tmp_path).fingerprint
        != texts.fingerprint
    )
    with pytest.raises(UserError, match="no text tower of its own"):
        LanguageSpec().encoded(None, tmp_path)
