"""Fixed features of radiographs of two groups, ready for heads that know the groups.

Films of `lib.data.thorax_groups` go through the line filters of `lib.models.filters` and a principal component analysis
of the training films. Nothing here has seen a label, so heads on these features differ in nothing but their training.

Conventions: features are whitened, float32 (n, components); groups are coded in the order of the arm's names.
"""

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from lib.data import thorax
from lib.data.thorax_groups import ARMS, sample_groups
from lib.models.filters import line_maps

PARTS = ("train", "test")


def features(
    arm: str, *, seed: int, n_train: int, n_test: int, minority: float, components: int, size: int = 64, grid: int = 4
) -> dict[str, Tensor]:
    """Draw, render and describe training and test patients of one arm; a function of literals for `lib.run`.

    Parameters
    ----------
    arm : str
        Key of `lib.data.thorax_groups.ARMS`.
    seed : int
        Of the patients; training and test patients are different ones.
    n_train, n_test : int
    minority : float
        Share of the second group in training, in (0, 1); in the test set both are equally large.
    components : int
        Principal components, at most ``n_train`` and the number of line features.
    size : int
        Height and width of a film, pixels.
    grid : int
        Cells along a side of the line maps.

    Returns
    -------
    dict of str to Tensor
        For "train" and "test": "x train" float32 (n, components), "y train", "group train", "drain train" int64 (n,).

    Raises
    ------
    ValueError
        For an unknown arm, a share outside (0, 1), or more components than training films.
    """
    if arm not in ARMS or not 0 < minority < 1:
        raise ValueError(f"arm must be one of {', '.join(ARMS)} and minority in (0, 1), got {arm!r} and {minority}")
    if components > n_train:
        raise ValueError(f"components must be at most n_train, got {components} of {n_train}; take fewer or more films")
    first, second = ARMS[arm]
    shares = {"train": {first: 1 - minority, second: minority}, "test": {first: 0.5, second: 0.5}}
    found: dict[str, Tensor] = {}
    raw = {}
    for i, (part, n) in enumerate(zip(PARTS, (n_train, n_test), strict=True)):
        rng = np.random.default_rng([seed, list(ARMS).index(arm), i])
        table = sample_groups(n, ARMS[arm], shares=shares[part], rng=rng)
        raw[part] = line_maps(thorax.render(table, size=size).x, grid=grid).flatten(1).double().numpy()
        found[f"y {part}"] = torch.tensor(table["pneumothorax"].to_numpy(dtype=np.int64))
        found[f"group {part}"] = torch.tensor((table["group"] == second).to_numpy(dtype=np.int64))
        found[f"drain {part}"] = torch.tensor(table["drain"].to_numpy(dtype=np.int64))
    centre, scale = raw["train"].mean(0), raw["train"].std(0) + 1e-6
    reduced = PCA(components, whiten=True, svd_solver="full").fit((raw["train"] - centre) / scale)
    for part in PARTS:
        found[f"x {part}"] = torch.as_tensor(reduced.transform((raw[part] - centre) / scale).astype(np.float32))
    return found
