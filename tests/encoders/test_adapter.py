"""The adapter: the features themselves until it has learnt something."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.decomposition import PCA

from hlss.encoders.adapter import Adapter

FEATURES = torch.randn(50, 20, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("hidden", [0, 8])
def test_it_starts_as_the_features_themselves_and_learns(hidden: int) -> None:
    encoder = Adapter(width=20, hidden=hidden).build()
    z = encoder(encoder.normalised(FEATURES))
    torch.testing.assert_close(z, FEATURES, rtol=0, atol=0)
    z.square().sum().backward()
    assert encoder.change[-1].weight.grad.abs().max() > 0 if hidden else encoder.change.weight.grad.abs().max() > 0


def test_with_a_dimension_it_starts_as_their_pca() -> None:
    encoder = Adapter(width=20, dim=5).build()
    assert encoder.wants_features()
    encoder.fit_projection(encoder.features(FEATURES))
    assert not encoder.wants_features()
    oracle = PCA(5).fit_transform(FEATURES.numpy())
    np.testing.assert_allclose(np.abs(encoder(FEATURES).detach().numpy()), np.abs(oracle), atol=1e-4)


def test_half_precision_features_are_widened() -> None:
    encoder = Adapter(width=20).build()
    assert encoder.normalised(FEATURES.half()).dtype == torch.float32


def test_paired_features_have_the_family_of_their_text_tower() -> None:
    paired = Adapter(width=128, words="tiny", paired=True)
    assert paired.build().family == paired.text().family is not None
    assert Adapter(width=128, words="tiny").build().family is None
    with pytest.raises(ValidationError, match="trained with an image tower"):
        Adapter(width=128, words={"name": "random", "dim": 128}, paired=True)
    with pytest.raises(ValidationError, match="leave `dim` out"):
        Adapter(width=200, dim=128, words="tiny", paired=True)
