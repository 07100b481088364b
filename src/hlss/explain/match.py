"""Images against texts: how well each characteristic matches each patch."""

import numpy as np
from jaxtyping import Float, Float64
from numpy import ndarray


def match(features: Float[ndarray, "n d"], texts: Float[ndarray, "k _"]) -> Float64[ndarray, "n k"]:
    """cos(z, t_l[k]) of each patch and characteristic (SPEC §3); rows of `texts` are unit vectors.

    Raises ValueError where the dimensions differ: the texts are of another model.
    """
    if features.shape[1] != texts.shape[1]:
        raise ValueError(f"features have {features.shape[1]} dimensions, texts {texts.shape[1]}")
    z = features.astype(np.float64)
    z /= np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
    result: Float64[ndarray, "n k"] = z @ texts.astype(np.float64).T
    return result


def standing(scores: Float64[ndarray, "n k"]) -> Float64[ndarray, "n k"]:
    """Each characteristic's score in standard deviations from its mean over these patches.

    A text that lies near all images has a high cosine everywhere and says nothing of any of them; what stands out does.
    """
    spread = scores.std(axis=0)
    result: Float64[ndarray, "n k"] = (scores - scores.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return result
