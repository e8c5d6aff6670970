"""The same patients with and without bone, and how much of a lesion's place lies behind ribs.

What a pair of exposures at two tube voltages approximates on real patients, the generator of `lib.data.thorax` gives
exactly: its column ``bones`` takes the contrast of ribs, shoulder girdle and spine away, scatter included, and leaves
everything else as it was, the noise of the detector included. Lesions are those of `lib.data.thorax_places`.

Conventions: one row of the table = one patient; plain = with bone, bare = without; films as in `lib.data.radiographs`.
"""

import numpy as np
import torch
from pandas import DataFrame
from torch import Tensor

from lib.data import thorax, thorax_places
from lib.data.radiographs import Radiographs

__all__ = ["ASKED", "RADII_CM", "bone_pair", "lesion_patients", "rib_share"]

ASKED = ("nodule", "effusion", "pneumothorax")
RADII_CM = (1.2, 2.0)  # of the nodules; smaller ones are not found at 64 pixels, with or without bone


def lesion_patients(n: int, *, rng: np.random.Generator, severity: str = "hard") -> DataFrame:
    """Draw patients of whom half have a large nodule, half an effusion and half a pneumothorax, independently.

    Parameters
    ----------
    n : int
        Patients.
    rng : numpy.random.Generator
        Source of all randomness.
    severity : {"easy", "medium", "hard"}
        Of every finding but the nodule, as in `lib.data.thorax.sample_patients`.

    Returns
    -------
    DataFrame
        As `lib.data.thorax.sample_patients`; every patient has a place in the right lung and a radius (RADII_CM) for a
        nodule, also without one.

    Raises
    ------
    ValueError
        As `lib.data.thorax.sample_patients`.

    Examples
    --------
    >>> people = lesion_patients(40, rng=np.random.default_rng(0))
    >>> set(people["nodule_side"]), bool(people["nodule_radius_cm"].between(*RADII_CM).all())
    ({'R'}, True)
    """
    table = thorax.sample_patients(n, rng=rng, severity=severity, prevalence=dict.fromkeys(ASKED, 0.5))
    return thorax_places.central_places(table.assign(nodule_radius_cm=rng.uniform(*RADII_CM, n)))


def bone_pair(patients: DataFrame, *, size: int) -> tuple[Radiographs, Radiographs]:
    """Films of the same patients with and without bone.

    Parameters
    ----------
    patients : DataFrame
        From `lesion_patients` or `lib.data.thorax.sample_patients`; the column ``bones`` is replaced.
    size : int
        Height and width, pixels.

    Returns
    -------
    (Radiographs, Radiographs)
        Plain and bare. Masks are the same in both: a rib has a place also where it casts no shadow.

    Raises
    ------
    ValueError
        As `lib.data.thorax.render`.
    """
    plain, bare = (thorax.render(thorax.twin(patients, "bones", share), size=size) for share in (1.0, 0.0))
    return plain, bare


def rib_share(films: Radiographs) -> Tensor:
    """Share of the nodule's place that lies behind a rib, whether the nodule is there or not.

    Parameters
    ----------
    films : Radiographs
        From `bone_pair`, with the mask of the ribs and the table of the patients.

    Returns
    -------
    Tensor
        float64 (n,) in [0, 1]; 0 = the place lies between the ribs, 1 = all of it behind ribs, in front or at the back.
    """
    radius = torch.tensor(10 * films.patients["nodule_radius_cm"].to_numpy())[:, None, None]
    near = thorax_places.place_distance(films.patients, size=films.x.shape[-1]) <= radius
    return (films.masks["ribs"] & near).flatten(1).sum(1).double() / near.flatten(1).sum(1).clamp_min(1)
