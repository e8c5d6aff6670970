"""Infidelity and sensitivity of attributions, one value per image, through captum.

Paper: Yeh et al. 2019, On the (In)fidelity and Sensitivity of Explanations (arXiv:1901.09392), definitions 2.1 and 4.1.
Infidelity: how far a map's weighted sum over a random change of the image is from the change of the score. Largest
sensitivity: how far a map moves when the image is changed within a small ball.

Differences: captum's functions are called for one image at a time, with a generator for all chance, so a value does not
depend on ``max_batch`` nor on which other images are measured after it. Maps have no channels, so infidelity
changes all channels of a pixel alike, and the weighted sum takes the map as the sum over channels. The ball is
a cube: every value moves by at most ``radius``.

Conventions: 0 is best for both. Infidelity has the square of the score's unit, and sensitivity is relative to the norm
of the map. A map that is not on the scale of the score, as a region's mean or a saliency, is compared with
``scale="fitted"``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lib.explain import Attribution, Score, check_inputs, check_maps


@dataclass(frozen=True)
class InfidelityProtocol:
    """How infidelity is measured.

    Parameters
    ----------
    noise : float, > 0
        Standard deviation of the Gaussian change, on the scale of the image.
    n_samples : int
        Changes per image.
    scale : "given" or "fitted"
        Take the map as it is, or times the factor that suits it best for that image.
    """

    noise: float = 0.1
    n_samples: int = 64
    scale: Literal["given", "fitted"] = "given"

    def __post_init__(self) -> None:
        if self.noise <= 0 or self.n_samples < 1 or self.scale not in ("given", "fitted"):
            raise ValueError(
                f"noise must be positive, n_samples at least 1 and scale 'given' or 'fitted', got {self.noise}, "
                f"{self.n_samples} and {self.scale!r}; use e.g. noise=0.1, n_samples=64"
            )


@dataclass(frozen=True)
class SensitivityProtocol:
    """How sensitivity is measured.

    Parameters
    ----------
    radius : float, > 0
        Largest change of any value, on the scale of the image; 0.02 is captum's default.
    n_samples : int
        Changes per image; the result is their maximum and grows with their number.
    """

    radius: float = 0.02
    n_samples: int = 10

    def __post_init__(self) -> None:
        if self.radius <= 0 or self.n_samples < 1:
            raise ValueError(
                f"radius must be positive and n_samples at least 1, got {self.radius} and {self.n_samples}; "
                "use e.g. radius=0.02, n_samples=10"
            )


@dataclass(frozen=True)
class PerImage:
    """One value per image, float64 (n,), >= 0, and how it was made."""

    value: Tensor
    protocol: InfidelityProtocol | SensitivityProtocol


@torch.no_grad()
def infidelity(
    score: Score,
    images: Tensor,
    target: Tensor,
    maps: Tensor,
    *,
    generator: torch.Generator,
    protocol: InfidelityProtocol | None = None,
    max_batch: int = 128,
) -> PerImage:
    """Mean squared error of a map as a linear account of the score around each image.

    Parameters
    ----------
    score : callable
        Images (m, c, h, w) to scores (m, classes), the ones that were explained.
    images, target, max_batch
        As `lib.measure.perturbation.measure`.
    maps : Tensor, float (n, h, w)
        Signed, in units of score per unit of the image with ``scale="given"``: a gradient summed over channels.
    generator : torch.Generator
        On the CPU; the same seed gives all maps the same changes.
    protocol : InfidelityProtocol, optional

    Returns
    -------
    PerImage
        0 = the score is linear and the map its gradient (summed over channels).

    Raises
    ------
    ValueError
        If shapes do not fit together.

    Source
    ------
    Yeh et al. 2019, arXiv:1901.09392, definition 2.1; ``captum.metrics.infidelity``.
    """
    from captum.metrics import infidelity as by_captum

    protocol = protocol or InfidelityProtocol()
    check_inputs(images, target, max_batch)
    check_maps(maps, images)

    def perturb(copies: Tensor) -> tuple[Tensor, Tensor]:
        grey = (1, *copies.shape[2:])  # every copy is drawn on its own: pieces do not change the draws
        draws = torch.stack([torch.randn(grey, generator=generator) for _ in range(len(copies))])
        change = (protocol.noise * draws).to(copies).expand_as(copies)
        return change, copies - change

    values = []
    for image, label, one in zip(images, target, maps, strict=True):
        value = by_captum(
            lambda x: score(x).double(),
            perturb,
            image[None],
            (one.double() / len(image)).expand(1, *image.shape),
            target=int(label),
            n_perturb_samples=protocol.n_samples,
            max_examples_per_batch=min(max_batch, protocol.n_samples),
            normalize=protocol.scale == "fitted",
        )
        values.append(value.clamp_min(0))  # the fitted form subtracts, and may end a rounding below 0
    return PerImage(torch.cat(values).double(), protocol)


def sensitivity(
    method: Attribution,
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    generator: torch.Generator,
    protocol: SensitivityProtocol | None = None,
    max_batch: int = 128,
) -> PerImage:
    """Largest relative change of a map when its image changes a little.

    Parameters
    ----------
    method : callable
        An attribution of `lib.explain`; bind its options with ``functools.partial``.
    score, images, target
        As `infidelity`.
    generator : torch.Generator
        On the CPU; draws the changes, and a method that has chance draws from it too: its noise counts as sensitivity.
    protocol : SensitivityProtocol, optional
    max_batch : int, images
        For the method as well. Bounds memory; changes the result only by rounding for methods without chance.

    Returns
    -------
    PerImage
        0 = the map does not move; 1 = by as much as its own norm. The change itself where the map is all 0.

    Source
    ------
    Yeh et al. 2019, arXiv:1901.09392, definition 4.1; ``captum.metrics.sensitivity_max``.
    """
    from captum.metrics import sensitivity_max

    protocol = protocol or SensitivityProtocol()
    check_inputs(images, target, max_batch)

    def perturb(copies: Tensor) -> Tensor:
        draws = torch.stack([torch.rand(each.shape, generator=generator) for each in copies])
        return copies + protocol.radius * (2 * draws - 1).to(copies)

    values = []
    for image, label in zip(images, target, strict=True):

        def explain(copies: Tensor | tuple[Tensor, ...], label: Tensor = label) -> tuple[Tensor]:
            batch = copies if isinstance(copies, Tensor) else copies[0]
            return (method(score, batch, label.repeat(len(batch)), generator=generator, max_batch=max_batch),)

        value = sensitivity_max(
            explain, image[None], perturb, n_perturb_samples=protocol.n_samples,
            max_examples_per_batch=min(max_batch, protocol.n_samples),
        )  # fmt: skip
        values.append(value)
    return PerImage(torch.cat(values).double(), protocol)
