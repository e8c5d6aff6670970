"""Take the bones out of a film: learnt from other patients, or as much of the film taken out without knowing of bones.

After the bone suppression networks for dual-energy pairs (compared in BS-LDM, arXiv:2412.15670): a network maps a film
to the film without bone. Differences: a small U-Net that predicts what to subtract, trained on pairs of the generator,
whose bare film is exact. The control is a low-pass that changes the pattern of the lungs as much as true removal does.

Conventions: films float32 (n, 1, h, w) in [0, 1]; a region is bool (n, h, w); changes are means of absolute
grey values about the film's own mean change.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib.models.unet import UNet
from lib.train import fit, predict

__all__ = ["change", "equal_blur", "low_pass", "suppress", "train_suppressor"]

WIDTH, LEVELS = 8, 3
BATCH, RATE = 4, 0.004
WIDEST = 12.0  # pixels, beyond which a low-pass leaves nothing of a film of 64


def train_suppressor(plain: Tensor, bare: Tensor, *, epochs: int, seed: int) -> UNet:
    """Fit a U-Net that subtracts the bones.

    Parameters
    ----------
    plain, bare : Tensor
        float32 (n, 1, h, w), the same patients with and without bone; none of them may be asked later.
    epochs : int
    seed : int
        Of the first weights and the order of the films.

    Returns
    -------
    UNet

    Raises
    ------
    ValueError
        If the two do not pair up.
    """
    if plain.shape != bare.shape:
        raise ValueError(f"bare must have the shape of plain, {tuple(plain.shape)}, got {tuple(bare.shape)}; pair them")
    model = UNet(1, width=WIDTH, levels=LEVELS, residual=True, generator=torch.Generator().manual_seed(seed))

    def loss(net: nn.Module, batch: tuple[Tensor, ...], _: torch.Generator) -> Tensor:
        return (net(batch[0]) - batch[1]).abs().mean()

    order = torch.Generator().manual_seed(seed)
    fit(model, loss, (plain, bare), epochs=epochs, batch_size=BATCH, lr=RATE, generator=order, weight_decay=0.0)
    return model


def suppress(model: nn.Module, films: Tensor) -> Tensor:
    """Films without what the model takes for bone, in [0, 1]: float32 (n, 1, h, w) -> the same."""
    return predict(model, films, batch_size=64).clamp(0, 1)


def low_pass(films: Tensor, sigma: float) -> Tensor:
    """Gaussian blur; beyond the rim the film repeats its last row or column.

    Parameters
    ----------
    films : Tensor
        float (n, 1, h, w).
    sigma : float
        Standard deviation >= 0, pixels; 0 = unchanged.

    Returns
    -------
    Tensor
        float (n, 1, h, w).

    Examples
    --------
    >>> low_pass(torch.ones(1, 1, 8, 8), 2.0).sub(1).abs().max().item() < 1e-6
    True
    """
    if sigma == 0:
        return films.clone()
    reach = max(1, int(4 * sigma))
    steps = torch.arange(-reach, reach + 1, dtype=films.dtype)
    line = torch.exp(-0.5 * (steps / sigma) ** 2)
    line = line / line.sum()
    padded = functional.pad(films, [reach] * 4, mode="replicate")
    return functional.conv2d(functional.conv2d(padded, line.view(1, 1, 1, -1)), line.view(1, 1, -1, 1))


def change(films: Tensor, others: Tensor, region: Tensor) -> float:
    """How much the pattern of a region differs, its mean grey aside.

    Parameters
    ----------
    films, others : Tensor
        float (n, 1, h, w), the same patients.
    region : Tensor
        bool (n, h, w), not empty.

    Returns
    -------
    float
        Mean over films of the absolute difference inside the region, after the film's mean difference there was taken
        off: lungs without bone are darker as a whole, which only a low-pass without end could follow. 0 = equal but
        for one grey value in each film.

    Examples
    --------
    >>> everywhere = torch.ones(1, 1, 2, dtype=torch.bool)
    >>> [change(torch.zeros(1, 1, 1, 2), torch.tensor([[pair]]), everywhere) for pair in ([[1.0, 1.0]], [[1.0, 3.0]])]
    [0.0, 1.0]
    """
    inside, gap = region.to(films.dtype), (films - others)[:, 0]
    area = inside.sum((1, 2)).clamp_min(1)
    mean = (gap * inside).sum((1, 2)) / area
    return float((((gap - mean[:, None, None]).abs() * inside).sum((1, 2)) / area).mean())


def equal_blur(plain: Tensor, bare: Tensor, region: Tensor, *, steps: int = 14) -> float:
    """Width of the low-pass that changes a region as much as taking its bones out does.

    Parameters
    ----------
    plain, bare : Tensor
        float32 (n, 1, h, w), the same patients with and without bone.
    region : Tensor
        bool (n, h, w), in which changes are compared; the lungs.
    steps : int
        Halvings of the interval from 0 to WIDEST.

    Returns
    -------
    float
        Standard deviation in pixels; WIDEST if no low-pass changes so much.
    """
    goal, low, high = change(plain, bare, region), 0.0, WIDEST
    for _ in range(steps):
        middle = (low + high) / 2
        if change(plain, low_pass(plain, middle), region) < goal:
            low = middle
        else:
            high = middle
    return high
