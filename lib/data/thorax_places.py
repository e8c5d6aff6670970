"""Where a nodule lies or would lie, in millimetres, and films of the same patients with lesions of several sizes.

The place of a nodule is drawn for every patient, also for those who have none. A mask around it therefore says nothing
about the label, which a mask around a lesion that somebody outlined would do. Beside the generator of
lib.data.thorax; the lesions are its nodules, and radii beyond 15 mm are what a radiologist calls a mass.

Conventions: lengths in millimetres on the detector; one row of the table = one patient = one film.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from pandas import DataFrame
from torch import Tensor

from lib.data import thorax, thorax_anatomy, thorax_findings
from lib.data.radiographs import Radiographs

PROBE_CM = 40.0  # radius of a ball that covers the film from every place in it
PLACES = (0.3, 0.7)  # share of the usual range, so that a lesion of 30 mm stays within the lung


def pixel_mm(patients: DataFrame, *, size: int) -> np.ndarray:
    """Side of a pixel of each film, float (n,), mm; it differs by acquisition group, build and view."""
    return 10 * thorax_anatomy.parameters(patients)["field"] / size


def central_places(patients: DataFrame) -> DataFrame:
    """Move every patient's nodule, present or not, to the middle of the right lung.

    Parameters
    ----------
    patients : DataFrame
        From `lib.data.thorax.sample_patients`; unchanged.

    Returns
    -------
    DataFrame
        A copy with side R and places drawn before, squeezed into the middle of their range (PLACES).

    Examples
    --------
    >>> people = thorax.sample_patients(50, rng=np.random.default_rng(0))
    >>> moved = central_places(people)
    >>> set(moved["nodule_side"]), bool(moved["nodule_x"].between(*PLACES).all())
    ({'R'}, True)
    """
    low, high = PLACES
    squeezed = {name: low + (high - low) * patients[name] for name in ("nodule_x", "nodule_z")}
    return patients.assign(nodule_side="R", **squeezed)


def place_distance(patients: DataFrame, *, size: int) -> Tensor:
    """Distance of every pixel's centre from the centre of the place where the nodule is or would be.

    Parameters
    ----------
    patients : DataFrame
        From `lib.data.thorax.sample_patients`; whether a nodule is present does not matter.
    size : int
        Height and width of the film, pixels.

    Returns
    -------
    Tensor
        float64 (n, size, size), mm; +inf on the other side of the patient, where the generator draws no part of it.
        It is read back from the chord of a ball of known radius, so it is the generator's own place, to 0.1 mm.
    """
    scene = thorax_anatomy.scene(patients, size=size)
    half = thorax_findings.nodule(scene, patients.assign(nodule_radius_cm=PROBE_CM)).double()
    wide = (PROBE_CM**2 + (0.5 * scene.px.double()) ** 2).sqrt()  # (n, 1, 1), as the generator softens a ball
    share = half * wide**2 / PROBE_CM**3
    distance = 10 * wide * (1 - share.square()).clamp_min(0).sqrt()
    return torch.where(half > 0, distance, torch.inf)


def sized_lesions(patients: DataFrame, radii_mm: Sequence[float], *, size: int) -> dict[float, Radiographs]:
    """Films of the same patients with a nodule of each radius, under the same noise.

    Parameters
    ----------
    patients : DataFrame
        From `lib.data.thorax.sample_patients`; its nodule radii are replaced.
    radii_mm : sequence of float
        Radii > 0.
    size : int
        Height and width, pixels.

    Returns
    -------
    dict of float to Radiographs
        By radius. Patients without a nodule have the same film in all of them and are rendered once; masks other than
        the nodule's do not depend on the radius.

    Raises
    ------
    ValueError
        If there is no radius or one is not positive.
    """
    if not len(radii_mm) or min(radii_mm) <= 0:
        raise ValueError(f"radii_mm must hold radii > 0, got {list(radii_mm)}; pass millimetres")
    present = torch.tensor((patients["nodule"] == 1).to_numpy())
    first = thorax.render(patients.assign(nodule_radius_cm=radii_mm[0] / 10), size=size)
    films = {float(radii_mm[0]): first}
    for radius in radii_mm[1:]:
        table = patients.assign(nodule_radius_cm=radius / 10).reset_index(drop=True)
        x, masks = first.x.clone(), first.masks | {"nodule": first.masks["nodule"].clone()}
        if present.any():
            again = thorax.render(table[present.numpy()], size=size)
            x[present], masks["nodule"][present] = again.x, again.masks["nodule"]
        films[float(radius)] = replace(first, x=x, masks=masks, patients=table)
    return films
