"""A tag in the corner of a film, which may go with a finding: a shortcut that lies outside the chest for certain.

After the laterality tokens that DeGrave et al. 2021 name among the shortcuts of COVID-19 classifiers. Differences: who
wears one is a number we choose; it is a bright square, painted after the film was made, so nothing else in the film
changes. The generator's own letter (`thorax`, device "marker") lies beside the lungs and often inside their bounding
box, so it cannot serve where the box is hidden.

Conventions: images float (n, 1, h, w) in [0, 1]; who wears a tag is bool (n,).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor


def worn(propensity: ArrayLike, labels: ArrayLike, *, p: float) -> NDArray[np.bool_]:
    """Who wears the tag.

    Parameters
    ----------
    propensity : array_like of float, (n,)
        One uniform draw in [0, 1) for each film; kept while p changes, as few tags as possible change hands.
    labels : array_like of 0/1, (n,)
        The finding the tag goes with.
    p : float in [0, 1]
        Share with a tag among films with the finding; 1 - p among the others. 0.5 = no shortcut.

    Returns
    -------
    ndarray
        bool (n,).

    Raises
    ------
    ValueError
        If p is no probability, or the shapes differ.

    Examples
    --------
    >>> worn([0.2, 0.8, 0.2, 0.8], [1, 1, 0, 0], p=0.9).tolist()
    [True, True, False, False]
    """
    draws, present = np.asarray(propensity, dtype=np.float64), np.asarray(labels)
    if not 0 <= p <= 1:
        raise ValueError(f"p must be a probability in [0, 1], got {p}; write a percentage as a fraction")
    if draws.ndim != 1 or draws.shape != present.shape:
        raise ValueError(f"propensity and labels must be (n,) alike, got {draws.shape}, {present.shape}; pair them")
    return draws < np.where(present == 1, p, 1 - p)


def tagged(images: Tensor, *, side: int = 3) -> Tensor:
    """The same films with a white square in the upper left corner of the picture.

    Parameters
    ----------
    images : Tensor
        float (n, 1, h, w).
    side : int
        Of the square, pixels; 3 of 64 are about 17 mm.

    Returns
    -------
    Tensor
        A copy; outside the square it equals the images.

    Raises
    ------
    ValueError
        If images are not (n, 1, h, w), or the square does not fit.
    """
    if images.ndim != 4 or images.shape[1] != 1 or not 1 <= side <= min(images.shape[2:]):
        raise ValueError(f"images must be (n, 1, h, w) with room for {side} px, got {tuple(images.shape)}; lower side")
    out = images.clone()
    out[:, :, :side, :side] = 1.0
    return out
