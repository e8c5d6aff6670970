"""A portrait of any sampler: its statistics as a table, its spectrum, and one mask to look at.

The statistics are those of `lib.masks.describe`, with their papers; here they are taken over many masks of several
samplers and laid side by side. A sampler that needs more than the contract's arguments is closed over first::

    table({"attended": lambda n, grid, **call: masks.milan(attention[:n], **call)}, 14, ratio=0.75, generator=generator)

Conventions: a sampler is a callable ``(n, grid, *, ratio, generator) -> bool (n, tokens)``. Every sampler starts from
the generator's state at the call, so a row does not depend on its neighbours; the generator itself does not move. The
tables feed `lib.plots` as they are: `spectra` a `curve`, `examples` a sheet of `images`, and `tables` one figure::

    plots.portraits(*portrait.tables({"random": masks.random, "mine": mine}, 14, ratio=0.75, generator=generator))
"""

from collections.abc import Callable, Mapping

import pandas as pd
import torch
from torch import Tensor

from lib.masks import describe
from lib.masks.contract import Grid, check_call, grid_size, hidden_count

Samplers = Mapping[str, Callable[..., Tensor]]
BANDS = (0.0, 0.15, 0.35, 0.75)
"""Edges of the low, middle and high band, cycles per patch; the corner of the spectrum lies at 0.71."""


def measures(mask: Tensor, grid: Grid, *, bands: tuple[float, float, float, float] = BANDS) -> pd.DataFrame:
    """Describe each mask.

    Parameters
    ----------
    mask : bool Tensor (n, tokens)
        True = hidden; each row hides some tokens and leaves some visible.
    grid : int or (int, int)
        Patch grid.
    bands : four rising floats, cycles per patch
        Edges of the bands of spatial frequency.

    Returns
    -------
    DataFrame, one row per mask
        ``hidden_percent``; ``morans_i``; ``hidden_regions`` and ``visible_regions`` (connected, counted);
        ``largest_hidden_percent`` of the hidden tokens; ``visible_region_patches`` (mean size);
        ``distance_patches`` from a hidden token to the nearest visible one; ``power_low``, ``power_mid``,
        ``power_high`` relative to random masking. What each value means: the function of `lib.masks.describe`.

    Examples
    --------
    >>> chessboard = (torch.arange(16) // 4 + torch.arange(16)) % 2 == 0
    >>> measures(chessboard[None], 4)[["hidden_percent", "morans_i"]].round(3).values.tolist()
    [[50.0, -1.0]]
    """
    power = describe.radial_power(mask, grid, edges=bands)
    columns = {
        "hidden_percent": 100 * mask.double().mean(1),
        "morans_i": describe.morans_i(mask, grid),
        "hidden_regions": describe.component_count(mask, grid),
        "largest_hidden_percent": 100 * describe.largest_component(mask, grid),
        "visible_regions": describe.component_count(~mask, grid),
        "visible_region_patches": describe.component_size(~mask, grid),
        "distance_patches": describe.visible_distance(mask, grid),
        "power_low": power[:, 0],
        "power_mid": power[:, 1],
        "power_high": power[:, 2],
    }
    return pd.DataFrame({name: values.double().cpu().numpy() for name, values in columns.items()})


def table(
    samplers: Samplers,
    grid: Grid,
    *,
    ratio: float,
    generator: torch.Generator,
    n: int = 1000,
    bands: tuple[float, float, float, float] = BANDS,
) -> pd.DataFrame:
    """Put the statistics of several samplers side by side.

    Parameters
    ----------
    samplers : mapping of str to sampler
        Named samplers.
    grid : int or (int, int)
        Patch grid.
    ratio : float in (0, 1)
        Share of tokens asked for.
    generator : torch.Generator
        Source of randomness; its device is the masks' device.
    n : int
        Masks drawn from each.
    bands : four rising floats, cycles per patch
        As in `measures`.

    Returns
    -------
    DataFrame, one row per sampler
        ``sampler``; ``masks`` and ``distinct`` (how many of them differ); ``exact_percent`` of the masks hide exactly
        ``round(ratio * tokens)``; the means of `measures`; ``coverage_low_percent`` and ``coverage_high_percent``, how
        often the least and the most hidden token is hidden (both near the ratio where no place is preferred).
    """
    rows = []
    for name, mask in _drawn(samplers, grid, ratio, generator, n).items():
        coverage = 100 * describe.coverage(mask)
        exact = mask.sum(1) == hidden_count(mask.shape[1], ratio=ratio)
        rows.append(
            {"sampler": name, "masks": n, "distinct": describe.distinct(mask)}
            | {"exact_percent": 100 * float(exact.double().mean())}
            | measures(mask, grid, bands=bands).mean().to_dict()
            | {"coverage_low_percent": float(coverage.min()), "coverage_high_percent": float(coverage.max())}
        )
    return pd.DataFrame(rows)


def spectra(
    samplers: Samplers,
    grid: Grid,
    *,
    ratio: float,
    generator: torch.Generator,
    n: int = 200,
    width: float = 0.05,
) -> pd.DataFrame:
    """Radial spectrum of several samplers, one row per mask and ring.

    Parameters
    ----------
    samplers, grid, ratio, generator, n
        As in `table`.
    width : float, cycles per patch
        Width of a ring; rings without a frequency of the grid are left out.

    Returns
    -------
    DataFrame
        ``sampler``, ``mask`` (its number), ``cycles_per_patch`` (middle of the ring) and ``power`` relative to random
        masking: 1 = as random.
    """
    edges = tuple(width * step for step in range(int(0.71 / width) + 2))
    parts = []
    for name, mask in _drawn(samplers, grid, ratio, generator, n).items():
        power = describe.radial_power(mask, grid, edges=edges).cpu().numpy()  # (n, rings)
        wide = pd.DataFrame(power, columns=[low + width / 2 for low in edges[:-1]]).dropna(axis=1, how="all")
        long = wide.rename_axis("mask").reset_index().melt("mask", var_name="cycles_per_patch", value_name="power")
        parts.append(long.astype({"cycles_per_patch": float}).assign(sampler=name))
    return pd.concat(parts, ignore_index=True)[["sampler", "mask", "cycles_per_patch", "power"]]


def examples(
    samplers: Samplers, grid: Grid, *, ratio: float, generator: torch.Generator, n: int = 1
) -> tuple[Tensor, list[str]]:
    """Pictures of the first masks of several samplers, with a title each.

    Parameters
    ----------
    samplers, grid, ratio, generator
        As in `table`.
    n : int
        Masks from each.

    Returns
    -------
    float32 Tensor (samplers * n, height, width)
        On the CPU; 1 = visible, 0 = hidden.
    list of str
        The sampler's name for each picture.
    """
    drawn = _drawn(samplers, grid, ratio, generator, n)
    pictures = torch.cat([(~mask).float().cpu() for mask in drawn.values()])
    return pictures.view(-1, *grid_size(grid)), [name for name in drawn for _ in range(n)]


def patches(
    samplers: Samplers, grid: Grid, *, ratio: float, generator: torch.Generator, n: int = 1000, examples: int = 2
) -> pd.DataFrame:
    """How often several samplers hide each patch, beside their first masks.

    Parameters
    ----------
    samplers, grid, ratio, generator, n
        As in `table`.
    examples : int
        Masks to keep, at most ``n``.

    Returns
    -------
    DataFrame, one row per sampler and patch
        ``sampler``; ``row`` and ``column`` of the patch, from 0 at the top left; ``hidden_percent`` of the masks hide
        it; ``example_1``, ``example_2``, …: whether this mask hides it (bool).

    Raises
    ------
    ValueError
        If there are fewer masks than examples.
    """
    if not 0 <= examples <= n:
        raise ValueError(f"examples must be between 0 and n = {n}, got {examples}; raise n")
    _, width = grid_size(grid)
    parts = []
    for name, mask in _drawn(samplers, grid, ratio, generator, n).items():
        place = torch.arange(mask.shape[1]).numpy()
        columns = {"row": place // width, "column": place % width}
        columns["hidden_percent"] = 100 * describe.coverage(mask).cpu().numpy()
        columns |= {f"example_{index + 1}": mask[index].cpu().numpy() for index in range(examples)}
        parts.append(pd.DataFrame({"sampler": name} | columns))
    return pd.concat(parts, ignore_index=True)


def tables(
    samplers: Samplers, grid: Grid, *, ratio: float, generator: torch.Generator, n: int = 1000
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Everything that `lib.plots.portraits` draws, in its order: `table`, `spectra` and `patches`.

    Parameters
    ----------
    samplers, grid, ratio, generator, n
        As in `table`; all three see the same masks.

    Returns
    -------
    three DataFrames
    """
    return (
        table(samplers, grid, ratio=ratio, generator=generator, n=n),
        spectra(samplers, grid, ratio=ratio, generator=generator, n=n),
        patches(samplers, grid, ratio=ratio, generator=generator, n=n, examples=min(n, 2)),
    )


def _drawn(samplers: Samplers, grid: Grid, ratio: float, generator: torch.Generator, n: int) -> dict[str, Tensor]:
    """Masks of every sampler, each from a copy of the generator."""
    check_call(n, grid, ratio=ratio, generator=generator)
    if not samplers:
        raise ValueError("samplers must name at least one sampler, got none; for example {'random': masks.random}")
    return {
        name: sampler(n, grid, ratio=ratio, generator=generator.clone_state()) for name, sampler in samplers.items()
    }
