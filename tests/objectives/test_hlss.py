"""HLSS: Eq. 7 term by term against loops, in each mode and ablation; what is refused, and what is said."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 — torch's own name for it
from torch import Tensor

from hlss.config import validate
from hlss.errors import UserError
from hlss.objectives import hlss
from hlss.objectives.base import Given
from hlss.objectives.hlss import Hlss, HlssObjective
from hlss.objectives.selection import choose
from hlss.types import LEVELS, Level

Ids = dict[Level, Tensor]
Loss = Callable[[Tensor, Tensor, float], Tensor]
Kl = Callable[[Tensor, Tensor], Tensor]
Choice = Callable[[Tensor, Tensor], int]
Terms = Callable[[Any, Tensor, Ids], dict[str, Tensor]]


@pytest.fixture
def features() -> Callable[[int], Tensor]:
    """Features as an encoder gives them: of any length, taking gradient."""

    def make(n: int) -> Tensor:
        draw = torch.Generator().manual_seed(5)
        return (3 * torch.randn(n, 16, generator=draw, dtype=torch.float64)).requires_grad_()

    return make


@pytest.fixture
def build(given: Given) -> Callable[..., HlssObjective]:
    """build(**settings): the objective in float64."""

    def make(**settings: Any) -> HlssObjective:
        return Hlss(**settings).build(given).double()

    return make


def _slope(term: Tensor, z: Tensor) -> Tensor:
    (slope,) = torch.autograd.grad(term, z, retain_graph=True)
    return slope


def _same(found: Tensor, truth: Tensor, z: Tensor) -> None:
    torch.testing.assert_close(found, truth, rtol=1e-9, atol=0)
    assert (_slope(found, z) - _slope(truth, z)).norm() <= 1e-9 * _slope(truth, z).norm()


@pytest.mark.parametrize(("mode", "tau"), [("fixed", 0.2), ("paper", 0.7), ("released", 0.07)])
def test_hvc_equals_the_loop(
    mode: str,
    tau: float,
    ids: Ids,
    texts: dict[Level, Tensor],
    build: Any,
    features: Any,
    terms_of: Terms,
    naive_contrast: Loss,
):
    z = features(len(ids[Level.PATCH]))
    terms = terms_of(build(mode=mode), z, ids)
    assert list(terms) == [f"{loss}/{level}" for loss in ("hvc", "ha") for level in LEVELS]
    unit = z / z.norm(dim=1, keepdim=True)
    for level in LEVELS:
        projected = torch.stack([torch.stack([(t * row).sum() for t in texts[level]]) for row in unit])
        projected = torch.stack([row / row.square().sum().sqrt() for row in projected])
        _same(terms[f"hvc/{level}"], naive_contrast(projected, ids[level], tau), z)


@pytest.mark.parametrize("mode", ["fixed", "paper", "released"])
def test_ha_equals_the_loop(
    mode: str,
    lacking: Ids,
    texts: dict[Level, Tensor],
    build: Any,
    features: Any,
    terms_of: Terms,
    naive_kl: Kl,
    naive_choice: Choice,
):
    z = features(10)
    settings = {"tau_a": 0.5, "lambda_ha": 3.0} if mode == "fixed" else {}
    terms = terms_of(build(mode=mode, **settings), z, lacking)
    unit = z / z.norm(dim=1, keepdim=True)
    for level in LEVELS:
        chosen = [texts[level][naive_choice(row, texts[level])] for row in unit]
        scale = 4 / 0.5 if mode == "fixed" else 1.0  # √16/τ_a
        to_text = [naive_kl(row * scale, text * scale) for row, text in zip(unit, chosen, strict=True)]
        from_text = [naive_kl(text * scale, row * scale) for row, text in zip(unit, chosen, strict=True)]
        symmetric = (torch.stack(to_text) + torch.stack(from_text)) / 2
        term = terms[f"ha/{level}"]
        if mode == "paper":
            _same(term, torch.stack(to_text).mean(), z)
        elif mode == "fixed":
            _same(term, 3 * symmetric.mean(), z)
        else:
            torch.testing.assert_close(term, symmetric.sum().detach(), rtol=1e-9, atol=0)


@pytest.mark.parametrize("mode", ["fixed", "paper"])
def test_every_term_trains_the_encoder(mode: str, lacking: Ids, build: Any, features: Any, terms_of: Terms):
    z = features(10)
    for term in terms_of(build(mode=mode), z, lacking).values():
        assert _slope(term, z).abs().sum(dim=1).count_nonzero() >= 7


def test_mode_plus_is_fixed_from_orthogonal_rows(lacking: Ids, build: Any, features: Any, terms_of: Terms):
    z = features(10)
    plus, meant = build(mode="plus"), build(init="orthogonal")
    for level in LEVELS:  # 5, 6 and 7 centred rows span one direction less
        rows = plus.layers[level].weight
        singular = torch.linalg.svdvals(rows.detach())
        torch.testing.assert_close(singular[:-1], torch.ones(len(rows) - 1, dtype=torch.float64))
        assert singular[-1] < 1e-6
    found, truth = terms_of(plus, z, lacking), terms_of(meant, z, lacking)
    for name, term in truth.items():
        torch.testing.assert_close(found[name], term, rtol=0, atol=0)
    written = Hlss(mode="plus").model_dump()
    assert written["init"] == "orthogonal"
    assert Hlss(**written) == Hlss(mode="plus")
    assert Hlss(mode="plus", lambda_ha=0.3).ha.weight == 0.3


def test_released_alignment_is_a_constant_and_says_so(lacking: Ids, build: Any, features: Any, terms_of: Terms):
    objective, z = build(mode="released"), features(10)
    terms = terms_of(objective, z, lacking)
    assert [name for name, term in terms.items() if not term.requires_grad] == [f"ha/{level}" for level in LEVELS]
    assert any("without gradient" in notice for notice in objective.notices)
    without = terms_of(build(mode="released", alignment=False), z, lacking)
    total, hvc_only = (torch.stack(list(found.values())).sum() for found in (terms, without))
    torch.testing.assert_close(_slope(total, z), _slope(hvc_only, z))
    assert build(mode="released", alignment=False).notices == ()
    assert build().notices == ()


def test_towers_not_trained_together_are_said_to_be_so(texts: dict[Level, Tensor]):
    given = Given(torch.nn.Identity(), 16, texts, aligned=False)
    notice, advice = Hlss().build(given).notices
    assert "no characteristic is claimed to be seen" in notice
    assert "objective.alignment=false" in advice
    assert Hlss(alignment=False).build(given).notices == (notice,)
    assert Hlss(text_levels=()).build(given).notices == ()


def test_hvc_only(lacking: Ids, build: Any, features: Any, terms_of: Terms):
    objective = build(alignment=False)
    assert list(terms_of(objective, features(10), lacking)) == [f"hvc/{level}" for level in LEVELS]
    assert objective.project(features(10)).own == {}
    assert objective.needs_text
    assert objective.measures(features(10)) == {}


@pytest.mark.parametrize("text_levels", [["patch"], ["patch", "slide"], ["slide"], ["patient", "patch"], []])
def test_levels_without_text_share_one_projection(
    text_levels: list[str], lacking: Ids, build: Any, features: Any, terms_of: Terms, naive_contrast: Loss
):
    objective, z = build(text_levels=text_levels, width=9), features(10)
    terms = terms_of(objective, z, lacking)
    assert set(objective.layers) == {*text_levels, "shared"}
    assert set(terms) == {f"hvc/{level}" for level in LEVELS} | {f"ha/{level}" for level in text_levels}
    assert objective.needs_text == bool(text_levels)
    shared = objective.layers["shared"](F.normalize(z, dim=1))
    assert shared.shape == (10, 9)
    for level in LEVELS:
        if level not in text_levels:
            _same(terms[f"hvc/{level}"], naive_contrast(shared, lacking[level], 0.2), z)


def test_projections_can_start_at_random(texts: dict[Level, Tensor], build: Any):
    objective = build(init="random")
    assert {level: layer.weight.shape for level, layer in objective.layers.items()} == {
        level: text.shape for level, text in texts.items()
    }
    assert not torch.equal(objective.layers["patch"].weight, texts[Level.PATCH])
    assert not torch.equal(objective.layers["patch"].weight[:5], objective.layers["slide"].weight[:5])
    again = build(init="random")
    assert torch.equal(objective.layers["patch"].weight, again.layers["patch"].weight)


def test_random_projections_without_alignment_need_no_text():
    spec = Hlss(init="random", alignment=False, width=12)
    assert not spec.needs_text
    objective = spec.build(Given(torch.nn.Identity(), 16))
    assert {level: layer.weight.shape for level, layer in objective.layers.items()} == dict.fromkeys(LEVELS, (12, 16))


def test_projections_can_be_frozen(lacking: Ids, build: Any, features: Any, terms_of: Terms):
    objective, z = build(frozen_projections=True), features(10)
    assert not any(parameter.requires_grad for parameter in objective.parameters())
    assert _slope(terms_of(objective, z, lacking)["hvc/slide"], z).norm() > 0
    assert all(parameter.requires_grad for parameter in build().parameters())


def test_one_generic_bank_at_all_levels(texts: dict[Level, Tensor], lacking: Ids, features: Any, terms_of: Terms):
    generic = dict.fromkeys(LEVELS, texts[Level.SLIDE])
    objective = Hlss().build(Given(torch.nn.Identity(), 16, generic, aligned=True)).double()
    terms = terms_of(objective, features(10), lacking)
    assert terms["ha/patch"] == terms["ha/patient"]
    assert terms["hvc/patch"] != terms["hvc/patient"]


def test_bank_use_is_measured_and_kept(build: Any, features: Any, texts: dict[Level, Tensor], naive_choice: Choice):
    objective, z = build(window=10), features(10)
    found = objective.measures(z)
    for level in LEVELS:
        choices = [naive_choice(row, texts[level]) for row in z]
        shares = torch.tensor([choices.count(k) / 10 for k in set(choices)])
        assert found[f"bank_use/{level}"] == pytest.approx(float((-(shares * shares.log()).sum()).exp()))
    assert {"bank_use.patch.counts", "layers.slide.weight"} <= set(objective.state_dict())
    assert not any(name.startswith("text") for name in objective.state_dict())


def test_nearest_texts_are_searched_once_a_batch(
    lacking: Ids, build: Any, features: Any, terms_of: Terms, monkeypatch: pytest.MonkeyPatch
):
    searched: list[int] = []
    monkeypatch.setattr(hlss, "choose", lambda z, texts: searched.append(len(texts)) or choose(z, texts))
    objective, alone, z = build(), build(), features(10)
    terms_of(objective, z, lacking)
    assert objective.measures(z.detach()) == alone.measures(z.detach())
    assert searched == 2 * [5, 6, 7]  # of two objectives, by level
    other = features(10).detach().flip(1)
    assert objective.measures(other) == alone.measures(other)
    assert searched == 4 * [5, 6, 7]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"mode": "best"}, "`mode`"),
        ({"tau": 0}, "`tau`"),
        ({"tau": 1e-4}, "`tau`"),
        ({"tau_a": -1}, "`tau_a`"),
        ({"mode": "paper", "lambda_ha": 2}, "belongs to modes fixed and plus"),
        ({"mode": "released", "tau_a": 2}, "belongs to modes fixed and plus"),
        ({"mode": "plus", "init": "text"}, "mode plus starts its projections orthogonal"),
        ({"text_levels": ["patch", "cell"]}, "`text_levels.1`"),
        ({"text_levels": ["patch", "patch"]}, "stands twice"),
        ({"temperature": 0.1}, "unknown key `temperature`"),
        ({"alignment": "perhaps"}, "`alignment`"),
        ({"width": 1}, "`width`"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], complaint: str):
    with pytest.raises(UserError, match=complaint):
        validate({"name": "hlss", **settings}, Hlss, where="e.yaml")


def test_missing_or_misfitting_text_is_named(texts: dict[Level, Tensor]):
    encoder = torch.nn.Identity()
    with pytest.raises(UserError, match=r"no text for level patch, slide, patient.*bank"):
        Hlss().build(Given(encoder, 16))
    partial = {level: texts[level] for level in (Level.PATCH, Level.PATIENT)}
    with pytest.raises(UserError, match="no text for level slide"):
        Hlss().build(Given(encoder, 16, partial))
    assert Hlss(text_levels=("patch",)).build(Given(encoder, 16, partial))
    with pytest.raises(UserError, match="16 dimensions, image features have 20"):
        Hlss().build(Given(encoder, 20, texts))
