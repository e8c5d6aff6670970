"""Checks that ours and a peer did the same job; each raises `AnotherJob` unless they did."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lib.bench.harness import AnotherJob
from lib.masks.designs import RiseDesign


def same_shape(ours: Tensor, peer: Tensor) -> None:
    """Check the shapes alone, where chance makes the values differ."""
    if ours.shape != peer.shape:
        raise AnotherJob(f"results must have one shape, got {tuple(ours.shape)} and {tuple(peer.shape)}")


def equal(ours: Tensor, peer: Tensor, *, what: str, tolerance: float = 1e-6) -> None:
    """Check that two tensors are finite and equal up to a share of the peer's largest value.

    Raises
    ------
    AnotherJob
        If they are not.
    """
    same_shape(ours, peer)
    apart = float((ours.double() - peer.double()).abs().max())
    if not apart <= tolerance * float(peer.abs().max()):  # also where one is not a number
        raise AnotherJob(f"{what} must be equal to {tolerance:g} of the largest value, they differ by {apart:.2g}")


def same_masks(drawn: Tensor, design: RiseDesign, peer: Tensor) -> None:
    """Check our masks by their mean, and, with the peer's cells and shifts, pixel by pixel away from the borders.

    The public code mirrors the grid at its border, ours repeats its last cell: half a cell there is not compared.

    Raises
    ------
    AnotherJob
        If they are not the same masks.
    """
    same_shape(drawn, peer)
    side, grid = design.size[0], design.cells.shape[-1]
    cell = -(-side // grid)
    places = torch.arange(side) + design.offsets[:, :, None]  # (n, 2, side), px of the enlarged grid
    rim = (grid + 1) * cell / grid / 2
    inner = (places + 0.5 >= rim) & (places + 0.5 <= (grid + 1) * cell - rim)
    inside = inner[:, 0, :, None] & inner[:, 1, None]
    apart = float((design.render(0, len(design)) - peer)[inside].abs().max())
    if not apart <= 1e-5:
        raise AnotherJob(f"masks of the same cells and shifts must be equal, they differ by {apart:.2g}")
    if abs(float(drawn.mean() - peer.mean())) > 0.1:
        raise AnotherJob(f"masks must keep the same share, got {float(drawn.mean()):.2f} and {float(peer.mean()):.2f}")


def same_questions(ours: Sequence[Tensor], held: Sequence[Tensor]) -> None:
    """Check that two rows of pieces, each float32 (m, c, h, w), hold the same images in the same pieces.

    Raises
    ------
    AnotherJob
        If they do not.
    """
    counts = [len(piece) for piece in ours], [len(piece) for piece in held]
    if counts[0] != counts[1] or not all(torch.equal(one, other) for one, other in zip(ours, held, strict=True)):
        raise AnotherJob(
            f"the network must be asked about the same images, got {sum(counts[0])} and {sum(counts[1])} of them"
        )
