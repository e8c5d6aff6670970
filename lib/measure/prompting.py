"""Prompt-CAM heads on the transformers of `lib.measure.pairs`.

Chowdhury et al. 2025, Prompt-CAM (arXiv:2501.09333). Differences: the backbone is one of our small ViTs, and pictures
hold two objects, so the loss is that of `lib.measure.pairs`.

Conventions: as `lib.measure.pairs`. The backbone is handed over, not found by literals: it is kept in the store, and
training its prompts again costs less than training it.
"""

from __future__ import annotations

import torch
from torch import nn

from lib.data.composites import composites
from lib.measure.pairs import halves, pair_loss
from lib.models.prompt_cam import PromptCAM
from lib.train import fit


def fit_prompts(
    backbone: nn.Module,
    *,
    dataset: str,
    n_images: int,
    epochs: int,
    seed: int,
    batch_size: int = 64,
    lr: float = 2e-2,
    device: str = "cpu",
) -> PromptCAM:
    """Train class prompts and their shared linear layer on a frozen ViT.

    Parameters
    ----------
    backbone : nn.Module
        From `lib.measure.pairs.vit`; it stays as it is.
    dataset, n_images, epochs, seed, batch_size, lr, device
        As `lib.measure.pairs.train_vit`; with the same seed and ``n_images`` the pictures are those the ViT saw.

    Returns
    -------
    PromptCAM
        In evaluation mode.
    """
    data = composites(dataset, n=n_images, seed=seed)
    model = untrained_prompts(backbone, len(data.classes), seed=seed).to(device)
    fit(
        model,
        pair_loss,
        (data.x.to(device), halves(data.y, len(data.classes)).to(device)),
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        generator=torch.Generator().manual_seed(seed),
        label=f"prompts, seed {seed}",
    )
    return model.eval()


def untrained_prompts(backbone: nn.Module, classes: int, *, seed: int) -> PromptCAM:
    """Prompts as they are drawn before training, the control; equal seeds give equal prompts."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PromptCAM(backbone, classes).eval()
