"""Projections: what they start as, and that their rows are unit rows in float32."""

import math

import torch
from torch import nn

from hlss.objectives.heads import random_layer, text_layer


def test_centred_text_layer_tells_apart_what_texts_that_are_much_alike_hide():
    draw = torch.Generator().manual_seed(3)
    texts = torch.nn.functional.normalize(torch.randn(6, 8, generator=draw) + 5, dim=1)
    z = torch.nn.functional.normalize(torch.randn(20, 8, generator=draw) + 1, dim=1)
    layer = text_layer(texts, "centred")
    for row, text in zip(layer.weight, texts, strict=True):
        torch.testing.assert_close(row, text - sum(texts) / 6)
    alike, apart = (float((made(z) @ made(z).T).abs().mean().detach()) for made in (text_layer(texts), layer))
    assert alike > 0.95
    assert apart < 0.6


def test_text_layer_starts_as_the_text():
    texts = nn.functional.normalize(torch.randn(5, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    layer, z = text_layer(texts), torch.eye(8)[:3]
    assert torch.equal(layer.weight, texts)
    assert torch.equal(layer.bias, torch.zeros(5))
    assert layer.weight.requires_grad
    for row, view in zip(layer(z), z, strict=True):
        products = [float(sum(a * b for a, b in zip(t.tolist(), view.tolist(), strict=True))) for t in texts]
        length = math.sqrt(sum(p * p for p in products))
        torch.testing.assert_close(row, torch.tensor([p / length for p in products]))
    with torch.no_grad():
        layer.weight.zero_()
    assert texts.norm() > 0, "the text itself must not be trained"


def test_random_layer_is_drawn_from_its_seed_alone():
    state = torch.random.get_rng_state()
    layer, same, other = random_layer(64, 16, seed=1), random_layer(64, 16, seed=1), random_layer(64, 16, seed=2)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(layer.weight, same.weight)
    assert not torch.equal(layer.weight, other.weight)
    assert layer.weight.abs().max() <= 1 / 8
    assert layer.weight.std() > 0.9 / 8 / math.sqrt(3)
    assert torch.equal(layer.bias, torch.zeros(16))


def test_rows_are_unit_float32_rows_under_autocast():
    layer = random_layer(8, 4, seed=0)
    z = 50 * torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    plain = layer(z)
    torch.testing.assert_close(plain.norm(dim=1), torch.ones(6))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(z), plain)
    assert layer(z.bfloat16()).dtype == torch.float32


def test_orthogonal_text_layer_weighs_every_direction_alike_and_keeps_rows_with_their_texts():
    draw = torch.Generator().manual_seed(3)
    uneven = torch.randn(6, 12, generator=draw) * torch.linspace(0.2, 3, 12)
    texts = torch.nn.functional.normalize(4 * torch.randn(12, generator=draw) + uneven, dim=1)
    rows = text_layer(texts, "orthogonal").weight.detach().double()
    centred = (texts - texts.mean(dim=0)).double()
    values = torch.linalg.svdvals(rows)
    torch.testing.assert_close(values[:5], torch.ones(5, dtype=torch.float64), rtol=0, atol=1e-6)
    assert float(values[5]) < 1e-6  # six centred rows span five directions
    likeness = torch.nn.functional.normalize(rows, dim=1) @ torch.nn.functional.normalize(centred, dim=1).T
    assert (likeness.argmax(dim=1) == torch.arange(6)).all()
    nearest = (rows - centred).square().sum()
    for _ in range(20):  # no other such matrix lies nearer to the centred rows
        turn, _ = torch.linalg.qr(torch.randn(12, 12, dtype=torch.float64, generator=draw))
        assert nearest <= (rows @ turn - centred).square().sum()


def test_completed_text_layer_keeps_all_angles_and_its_first_rows_are_the_texts():
    draw = torch.Generator().manual_seed(3)
    texts = torch.nn.functional.normalize(torch.randn(6, 12, generator=draw) + 2, dim=1)
    z = torch.nn.functional.normalize(torch.randn(20, 12, generator=draw), dim=1)
    layer = text_layer(texts, "completed")
    assert layer.weight.shape == (6 + 12 - 5, 12)  # six centred rows span five directions
    torch.testing.assert_close(layer.weight[:6], text_layer(texts, "orthogonal").weight)
    torch.testing.assert_close(layer(z) @ layer(z).T, z @ z.T)
    centred = texts - texts.mean(dim=0)
    torch.testing.assert_close(layer.weight[6:] @ centred.T, torch.zeros(7, 6), atol=1e-6, rtol=0)
    many = torch.randn(30, 12, generator=draw)
    assert text_layer(many, "completed").weight.shape == (30, 12)  # texts that leave nothing without a name
