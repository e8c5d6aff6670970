"""Pretraining of masked autoencoders under any of the masks of `samplers`.

He et al. 2022, Masked Autoencoders (arXiv:2111.06377); with ``norm_targets`` and a coloured sampler Hinojosa et al.
2024, ColorMAE (arXiv:2407.13036). Difference from the latter: masks are drawn anew for every image, by `lib.masks`,
instead of being cut from a bank of patterns.
"""

from torch import Tensor

from lib.measure.pretraining.images import seen
from lib.measure.pretraining.loop import masked_loss, pretrain
from lib.measure.pretraining.samplers import sampler
from lib.measure.pretraining.untrained import empty_mae


def pretrain_mae(
    source: str,
    *,
    seed: int,
    ratio: float,
    n_images: int,
    epochs: int,
    sampling: str = "random",
    cell: int = 1,
    norm_targets: bool = False,
    patch: int = 7,
    width: int = 64,
    depth: int = 2,
    batch_size: int = 64,
    lr: float = 2e-3,
    device: str = "cpu",
    checkpoint: str | None = None,
) -> dict[str, Tensor]:
    """Pretrain a masked autoencoder.

    Parameters
    ----------
    source, seed, norm_targets, patch, width, depth
        As in `empty_mae`; ``seed`` also chooses the images, their order and the masks.
    ratio : float in (0, 1)
        Share of patches hidden.
    n_images, epochs, batch_size, lr, device, checkpoint
        Images seen, passes over them, and the options of `lib.train.fit`.
    sampling, cell
        As in `sampler`.

    Returns
    -------
    dict of str to Tensor
        The model's state, and under "loss" the mean squared error of each epoch (epochs,): smaller is better,
        comparable only between runs of the same targets that hide the same patches.

    Raises
    ------
    ValueError
        An unknown sampler; sizes that do not fit.
    """
    hide = sampler(sampling, cell=cell)
    model = empty_mae(source, seed=seed, patch=patch, width=width, depth=depth, norm_targets=norm_targets)
    return pretrain(
        model, masked_loss(model, hide, ratio=ratio), seen(source, n_images=n_images, seed=seed), seed=seed,
        epochs=epochs, batch_size=batch_size, lr=lr, device=device, checkpoint=checkpoint,
        label=f"{sampling} {ratio:g}",
    )  # fmt: skip
