"""What all pretrainings share: the loss of a masked model, the run itself, and the way back from weights to a model."""

import copy
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from lib import train
from lib.models import mae

Model = TypeVar("Model", bound=nn.Module)
Error = Callable[[Tensor, Tensor, Tensor], Tensor]


def pretrain(
    model: nn.Module,
    loss: train.Loss,
    images: Tensor,
    *,
    seed: int,
    epochs: int,
    batch_size: int,
    lr: float,
    device: str,
    checkpoint: str | None,
    label: str,
) -> dict[str, Tensor]:
    """Train a model on images; the last step of every ``pretrain_…``.

    Parameters
    ----------
    model : nn.Module
        Trained in place.
    loss : callable
        As in `lib.train.fit`; its batch holds the images alone.
    images : Tensor (n, c, h, w)
        See `lib.measure.pretraining.seen`.
    seed : int
        ``seed + 1`` decides the order of the images and the masks.
    epochs, batch_size, lr, checkpoint
        As in `lib.train.fit`.
    device : str
        Where to train, for example "cuda".
    label : str
        Of the progress bar; the seed is added.

    Returns
    -------
    dict of str to Tensor
        The weights on the CPU, and under "loss" the mean of each epoch (epochs,).
    """
    history = train.fit(
        model, loss, (images.to(device),), epochs=epochs, batch_size=batch_size, lr=lr,
        generator=torch.Generator().manual_seed(seed + 1), checkpoint=checkpoint, label=f"{label} seed {seed}",
    )  # fmt: skip
    return {name: value.cpu() for name, value in model.state_dict().items()} | {"loss": torch.tensor(history.loss)}


def masked_loss(
    model: mae.MaskedModel, sampler: Callable[..., Tensor], *, ratio: float, error: Error = mae.reconstruction_loss
) -> train.Loss:
    """A loss for `lib.train.fit`: hide patches with ``sampler`` at ``ratio`` and score what is predicted for them.

    Parameters
    ----------
    model : MaskedModel
        Gives grid and targets; what is trained is the model that the loss is called with.
    sampler : callable
        ``(n, grid, *, ratio, generator) -> bool (n, tokens)``, True = hidden.
    ratio : float in (0, 1)
        Share of patches hidden.
    error : callable
        ``(predicted, target, hidden) -> scalar Tensor``; squared by default.

    Returns
    -------
    callable
        ``loss(model, batch, generator) -> scalar Tensor``; ``batch[0]`` are images.
    """

    def loss(trained: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        images = batch[0]
        hidden = sampler(len(images), model.grid, ratio=ratio, generator=generator).to(images.device)
        return error(trained(images, hidden), model.targets(images), hidden)

    return loss


def loaded(model: Model, state: dict[str, Tensor]) -> Model:
    """A copy of an empty model with the weights that a pretraining returned, in eval mode.

    Raises
    ------
    RuntimeError
        From torch, when the sizes are not those of the state.
    """
    model = copy.deepcopy(model)
    model.load_state_dict({name: value for name, value in state.items() if name != "loss"})
    return model.eval()
