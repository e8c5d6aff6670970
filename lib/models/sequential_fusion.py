"""Two ways to join the modalities of a patient: one state updated by each in turn, or all encodings side by side.

Swamy et al. 2023, MultiModN (arXiv:2309.14118). Sequential fusion keeps a state vector with a learnt start. Each
modality has an encoder that makes a new state from the old one and its data; a modality that is absent is skipped, and
one decoder reads the state after every step. Parallel fusion encodes all modalities, an absent one as if its columns
were 0, and decodes the joined encodings once.

Differences: the public code skips an encoder for a whole batch when any row of it lacks the modality; here every row
skips for itself, and `skipped_by_batch` hides what the public code would skip. Outputs are log odds under the logistic
loss, where the public code hands sigmoid outputs to a cross-entropy; there is one task, no dropout, and no penalty on
changes of the state. The public parallel baseline decodes raw columns without encoders; here it has them, as the paper
draws it.

Conventions: rows are float32 (n, columns), modality after modality; a modality is absent in a row when any of its
columns is NaN. Answers are log odds, one column for each decision; NaN = the step was skipped, and nothing was decided.
Weights follow torch's global seed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, pad

from lib.models.mlp import mlp

__all__ = [
    "Abreast",
    "ParallelFusion",
    "SequentialFusion",
    "fusion_loss",
    "last_decision",
    "skipped_by_batch",
    "split_modalities",
]


def split_modalities(rows: Tensor, widths: Sequence[int]) -> tuple[list[Tensor], Tensor]:
    """Cut rows into modalities and say which of them are there.

    Parameters
    ----------
    rows : Tensor (n, sum(widths))
        NaN = absent.
    widths : sequence of int
        Columns of each modality.

    Returns
    -------
    parts : list of Tensor (n, width)
        An absent modality is 0 in all its columns.
    present : Tensor, bool (n, modalities)

    Raises
    ------
    ValueError
        If the widths do not add up to the columns.

    Examples
    --------
    >>> parts, present = split_modalities(torch.tensor([[1.0, 2.0, torch.nan]]), (1, 2))
    >>> parts[1].tolist(), present.tolist()
    ([[0.0, 0.0]], [[True, False]])
    """
    if rows.ndim != 2 or rows.shape[1] != sum(widths):
        raise ValueError(f"rows must be (n, {sum(widths)}) for widths {tuple(widths)}, got {tuple(rows.shape)}")
    cut = rows.split(list(widths), dim=1)
    present = torch.stack([~part.isnan().any(1) for part in cut], dim=1)  # (n, modalities)
    parts = [part.masked_fill(~there[:, None], 0.0) for part, there in zip(cut, present.T, strict=True)]
    return parts, present


def skipped_by_batch(rows: Tensor, widths: Sequence[int], *, batch: int) -> Tensor:
    """Hide a modality from every row of a batch in which any row lacks it, as the public code's skipping does.

    Parameters
    ----------
    rows, widths
        As `split_modalities`.
    batch : int
        Rows in a batch, in the order given; the last one may be shorter. 1 changes nothing but half-absent rows.

    Returns
    -------
    Tensor (n, columns)
        A copy with more NaN.

    Raises
    ------
    ValueError
        As `split_modalities`, and for a batch below 1.

    Examples
    --------
    >>> skipped_by_batch(torch.tensor([[1.0], [torch.nan], [3.0]]), (1,), batch=2).isnan().T.tolist()
    [[True, True, False]]
    """
    if batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch}; 1 lets every row skip for itself")
    present = split_modalities(rows, widths)[1]
    whole = torch.cat([part.all(0, keepdim=True).expand_as(part) for part in present.split(batch)])
    return rows.masked_fill(~whole.repeat_interleave(torch.tensor(widths), dim=1), torch.nan)


class StateEncoder(nn.Module):
    """New state from a modality and the old state, which joins at the last layer.

    Parameters
    ----------
    width : int
        Columns of the modality.
    state, hidden : int
        Length of the state; units of the hidden layer that sees the modality alone.
    """

    def __init__(self, width: int, *, state: int, hidden: int):
        super().__init__()
        self.data = nn.Linear(width, hidden)
        self.join = nn.Linear(hidden + state, state)

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        return self.join(torch.cat([self.data(x).relu(), state], dim=1))


class SequentialFusion(nn.Module):
    """Modalities one after another; absent ones leave the state as it was.

    Parameters
    ----------
    widths : sequence of int
        Columns of each modality.
    order : sequence of int, optional
        In which the modalities are visited; default as they stand in the rows.
    state, hidden : int
        Length of the state; units of every hidden layer.

    Raises
    ------
    ValueError
        If ``order`` does not name every modality once, or a size is below 1.

    Examples
    --------
    >>> model = SequentialFusion((3, 5), order=(1, 0))
    >>> model(torch.zeros(4, 8)).shape  # before any modality, after the second, after both
    torch.Size([4, 3])
    """

    def __init__(self, widths: Sequence[int], *, order: Sequence[int] | None = None, state: int = 16, hidden: int = 32):
        super().__init__()
        self.order = _checked_order(widths, order, state, hidden)
        self.widths = tuple(widths)
        self.start = nn.Parameter(torch.randn(1, state))
        self.encoders = nn.ModuleList(StateEncoder(width, state=state, hidden=hidden) for width in widths)
        self.decoder = mlp(state, 1, width=hidden, depth=1)

    def forward(self, rows: Tensor) -> Tensor:
        """Log odds before the first and after every step, (n, modalities + 1); see `last_decision`."""
        states = self.states(rows)  # (n, modalities + 1, state)
        logits = self.decoder(states.flatten(0, 1)).reshape(states.shape[:2])
        present = split_modalities(rows, self.widths)[1][:, list(self.order)]
        return torch.cat([logits[:, :1], logits[:, 1:].masked_fill(~present, torch.nan)], dim=1)

    def states(self, rows: Tensor) -> Tensor:
        """The state before the first and after every step, (n, modalities + 1, state)."""
        parts, present = split_modalities(rows, self.widths)
        path = [self.start.expand(len(rows), -1)]
        for j in self.order:
            updated = self.encoders[j](parts[j], path[-1])
            path.append(torch.where(present[:, j, None], updated, path[-1]))
        return torch.stack(path, dim=1)


class ParallelFusion(nn.Module):
    """Encodings of all modalities side by side, and one decision.

    Parameters
    ----------
    widths : sequence of int
        Columns of each modality.
    indicator : bool
        Whether the decoder is also told, as 0 or 1, which modalities are present.
    state, hidden : int
        Length of each encoding; units of every hidden layer.

    Raises
    ------
    ValueError
        If a size is below 1.

    Examples
    --------
    >>> ParallelFusion((3, 5))(torch.zeros(4, 8)).shape
    torch.Size([4, 1])
    """

    def __init__(self, widths: Sequence[int], *, indicator: bool = False, state: int = 16, hidden: int = 32):
        super().__init__()
        _checked_order(widths, None, state, hidden)
        self.widths, self.indicator = tuple(widths), indicator
        self.encoders = nn.ModuleList(mlp(width, state, width=hidden, depth=1) for width in widths)
        self.decoder = mlp((state + indicator) * len(self.widths), 1, width=hidden, depth=1)

    def forward(self, rows: Tensor) -> Tensor:
        """Log odds (n, 1)."""
        parts, present = split_modalities(rows, self.widths)
        codes = [encoder(part) for encoder, part in zip(self.encoders, parts, strict=True)]
        return self.decoder(torch.cat([*codes, present.to(rows.dtype)] if self.indicator else codes, dim=1))


class Abreast(nn.Module):
    """Models trained together, each on rows of its own; they share nothing but their labels and their batches.

    Parameters
    ----------
    models : sequence of nn.Module
        SequentialFusion or ParallelFusion.

    Examples
    --------
    >>> models = Abreast([SequentialFusion((3, 5)), ParallelFusion((3, 5))])
    >>> models(torch.zeros(4, 2, 8)).shape
    torch.Size([4, 2, 3])
    """

    def __init__(self, models: Sequence[nn.Module]):
        super().__init__()
        self.models = nn.ModuleList(models)

    def forward(self, rows: Tensor) -> Tensor:
        """Log odds (n, models, steps) of rows (n, models, columns); models of fewer steps begin with NaN."""
        answers = [model(own) for model, own in zip(self.models, rows.unbind(1), strict=True)]
        steps = max(answer.shape[1] for answer in answers)
        return torch.stack([pad(a, (steps - a.shape[1], 0), value=torch.nan) for a in answers], dim=1)


def last_decision(logits: Tensor) -> Tensor:
    """The answer of a model: log odds of the last step that was taken.

    Parameters
    ----------
    logits : Tensor (..., steps)
        NaN = skipped; at least one step of every row was taken.

    Returns
    -------
    Tensor (...)

    Examples
    --------
    >>> last_decision(torch.tensor([[0.5, 2.0, torch.nan]])).tolist()
    [2.0]
    """
    steps = torch.arange(logits.shape[-1], device=logits.device)
    last = torch.where(logits.isnan(), -1, steps).amax(-1, keepdim=True)
    if bool((last < 0).any()):
        raise ValueError("logits must hold at least one decision per row, got a row of NaN; check the data for NaN")
    return logits.gather(-1, last).squeeze(-1)


def fusion_loss(model: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
    """Logistic loss, averaged over the rows that took a step and summed over steps (and models); for `lib.train.fit`.

    Parameters
    ----------
    model : SequentialFusion, ParallelFusion or Abreast
    batch : (rows, y)
        ``y`` 0 or 1, (n,).
    generator : torch.Generator
        Not used; the loop hands one to every loss.

    Returns
    -------
    Tensor ()
        A step that no row of the batch took adds 0. The paper divides by the number of steps, a constant.
    """
    rows, y = batch
    logits = model(rows)  # (n, ..., steps)
    taken = ~logits.isnan()
    goal = y.to(logits.dtype).reshape(-1, *[1] * (logits.ndim - 1)).expand_as(logits)
    losses = binary_cross_entropy_with_logits(logits.masked_fill(~taken, 0.0), goal, reduction="none") * taken
    return (losses.sum(0) / taken.sum(0).clamp_min(1)).sum()


def _checked_order(widths: Sequence[int], order: Sequence[int] | None, state: int, hidden: int) -> tuple[int, ...]:
    """The order of the modalities, or a readable error."""
    if not widths or min(*widths, state, hidden) < 1:
        raise ValueError(f"widths, state and hidden must be at least 1, got {tuple(widths)}, {state} and {hidden}")
    named = tuple(range(len(widths)) if order is None else order)
    if sorted(named) != list(range(len(widths))):
        raise ValueError(f"order must name each of 0 .. {len(widths) - 1} once, got {named}; e.g. (1, 0)")
    return named
