"""Patients of the thorax generator whose acquisition groups differ in number, and in the drain or in the finding.

Two reasons why a classifier serves one group worse, with the truth known. *Shortcut*: in one group a chest drain goes
with the pneumothorax, in the other it does not. *Severity*: in one group the pneumothorax is smaller. Jones et al. 2024
(doi:10.1038/s42256-024-00797-8) sort such gaps by their cause; here each arm has one cause and no other.

Conventions: groups are acquisition groups (`lib.data.thorax.GROUPS`) and stand for nothing else. Numbers are exact:
each group has its share of the patients, and half of each group has the pneumothorax, to within one patient.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
from pandas import DataFrame

from lib.data import thorax


@dataclass(frozen=True)
class Group:
    """What is special about one group.

    Attributes
    ----------
    shrink : (float, float)
        Range of the lung's shrinkage, in (0, 1); the smaller, the thinner the rim. See `lib.data.thorax.SEVERITIES`.
    drain_if_sick, drain_if_well : float
        Share with a drain among those with and without a pneumothorax; equal = the drain says nothing.
    """

    shrink: tuple[float, float] = (0.03, 0.1)
    drain_if_sick: float = 0.5
    drain_if_well: float = 0.5


# The first group of each arm is the better served one, by design.
ARMS: Mapping[str, Mapping[str, Group]] = MappingProxyType(
    {
        "shortcut": {"A": Group(drain_if_sick=0.9, drain_if_well=0.1), "B": Group()},
        "severity": {"A": Group(shrink=(0.06, 0.14)), "B": Group(shrink=(0.02, 0.08))},
    }
)


def sample_groups(
    n: int, groups: Mapping[str, Group], *, shares: Mapping[str, float], rng: np.random.Generator
) -> DataFrame:
    """Draw a table of patients for `lib.data.thorax.render`, group by group.

    Parameters
    ----------
    n : int
        Patients.
    groups : mapping of str to Group
        By the name of the acquisition group, see `ARMS`.
    shares : mapping of str to float
        Share of each group, the same names, positive; they are normalised.
    rng : numpy.random.Generator

    Returns
    -------
    DataFrame
        As `lib.data.thorax.sample_patients`, patients numbered 0 .. n-1, groups in blocks.

    Raises
    ------
    ValueError
        If the names differ, a share is not positive, or a group would have fewer than two patients.

    Examples
    --------
    >>> shares = {"A": 0.75, "B": 0.25}
    >>> table = sample_groups(16, ARMS["shortcut"], shares=shares, rng=np.random.default_rng(0))
    >>> table.groupby("group")["pneumothorax"].agg(["size", "sum"]).to_numpy().tolist()
    [[12, 6], [4, 2]]
    """
    if set(groups) != set(shares) or min(shares.values()) <= 0:
        raise ValueError(f"shares must be positive and name the groups {sorted(groups)}, got {dict(shares)}")
    total, done, parts = sum(shares.values()), 0, []
    for i, (name, group) in enumerate(groups.items()):
        upto = round(n * sum(list(shares[key] for key in groups)[: i + 1]) / total)
        size, done = upto - done, upto
        if size < 2:
            raise ValueError(f"group {name} must have at least two patients, got {size} of {n}; draw more patients")
        parts.append(_one_group(size, name, group, rng))
    table = pd.concat(parts, ignore_index=True)
    return table.assign(patient_id=np.arange(n), image_id=[f"thorax-{i:06d}" for i in range(n)])


def _one_group(size: int, name: str, group: Group, rng: np.random.Generator) -> DataFrame:
    """Patients of one group, half of them sick, in random order."""
    table = thorax.sample_patients(size, rng=rng, groups={name: 1.0})
    table["pneumothorax_shrink"] = rng.uniform(*group.shrink, size)
    table["pneumothorax"] = rng.permutation(np.arange(size) % 2)
    rates = (group.drain_if_sick, group.drain_if_well)
    return thorax.assign_drains(table, p_drain_given_pneumothorax=rates[0], p_drain_given_none=rates[1])
