"""X-ray physics of the thorax generator: chords of ellipsoids, attenuation, scatter, quantum noise, display.

Beer-Lambert law I = I0 exp(-sum_i mu_i l_i) with closed-form path lengths l_i, in the manner of the FORBILD thorax
phantom (Sourbelle, http://www.imp.uni-erlangen.de/phantoms/thorax/thorax.htm); a primary-only law agrees with Monte
Carlo to a few percent where scatter is modelled apart (gVirtualXray). Attenuation coefficients: mass attenuation of the
NIST/ICRP compounds in xraylib (total cross-section) times density. Scatter fractions aim at Niklason et al. 1981.

Differences: one effective energy (70 keV); every structure is magnified as a whole by the depth of its centre (weak
perspective) instead of ray by ray; scatter is a constant times a Gaussian blur of the primary that the *anatomy* lets
through, so a device never changes a pixel it does not cover; Poisson noise is drawn as mean + sqrt(mean) * normal.

Conventions: lengths in cm, x to the patient's left, z downwards, y to the front; maps are float32 (n, h, w).
"""

import numpy as np
import torch
from torch import Tensor

MU = {  # linear attenuation at 70 keV, 1/cm
    "soft": 0.191,
    "blood": 0.203,
    "fat": 0.173,
    "lung": 0.050,  # inflated, density 0.26 g/cm3
    "rib": 0.33,  # cortical shell around marrow, effective
    "water": 0.193,
    "air": 0.0,
}
SOURCE_DISTANCE_CM = {"PA": 180.0, "AP": 100.0}
SCATTER_SIGMA_CM = 5.0
SCATTER_RATIO = {"PA": 0.44, "AP": 0.85}  # blurred primary to scatter; a bedside film has no grid
LATITUDE = 1.18  # of the film: its shoulder lies this many windows above `low`
QUANTA_PER_MM2 = 5.4e4  # 3 uGy, 3e4 quanta per mm2 and uGy, detective quantum efficiency 0.6


def root(value: Tensor) -> Tensor:
    """Square root of the positive part: float (...) -> float (...), 0 where the ray misses."""
    return value.clamp_min(0).sqrt_()


def half_chord(u: Tensor, v: Tensor, depth: Tensor | float) -> Tensor:
    """Half the chord of an ellipsoid along y.

    Parameters
    ----------
    u, v : Tensor
        In-plane distances from its centre divided by its in-plane semi-axes, float (n, h, w).
    depth : Tensor or float
        Its semi-axis along the ray, cm.

    Returns
    -------
    Tensor
        Half chord in cm, float (n, h, w); depth at the centre, 0 outside.

    Examples
    --------
    >>> half_chord(torch.tensor([0.0, 0.6, 2.0]), torch.zeros(3), 5.0)
    tensor([5., 4., 0.])
    """
    return root(1 - u * u - v * v) * depth


def overlap(centre_a: Tensor | float, half_a: Tensor, centre_b: Tensor | float, half_b: Tensor) -> Tensor:
    """Length shared by two intervals centre +- half along the ray, cm; 0 if they do not meet."""
    distance = torch.as_tensor(centre_a - centre_b).abs()
    shared = torch.minimum(half_a + half_b - distance, 2 * torch.minimum(half_a, half_b))
    return shared.clamp_min(0)


def magnification(depth_cm: Tensor | float, *, source_cm: Tensor, body_cm: Tensor, to_front: Tensor) -> Tensor:
    """How much larger a structure is on the detector than in the body.

    Parameters
    ----------
    depth_cm : Tensor or float
        y of the structure's centre, + towards the front.
    source_cm : Tensor
        Source to detector.
    body_cm : Tensor
        Depth of the body; the detector stands 4 mm beyond its surface.
    to_front : Tensor
        +1 where the detector is at the front (PA), -1 at the back (AP).

    Returns
    -------
    Tensor
        Factor >= 1; 1 would be a structure on the detector.
    """
    gap = body_cm / 2 + 0.4 - to_front * depth_cm
    return source_cm / (source_cm - gap)


def scatter(primary: Tensor, *, pixel_cm: Tensor, ratio: Tensor) -> Tensor:
    """Scattered radiation: ratio times the Gaussian blur (5 cm) of the primary, normalised at the borders.

    Parameters
    ----------
    primary : Tensor
        Transmitted fraction behind the body, 0 in open air, float (n, h, w).
    pixel_cm : Tensor
        Pixel side, float (n, 1, 1).
    ratio : Tensor
        Scatter to blurred primary, float (n, 1, 1).

    Returns
    -------
    Tensor
        float (n, h, w), same unit as the primary.
    """

    def kernel(length: int) -> Tensor:
        steps = torch.arange(length, dtype=primary.dtype, device=primary.device)
        distance = (steps[:, None] - steps[None]) * pixel_cm / SCATTER_SIGMA_CM  # (n, length, length)
        weights = torch.exp(-0.5 * distance * distance)
        return weights / weights.sum(2, keepdim=True)

    height, width = primary.shape[1:]
    return ratio * (kernel(height) @ primary @ kernel(width).transpose(1, 2))


def quantum_noise(seeds: np.ndarray, shape: tuple[int, int]) -> Tensor:
    """Standard normal noise, one stream per patient: int (n,) -> float32 (n, h, w)."""
    fields = [np.random.Generator(np.random.Philox(key=[int(s), 1])).standard_normal(shape, np.float32) for s in seeds]
    return torch.from_numpy(np.stack(fields))


def detect(intensity: Tensor, noise: Tensor, *, pixel_cm: Tensor, dose: Tensor) -> Tensor:
    """Count quanta: intensity relative to open air -> the same with Poisson noise.

    Parameters
    ----------
    intensity : Tensor
        Primary plus scatter, float (n, h, w), 1 = open air.
    noise : Tensor
        Standard normal, float (n, h, w).
    pixel_cm, dose : Tensor
        Pixel side in cm and dose relative to the nominal one, float (n, 1, 1).

    Returns
    -------
    Tensor
        float (n, h, w), positive. The quanta of one pixel number thousands, so the noise is below a percent; only a
        dose factor of 0.02 or less can be seen at 64 pixels.
    """
    quanta = QUANTA_PER_MM2 * dose * (10 * pixel_cm) ** 2
    return (intensity + (intensity / quanta).sqrt() * noise).clamp_min(1e-5)


def display(intensity: Tensor, *, low: Tensor, high: Tensor, gamma: Tensor) -> Tensor:
    """Film-like grey values: window the optical depth, then an S-shaped look-up table.

    Parameters
    ----------
    intensity : Tensor
        Detected, float (n, h, w), 1 = open air.
    low, high : Tensor
        Optical depths of black and of thick soft tissue, float (n, 1, 1); the shoulder towards white begins at
        ``low + LATITUDE * (high - low)``. They come from the patient's size and the site, never from the image, so
        that a finding cannot change the grey values elsewhere.
    gamma : Tensor
        Exponent before the S-curve; above 1 = darker lungs.

    Returns
    -------
    Tensor
        float (n, h, w) in [0, 1], 1 = white (dense).
    """
    window = ((-intensity.log() - low) / (LATITUDE * (high - low))).clamp(0, 1.25)
    window = window**gamma
    return window / (1 + window.square().square()).sqrt().sqrt()  # linear below, a soft shoulder towards white
