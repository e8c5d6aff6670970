"""Projections of a thorax as from a CT volume, films of the same patients, and all that lies between, one by one.

DRR-RATE (Hou et al. 2024, arXiv:2406.03688) casts rays through CT volumes and counts only voxels above -100 HU. A
projection here is the primary-only law, the optical depth along parallel rays, on the grid of a CT volume and on a
linear grey scale; a film is what `lib.data.thorax` makes. Differences from the source: tissues are analytic and
thresholded as wholes, so a voxel that holds half a vessel is not lost; voxels are cubes that coarsen the picture along
the film, down and across alike.

Conventions: lengths in mm where a name says so, cm elsewhere; maps float32 (n, h, w). A `Recipe` names every ingredient
of a picture; two recipes of one patient share anatomy and noise and differ in nothing that they do not name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from pandas import DataFrame
from torch import Tensor

from lib.data import thorax, thorax_anatomy, thorax_findings, thorax_physics
from lib.data.thorax_anatomy import Scene
from lib.data.thorax_physics import MU

__all__ = ["FILM", "FINDINGS", "LARGE", "SMALL", "THIN", "Recipe", "aerated_depth", "pictures"]
__all__ += ["projection", "small_and_large", "voxel_average"]

LARGE, SMALL, THIN = ("cardiomegaly", "effusion"), ("pneumothorax", "nodule"), ("consolidation",)
FINDINGS = (*LARGE, *SMALL, *THIN)
SIZES: Mapping[str, tuple[float, float]] = {
    "cardiomegaly_excess": (0.03, 0.11),
    "effusion_ml": (50.0, 500.0),
    "pneumothorax_shrink": (0.02, 0.16),
    "nodule_radius_cm": (0.3, 1.5),
    "consolidation_fill": (0.15, 0.5),
}
THRESHOLD_HU = -100.0
PARALLEL_CM = 1e6  # a source so far away that nothing is magnified
LINEAR_RANGE = 7.0  # optical depth shown white on the linear scale
SCATTER_FREE_DEPTH = 0.8  # optical depth behind the heart rises by this when the generator's scatter is left out


@dataclass(frozen=True)
class Recipe:
    """What a picture is made with.

    Attributes
    ----------
    scatter, noise : bool
        Scattered radiation, and quantum noise at the dose of the patient's acquisition group.
    blur_mm : float
        Standard deviation of a Gaussian blur of the detected intensity; 0 = none, as in the generator.
    curve : bool
        The generator's window and curve of the patient and the site; False = optical depth, linear, equal for all.
    parallel : bool
        Parallel rays instead of a point source.
    voxel_mm : float
        Side of a voxel; 0 = no grid. A grid much finer than a pixel leaves the picture as it is.
    threshold : bool
        Tissue below -100 HU does not attenuate.
    """

    scatter: bool = True
    noise: bool = True
    blur_mm: float = 0.0
    curve: bool = True
    parallel: bool = False
    voxel_mm: float = 0.0
    threshold: bool = False


FILM = Recipe()


def projection(*, voxel_mm: float, threshold: bool) -> Recipe:
    """The recipe of a projection: primary only, parallel rays, linear grey.

    Examples
    --------
    >>> projection(voxel_mm=5.0, threshold=True).scatter
    False
    """
    return Recipe(False, False, 0.0, curve=False, parallel=True, voxel_mm=voxel_mm, threshold=threshold)


def small_and_large(n: int, *, rng: np.random.Generator) -> DataFrame:
    """Draw patients who have each of FINDINGS in one half of the cases, in the sizes of SIZES.

    Parameters
    ----------
    n : int
        Patients.
    rng : numpy.random.Generator
        Source of all randomness.

    Returns
    -------
    DataFrame
        As `thorax.sample_patients`, without edema and without a letter on the film. A nodule lies at a known place in
        the right lung, give or take 2 cm or so: a linear head cannot search, and a known place is the usual task of
        model observers.
    """
    rates = dict.fromkeys(FINDINGS, 0.5) | {"edema": 0.0}
    table = thorax.sample_patients(n, rng=rng, prevalence=rates, devices={"marker": 0.0})
    for name, (low, high) in SIZES.items():
        table[name] = rng.uniform(low, high, n)
    places = {f"nodule_{axis}": 0.5 + 0.2 * (table[f"nodule_{axis}"] - 0.5) for axis in "xz"}
    return table.assign(nodule_side="R", **places)


def aerated_depth(s: Scene, patients: DataFrame) -> Tensor:
    """Optical depth of all that holds enough air to fall below the threshold, float (n, h, w).

    Parameters
    ----------
    s : Scene
        From `thorax_anatomy.scene`.
    patients : DataFrame
        The same patients.

    Returns
    -------
    Tensor
        Inflated lung, haze, and consolidation filled to less than about 0.88; never fluid, vessels or a nodule.
    """
    parts = thorax_findings.lungs(s, patients)
    present = thorax_findings.where_present
    dry = parts["lung"] * (1 - present(s, patients, "effusion", thorax_findings.effusion))
    solid = torch.minimum(2 * present(s, patients, "consolidation", thorax_findings.consolidation), dry)
    ball = torch.minimum(2 * present(s, patients, "nodule", thorax_findings.nodule), dry)
    numbers = ("consolidation_fill", "edema", "edema_gain")
    fill, sick, gain = (torch.tensor(patients[c].to_numpy(np.float32))[:, None, None] for c in numbers)
    blood, r = thorax_findings.vessels(s)
    swollen = sick * gain
    blood = blood * (1 + 0.9 * swollen) * (dry / (1.3 * s.p["lung_depth"])).clamp(0, 1)
    haze = swollen * 0.22 * torch.exp(-((r / 6.5) ** 2)) * (1 + 0.25 * thorax_anatomy.texture(s, slice(0, 2)))
    dense = 1 + 1.5 * (parts["room"] - parts["lung"]) / parts["room"].clamp_min(0.5)
    inside = MU["lung"] * dense * (1 + 0.06 * thorax_anatomy.texture(s, slice(2, 4)))
    inside = inside + haze * (MU["soft"] - MU["lung"])
    limit = MU["water"] * (1 + THRESHOLD_HU / 1000)
    kept = (MU["lung"] + fill * (MU["soft"] - MU["lung"]) >= limit).float()
    thin = inside * (dry - ball - blood - kept * solid).clamp_min(0)
    return thin + (1 - kept) * (MU["soft"] - MU["lung"]) * fill * solid


def voxel_average(maps: Tensor, *, pixel_mm: Tensor, voxel_mm: float) -> Tensor:
    """Average maps over square voxels and lay them on their pixels again, exactly by area.

    Parameters
    ----------
    maps : Tensor
        float (n, h, h).
    pixel_mm : Tensor
        Side of a pixel, float (n, 1, 1).
    voxel_mm : float
        Side of a voxel, > 0; voxels start at the corner of the picture, the last ones may reach beyond it.

    Returns
    -------
    Tensor
        float (n, h, h); the same where a voxel is a pixel, one grey value where a voxel is the whole picture.

    Raises
    ------
    ValueError
        If voxel_mm is not positive.

    Examples
    --------
    >>> row = torch.tensor([[0.0, 1.0], [2.0, 5.0]])[None]
    >>> voxel_average(row, pixel_mm=torch.ones(1, 1, 1), voxel_mm=2.0).flatten().tolist()
    [2.0, 2.0, 2.0, 2.0]
    """
    if not voxel_mm > 0:
        raise ValueError(f"voxel_mm must be > 0, got {voxel_mm}; a picture without voxels needs no averaging")
    side = maps.shape[-1]
    count = int(np.ceil(side * float(pixel_mm.max()) / voxel_mm - 1e-6))
    edge = torch.arange(side, dtype=maps.dtype)[:, None] * pixel_mm  # (n, side, 1)
    start = torch.arange(count, dtype=maps.dtype) * voxel_mm  # (count,)
    shared = (torch.minimum(edge + pixel_mm, start + voxel_mm) - torch.maximum(edge, start)).clamp_min(0)
    inside = shared.sum(1, keepdim=True).clamp_min(1e-9)  # length of each voxel within the picture, (n, 1, count)
    both = (shared / pixel_mm) @ (shared / inside).transpose(1, 2)  # (n, side, side)
    return both @ maps @ both.transpose(1, 2)


def pictures(
    patients: DataFrame, recipes: Mapping[str, Recipe], *, size: int = 64, batch: int = 32
) -> tuple[dict[str, Tensor], Tensor]:
    """Make pictures of the same patients by several recipes, evaluating each anatomy once.

    Parameters
    ----------
    patients : DataFrame
        From `small_and_large` or `thorax.sample_patients`.
    recipes : mapping of str to Recipe
        By name; ``FILM`` gives what `thorax.render` gives.
    size, batch : int
        As in `thorax.render`.

    Returns
    -------
    dict of str to Tensor, Tensor
        float32 (n, 1, size, size) in [0, 1] by name, dense = white; and the pleural space of both lungs as the point
        source shows it, bool (n, size, size).

    Raises
    ------
    ValueError
        Without a recipe or a patient.
    """
    if not recipes or not len(patients):
        raise ValueError(f"pictures need recipes and patients, got {len(recipes)} and {len(patients)}; pass both")
    made: dict[str, list[Tensor]] = {name: [] for name in recipes}
    lungs = []
    for start in range(0, len(patients), batch):
        part = patients.iloc[start : start + batch].reset_index(drop=True)
        s = thorax_anatomy.scene(part, size=size)
        far = replace(s, p=s.p | {"source": torch.full_like(s.p["source"], PARALLEL_CM)})
        near = _Shot(s, part, recipes)
        distant = _Shot(far, part, recipes) if any(recipe.parallel for recipe in recipes.values()) else near
        for name, recipe in recipes.items():
            made[name].append((distant if recipe.parallel else near).develop(recipe))
        lungs.append(near.exposure.masks["lung_right"] | near.exposure.masks["lung_left"])
    return {name: torch.cat(parts)[:, None] for name, parts in made.items()}, torch.cat(lungs)


class _Shot:
    """One batch of patients before one kind of beam."""

    def __init__(self, s: Scene, patients: DataFrame, recipes: Mapping[str, Recipe]) -> None:
        self.s, self.patients = s, patients
        self.exposure = thorax_findings.expose(s, patients)
        thin = any(recipe.threshold for recipe in recipes.values())
        self.thin = aerated_depth(s, patients) if thin else torch.zeros(())
        site = pd.DataFrame([thorax.GROUPS[g] for g in patients["group"]])
        self.site = {k: torch.as_tensor(site[k].to_numpy(np.float32))[:, None, None] for k in site.columns}

    def develop(self, recipe: Recipe) -> Tensor:
        """From optical depth to grey values, float (n, size, size)."""
        tissue, extra = self.exposure.anatomy, self.exposure.devices
        if recipe.threshold:
            tissue = (tissue - self.thin).clamp_min(0)
        if recipe.voxel_mm:
            pixel_mm = 10 * self.s.px
            tissue = voxel_average(tissue, pixel_mm=pixel_mm, voxel_mm=recipe.voxel_mm)
            extra = voxel_average(extra, pixel_mm=pixel_mm, voxel_mm=recipe.voxel_mm)
        detected = self._detected(tissue, extra, recipe)
        return self._curve(detected, recipe) if recipe.curve else (-detected.log() / LINEAR_RANGE).clamp(0, 1)

    def _detected(self, tissue: Tensor, extra: Tensor, recipe: Recipe) -> Tensor:
        s, primary = self.s, torch.exp(-tissue)
        intensity = primary * torch.exp(-extra)
        if recipe.scatter:
            views = self.patients["view"].map(thorax_physics.SCATTER_RATIO).to_numpy(np.float32)
            behind = torch.where(self.exposure.body, primary, 0.0)
            ratio = torch.as_tensor(views)[:, None, None]
            intensity = intensity + thorax_physics.scatter(behind, pixel_cm=s.px, ratio=ratio)
        if recipe.blur_mm:
            intensity = _blurred(intensity, pixel_mm=10 * s.px, sigma_mm=recipe.blur_mm)
        if recipe.noise:
            noise = thorax_physics.quantum_noise(self.patients["seed"].to_numpy(), (s.size, s.size))
            intensity = thorax_physics.detect(intensity, noise, pixel_cm=s.px, dose=self.site["dose"])
        return intensity.clamp_min(1e-5)

    def _curve(self, detected: Tensor, recipe: Recipe) -> Tensor:
        p, wider = self.s.p, 0.0 if recipe.scatter else SCATTER_FREE_DEPTH
        high = (1.0 + 0.122 * p["body"]) * (1 + 0.04 * p["g_exposure"]) * self.site["window"] + wider
        low = 0.38 + 0.06 * p["g_contrast"]
        shape = 0.9 * self.site["gamma"] * (1 + 0.08 * p["g_contrast"])
        return thorax_physics.display(detected, low=low, high=high, gamma=shape)


def _blurred(maps: Tensor, *, pixel_mm: Tensor, sigma_mm: float) -> Tensor:
    """Gaussian blur integrated over the pixels, normalised at the borders: float (n, h, h) -> the same."""
    steps = torch.arange(maps.shape[-1], dtype=maps.dtype)
    distance = (steps[:, None] - steps[None]) * pixel_mm  # (n, h, h)
    scale = sigma_mm * 2**0.5
    kernel = torch.erf((distance + pixel_mm / 2) / scale) - torch.erf((distance - pixel_mm / 2) / scale)
    kernel = kernel / kernel.sum(2, keepdim=True)
    return kernel @ maps @ kernel.transpose(1, 2)
