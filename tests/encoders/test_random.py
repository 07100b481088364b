"""Random vectors in place of text."""

import torch

from hlss.encoders.random import RandomText


def test_rows_are_unit_and_by_seed_and_text_alone(texts: list[str]):
    encoder = RandomText(dim=32, seed=1).build()
    rows = encoder.encode(texts)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(texts)))
    assert torch.equal(encoder.encode(texts[::-1]).flip(0), rows)
    assert torch.equal(RandomText(dim=32, seed=1).build().encode(texts), rows)
    other = RandomText(dim=32, seed=2).build()
    assert not torch.allclose(other.encode(texts), rows)
    assert other.fingerprint != encoder.fingerprint


def test_different_texts_are_nearly_orthogonal():
    rows = RandomText(dim=384).build().encode([f"text {i}" for i in range(200)])
    off = (rows @ rows.T).fill_diagonal_(0)
    assert float(off.abs().max()) < 0.35  # over 6 standard deviations of 1/√384
    assert abs(float(off.std()) - 384**-0.5) < 0.003


def test_it_says_that_it_is_a_control():
    assert any("control" in notice for notice in RandomText().notices)


def test_no_texts_make_no_rows():
    assert RandomText(dim=32).build().encode([]).shape == (0, 32)
