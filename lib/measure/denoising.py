"""Denoisers trained from literals with or without hidden input pixels, classical ones, and how far each is from clean.

Chihaoui & Favaro 2025, MID (arXiv:2503.21377): a network sees a noisy image of which random pixels are hidden, in
training and at test time, and predicts the clean image; the noise of later rounds is a bank of noisy images minus their
estimates by the network of the round before, from images that have no clean partner.
Differences: a small U-Net on small grey crops; the mask is an input channel, so that a hidden pixel is not mistaken for
a black one; each round starts from the same first weights and takes equally many steps, so that later rounds have no
longer training; how many masks are averaged at test time is ours to choose. Noisy images are made by `lib.data.noise`.

Conventions: images are float (n, 1, h, w) in [0, 1], a mask is True where hidden, ``sigma`` is in units of the images,
ratio 0 is training from noise to clean without a mask. Everything that is measured has one value for each image.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from lib import data, train
from lib.data import noise as noises
from lib.masks.pixels import hidden_pixels
from lib.models.unet import UNet

REACH = 4  # px, the longest distance of the autocorrelation kept for each bank


def pictures(source: str, *, split: str = "train", n: int, seed: int, side: int = 32) -> Tensor:
    """Grey square crops of an image set, one from each image.

    Parameters
    ----------
    source : str
        Id of an image set, see `lib.data.images`.
    split, n, seed
        As there; ``seed`` also places the crops.
    side : int
        Side of a crop in px; images that are not larger stay whole.

    Returns
    -------
    float Tensor (n, 1, side, side)
        Mean of the channels.
    """
    grey = data.images(source, split=split, n=n, seed=seed).x.mean(1)  # (n, h, w)
    down, across = (min(side, size) for size in grey.shape[1:])
    generator = torch.Generator().manual_seed(seed)
    top = torch.randint(grey.shape[1] - down + 1, (n, 1, 1), generator=generator) + torch.arange(down).view(1, -1, 1)
    left = torch.randint(grey.shape[2] - across + 1, (n, 1, 1), generator=generator) + torch.arange(across)
    return grey[torch.arange(n).view(-1, 1, 1), top, left][:, None]


def empty_denoiser(*, seed: int, width: int) -> UNet:
    """The untrained network of every arm of a seed: two input channels, image and mask, and one output channel.

    Parameters
    ----------
    seed : int
        Of the first weights.
    width : int
        Channels at full resolution; there are three resolutions.
    """
    return UNet(2, width=width, out_channels=1, generator=torch.Generator().manual_seed(seed))


def masked(noisy: Tensor, *, ratio: float, generator: torch.Generator) -> Tensor:
    """Hide each pixel independently and append the mask.

    Parameters
    ----------
    noisy : float Tensor (n, 1, h, w)
        Images.
    ratio : float in [0, 1)
        Probability that a pixel is hidden; 0 hides none.
    generator : torch.Generator
        Source of randomness, on the CPU.

    Returns
    -------
    float Tensor (n, 2, h, w)
        The images with 0 in hidden pixels, and the mask with 1 in hidden pixels.

    Raises
    ------
    ValueError
        ``ratio`` is out of range.
    """
    if not 0 <= ratio < 1:
        raise ValueError(f"ratio must be in [0, 1), got {ratio:g}; it is the share of hidden pixels, 0 hides none")
    n, _, height, across = noisy.shape
    hidden = torch.zeros_like(noisy, dtype=torch.bool)
    if ratio:
        drawn = hidden_pixels(n, (height, across), ratio=ratio, generator=generator, exact=False)
        hidden = drawn[:, None].to(noisy.device)
    return torch.cat([noisy.masked_fill(hidden, 0), hidden.to(noisy)], 1)


def denoise(
    model: nn.Module, noisy: Tensor, *, ratio: float, looks: int = 8, generator: torch.Generator, batch_size: int = 128
) -> Tensor:
    """Estimate the clean images, averaged over several masks.

    Parameters
    ----------
    model : nn.Module
        From `empty_denoiser`, trained.
    noisy : float Tensor (n, 1, h, w)
        Noisy images.
    ratio : float in [0, 1)
        Share of pixels hidden, as in training; 0 needs one look only.
    looks : int
        Masks drawn for each image; their estimates are averaged.
    generator : torch.Generator
        Source of the masks, on the CPU.
    batch_size : int
        Images at once; the result does not depend on it but for float32 rounding.

    Returns
    -------
    float Tensor (n, 1, h, w)
        Clipped to [0, 1].

    Raises
    ------
    ValueError
        ``looks`` is below 1 or ``ratio`` is out of range.
    """
    if looks < 1:
        raise ValueError(f"looks must be at least 1, got {looks}; it is the number of masks that are averaged")
    total = torch.zeros_like(noisy)
    for _ in range(looks if ratio else 1):
        total += train.predict(model, masked(noisy, ratio=ratio, generator=generator), batch_size=batch_size)
    return (total / (looks if ratio else 1)).clamp(0, 1)


def train_denoiser(
    source: str,
    *,
    seed: int,
    noise: str,
    sigma: float,
    ratio: float,
    rounds: int = 0,
    target: str = "correlated",
    looks: int = 4,
    n_images: int,
    epochs: int,
    batch_size: int = 8,
    lr: float = 2e-3,
    width: int = 8,
    side: int = 32,
    device: str = "cpu",
) -> dict[str, Tensor]:
    """Train a denoiser, and then as many others as there are rounds, each on the noise bank of the one before.

    Parameters
    ----------
    source, seed, width, side
        As in `pictures` and `empty_denoiser`; ``seed`` also decides the order, the noise and the masks. Arms of one
        seed and one noise see the same noisy images, whatever they hide.
    noise, target : str
        Names in `lib.data.noise.MODELS`: the noise of round 0, and that of the images without a clean partner.
    sigma : float
        Standard deviation of both.
    ratio : float in [0, 1)
        Share of pixels hidden.
    rounds : int
        Times that a bank is made and a new network trained on it.
    looks : int
        Masks averaged when a bank is made.
    n_images : int
        Even; the first half is clean images, the second is seen only with ``target`` noise, to make the banks.
    epochs, batch_size, lr
        See `lib.train.fit`; the same in every round.
    device : str
        Where to train, for example "cuda".

    Returns
    -------
    dict of str to Tensor
        ``"<round>/<weight>"`` for rounds 0, 1, …, to be read by `of_round`; "loss" (rounds + 1, epochs), the mean
        squared error; "autocorrelation" (rounds + 1, n_images / 2, 5), of the true target noise first and then of
        each bank, see `autocorrelation`.

    Raises
    ------
    ValueError
        An unknown noise, an odd number of images, a negative number of rounds, a ratio out of range.
    """
    for name, value in (("noise", noise), ("target", target)):
        if value not in noises.MODELS:
            raise ValueError(f"{name} must be one of {', '.join(noises.MODELS)}, got {value!r}")
    if n_images < 2 or n_images % 2 or rounds < 0:
        raise ValueError(
            f"n_images must be even and rounds not negative, got {n_images} and {rounds}; halve the images"
        )
    seen = pictures(source, n=n_images, seed=seed, side=side).to(device)
    clean, scenes = seen[: n_images // 2], seen[n_images // 2 :]
    chance = torch.Generator().manual_seed(seed + 1)
    noisy = noises.MODELS[target](scenes, sigma=sigma, generator=chance)
    found = {"autocorrelation": [autocorrelation(noisy - scenes)], "loss": []}
    states: dict[str, Tensor] = {}
    bank: Tensor | None = None
    for done in range(rounds + 1):
        model = empty_denoiser(seed=seed, width=width)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # faster on a CPU
        history = train.fit(
            model, _loss(noise, sigma, ratio, bank), (clean,), epochs=epochs, batch_size=batch_size, lr=lr,
            generator=torch.Generator().manual_seed(seed + 2), label=f"{noise} {ratio:g} seed {seed} round {done}",
        )  # fmt: skip
        states |= {f"{done}/{name}": value.contiguous() for name, value in model.state_dict().items()}
        found["loss"].append(torch.tensor(history.loss))
        if done < rounds:
            bank = noisy - denoise(model, noisy, ratio=ratio, looks=looks, generator=chance)
            found["autocorrelation"].append(autocorrelation(bank))
    return states | {name: torch.stack(values) for name, values in found.items()}


def _loss(noise: str, sigma: float, ratio: float, bank: Tensor | None) -> train.Loss:
    """Mean squared error of the estimate of all pixels, hidden or not; without a bank the noise is drawn by name."""

    def loss(model: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        clean = batch[0]
        masks = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=generator)))
        if bank is None:
            noisy = noises.MODELS[noise](clean, sigma=sigma, generator=generator)
        else:
            noisy = noises.banked(clean, bank=bank, generator=generator)
        return (model(masked(noisy, ratio=ratio, generator=masks)) - clean).square().mean()

    return loss


def of_round(state: dict[str, Tensor], number: int, *, seed: int, width: int) -> UNet:
    """The network of round ``number`` from what `train_denoiser` returned, in eval mode on the CPU.

    Raises
    ------
    ValueError
        There was no such round.
    """
    weights = {name.removeprefix(f"{number}/"): value for name, value in state.items() if name.startswith(f"{number}/")}
    if not weights:
        raise ValueError(f"there is no round {number}; the last one is {len(state['loss']) - 1}")
    model = empty_denoiser(seed=seed, width=width)
    model.load_state_dict(weights)
    return model.eval()


def psnr(estimate: Tensor, clean: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB, for a peak of 1.

    Parameters
    ----------
    estimate, clean : float Tensor (n, channels, h, w)

    Returns
    -------
    float64 Tensor (n,)
        20 dB is an error of 0.1, ten times less error adds 20 dB; infinite = equal.

    Raises
    ------
    ValueError
        The shapes differ.
    """
    if estimate.shape != clean.shape:
        raise ValueError(f"estimate must have the shape of clean, {tuple(clean.shape)}, got {tuple(estimate.shape)}")
    return -10 * (estimate.double() - clean.double()).square().flatten(1).mean(1).log10()


def autocorrelation(noise: Tensor, *, reach: int = REACH) -> Tensor:
    """Correlation of noise with itself some pixels further, along rows and columns alike.

    Parameters
    ----------
    noise : float Tensor (n, channels, h, w)
        Noise maps; their expectation is taken to be 0.
    reach : int
        Longest distance in px, less than height and width.

    Returns
    -------
    float64 Tensor (n, reach + 1)
        By distance 0, 1, …: 1 at distance 0; all others are 0 in expectation if the noise is white.

    Raises
    ------
    ValueError
        ``reach`` does not fit.
    """
    height, across = noise.shape[-2:]
    if not 0 <= reach < min(height, across):
        raise ValueError(f"reach must be in [0, {min(height, across) - 1}] px, got {reach}")
    field = noise.double()
    columns = []
    for step in range(reach + 1):
        down = (field[..., step:, :] * field[..., : height - step, :]).flatten(1).mean(1)
        right = (field[..., step:] * field[..., : across - step]).flatten(1).mean(1)
        columns.append((down + right) / 2)
    table = torch.stack(columns, 1)  # (n, reach + 1)
    return table / table[:, :1]


def median(noisy: Tensor) -> Tensor:
    """Classical denoiser: the median of 3x3 pixels, mirrored at the edge; float (n, 1, h, w) -> (n, 1, h, w)."""
    from scipy import ndimage

    return _each(noisy, lambda image: ndimage.median_filter(image, size=3, mode="reflect"))


def nonlocal_means(noisy: Tensor, *, sigma: float) -> Tensor:
    """Classical denoiser that is told the strength of the noise: non-local means on 5x5 patches.

    Parameters
    ----------
    noisy : float Tensor (n, 1, h, w)
    sigma : float
        Standard deviation of the noise; similar patches weigh by a bandwidth of 0.8 sigma.

    Returns
    -------
    float Tensor (n, 1, h, w)
        Clipped to [0, 1].

    Source
    ------
    Buades et al. 2005 (doi:10.1109/CVPR.2005.38), as scikit-image computes it in its fast mode.
    """
    from skimage.restoration import denoise_nl_means

    return _each(
        noisy,
        lambda image: denoise_nl_means(
            image, patch_size=5, patch_distance=6, h=0.8 * sigma, sigma=sigma, fast_mode=True
        ),
    )


def _each(noisy: Tensor, denoiser: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    if noisy.ndim != 4 or noisy.shape[1] != 1:
        raise ValueError(f"noisy must have shape (n, 1, h, w), got {tuple(noisy.shape)}; use grey images")
    results = [denoiser(image[0].cpu().double().numpy()) for image in noisy]
    return torch.from_numpy(np.stack(results)[:, None]).to(noisy).clamp(0, 1)
