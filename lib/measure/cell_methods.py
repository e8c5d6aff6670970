"""Six ways to train when it is known to which cell, a group crossed with a label, each patient belongs.

Idrissi et al. 2022 (arXiv:2110.14503) hold group subsampling and weights against GroupDRO; Yang et al. 2023
(arXiv:2302.12254) add retraining of the last layer (Kirichenko et al. 2023, arXiv:2204.02937) and many more. The losses
are those of `lib.measure.mitigation`, which takes groups without labels; here its groups are cells.

Differences: one step sees all rows, so every method takes the same number of steps, however many rows it keeps; the
last layer is retrained without an L1 penalty and without averaging over subsets.

Conventions: rows of a cell that was not met in training do not exist for any method, in validation neither.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lib.measure import group_losses, mitigation
from lib.measure.mitigation import Training

__all__ = ["METHODS", "Patients", "train_by"]


class Patients(NamedTuple):
    """Features float32 (n, d), labels 0 or 1 and codes of cells, both int64 (n,)."""

    x: Tensor
    y: Tensor
    cell: Tensor

    def at(self, rows: Tensor) -> Patients:
        """Some of them, by row numbers or by a mask."""
        return Patients(self.x[rows], self.y[rows], self.cell[rows])


def train_by(
    method: str, model: nn.Module, seen: Patients, held: Patients, *, seed: int, training: Training
) -> nn.Module:
    """Train a copy of the model by one of METHODS.

    Parameters
    ----------
    method : str
        Key of METHODS.
    model : nn.Module
        Rows -> one logit each; it holds at least one nn.Linear; unchanged.
    seen : Patients
        Training patients, of two cells or more.
    held : Patients
        Validation patients, for the last layer only; those of cells that ``seen`` lacks are left out.
    seed : int
        Of the order of rows and of the subset.
    training : Training
        The batch size is replaced by the number of rows.

    Returns
    -------
    nn.Module
        In eval mode.

    Raises
    ------
    ValueError
        For an unknown method, labels other than 0 and 1, or fewer than two cells.

    Examples
    --------
    >>> seen = Patients(torch.tensor([[0.0], [1.0]]).repeat(9, 1), torch.tensor([0, 1]).repeat(9), torch.arange(18) % 6)
    >>> start, options = nn.Linear(1, 1), Training(epochs=5, weight_decay=0.0)
    >>> train_by("ERM", start, seen, seen, seed=0, training=options).weight.item() > start.weight.item()
    True
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}; see METHODS")
    known = held.at(torch.isin(held.cell, seen.cell))
    return METHODS[method](model, _coded(seen), _coded(known), seed=seed, training=training)


def _erm(model: nn.Module, seen: Patients, held: Patients, *, seed: int, training: Training) -> nn.Module:
    """All rows alike."""
    return mitigation.erm(model, *seen, seed=seed, training=_whole(training, seen))


def _class_weights(model: nn.Module, seen: Patients, held: Patients, *, seed: int, training: Training) -> nn.Module:
    """Weights with which sick and healthy count the same."""
    return mitigation.reweighted(model, seen.x, seen.y, seen.y, seed=seed, training=_whole(training, seen))


def _group_weights(model: nn.Module, seen: Patients, held: Patients, *, seed: int, training: Training) -> nn.Module:
    """Weights with which all cells count the same."""
    return mitigation.reweighted(model, *seen, seed=seed, training=_whole(training, seen))


def _subsampled(model: nn.Module, seen: Patients, held: Patients, *, seed: int, training: Training) -> nn.Module:
    """As many rows of every cell as the smallest has, drawn once."""
    rows = group_losses.balanced_subset(seen.cell, generator=torch.Generator().manual_seed(seed))
    return _erm(model, seen.at(rows), held, seed=seed, training=training)


def _group_dro(model: nn.Module, seen: Patients, held: Patients, *, seed: int, training: Training) -> nn.Module:
    """Balanced batches, the worst cell so far counting more."""
    return mitigation.group_dro(model, *seen, seed=seed, training=_whole(training, seen))


def _last_layer(model: nn.Module, seen: Patients, held: Patients, *, seed: int, training: Training) -> nn.Module:
    """Plain training, then the last layer from its first weights on a balanced part of the validation patients."""
    first = copy.deepcopy(_last(model).state_dict())
    trained = _erm(model, seen, held, seed=seed, training=training)
    _last(trained).load_state_dict(first)
    trained.requires_grad_(False)
    _last(trained).requires_grad_(True)
    again = _subsampled(trained, held, held, seed=seed, training=training)
    return again.requires_grad_(True)


METHODS: dict[str, Callable[..., nn.Module]] = {
    "ERM": _erm,
    "class weights": _class_weights,
    "group weights": _group_weights,
    "group subsampling": _subsampled,
    "GroupDRO": _group_dro,
    "last layer": _last_layer,
}


def _coded(rows: Patients) -> Patients:
    """Cells numbered 0 .. k-1, whichever there are."""
    return Patients(rows.x, rows.y, rows.cell.unique(return_inverse=True)[1])


def _whole(training: Training, rows: Patients) -> Training:
    return replace(training, batch_size=len(rows.y))


def _last(model: nn.Module) -> nn.Linear:
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise ValueError(f"model must hold an nn.Linear, got {type(model).__name__}; end it with one")
    return layers[-1]
