"""Real pictures and what four generators make of them, from literals to 8-bit tensors.

The set-up of a detector that meets unseen generators (Wang et al. 2020, arXiv:1912.11035; Li et al. 2024, SAFE,
arXiv:2408.06741), small enough that the generators are trained here too.
Differences: every fake imitates a real picture, so subjects, colours and composition are the same on both sides, and
what a detector can find is how a picture was made; the generators are those of `lib.models.generators`, of which the
Upsampler, trained against a critic, stands for the GAN that the papers train on.

Conventions: real and fake pictures alike are rounded to 8 bit and stored as uint8 (n, channels, height, width). The
generators learn from pictures that are in no other part. Real pictures of these sets come from JPEG files, fakes do not
pass through JPEG: `lib.measure.detection` can send both through it.
"""

import functools
import math
from typing import cast

import torch
from torch import Tensor, nn

from lib import data, train
from lib.data.augment import cropped
from lib.data.postprocess import quantised, resampled
from lib.models import generators

KINDS = ("gan", "autoencoder", "diffusion", "resampling")
MOST_NOISE = 0.2  # share of noise up to which the denoiser learns, see `lib.models.generators.Denoiser`
CROP = 32  # px, the generators learn from crops of at most this side
REMEMBERED = 8  # collections
CHUNK = 64  # pictures that are made at once


def train_generator(
    kind: str,
    images: Tensor,
    *,
    seed: int,
    epochs: int,
    batch_size: int = 8,
    lr: float = 3e-3,
    width: int = 16,
) -> tuple[nn.Module, list[float]]:
    """Train one generator on random crops.

    Parameters
    ----------
    kind : {"gan", "autoencoder", "diffusion"}
    images : float Tensor (n, c, h, w) in [0, 1]
    seed : int
        Of first weights, order, crops and noise.
    epochs, batch_size, lr
        See `lib.train.fit`.
    width : int
        See `lib.models.generators`.

    Returns
    -------
    nn.Module, list of float
        The generator in eval mode, without its critic, and the mean loss of each epoch.

    Raises
    ------
    ValueError
        Another kind.
    """
    channels, side = images.shape[1], min(CROP, *images.shape[2:]) // 4 * 4
    model = _game(kind, channels, width=width, seed=seed)

    def loss(trained: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        part = cropped(batch[0], side, generator=generator)
        if kind == "gan":
            return trained(part)
        if kind == "autoencoder":
            return (trained(part) - part).abs().mean()
        share = MOST_NOISE * (1 - torch.rand(len(part), generator=generator).to(part))  # never 0
        noise = torch.randn(part.shape, generator=generator).to(part)
        wrong = trained(generators.noised(part, share, noise), share) - (part - 0.5)
        return (wrong / (share * math.pi / 2).sin().view(-1, 1, 1, 1)).square().mean()  # error of the velocity

    history = train.fit(
        model, loss, (images,), epochs=epochs, batch_size=batch_size, lr=lr,
        generator=torch.Generator().manual_seed(seed + 1), label=f"{kind} seed {seed}",
    )  # fmt: skip
    return (model.generator if isinstance(model, generators.Game) else model), history.loss


def forge(kind: str, model: nn.Module | None, images: Tensor, *, generator: torch.Generator) -> Tensor:
    """Make a fake of each picture.

    Parameters
    ----------
    kind : {"gan", "autoencoder", "diffusion", "resampling"}
    model : nn.Module or None
        What `train_generator` returned; "resampling" needs none.
    images : float Tensor (n, c, h, w) in [0, 1]
    generator : torch.Generator
        Draws the noise of "diffusion"; nothing else is random.

    Returns
    -------
    float Tensor (n, c, h, w)
        Rounded to 8 bit.

    Raises
    ------
    ValueError
        Another kind, or no model where one is needed.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if kind == "resampling":
        return quantised(resampled(images))
    if model is None:
        raise ValueError(f"model must be a trained {kind}, got None; train_generator makes one")
    made = []
    with torch.no_grad():
        for part in images.split(CHUNK):
            if kind == "diffusion":
                made.append(generators.denoised(cast(generators.Denoiser, model), part, generator=generator))
            else:
                made.append(model(part))
    return quantised(torch.cat(made))


def collect(
    source: str,
    *,
    seed: int,
    n_images: int,
    rounds: int,
    n_train: int,
    n_test: int,
    seen: str = "gan",
    width: int = 16,
    device: str = "cpu",
) -> dict[str, Tensor]:
    """Train all generators and let them imitate test pictures, and the one that is seen in training, training pictures.

    The last answers are remembered, for the detectors of one seed: do not change what it returns.

    Parameters
    ----------
    source : str
        Id of an image set.
    seed : int
        Of the choice of pictures and of all that is trained.
    n_images, rounds : int
        Pictures that the generators learn from, and passes over them.
    n_train, n_test : int
        Pictures for a detector, from the two splits; twice as many are drawn.
    seen : {"gan", "autoencoder", "diffusion", "resampling"}
        Whose fakes a detector is trained on.
    width, device
        Of the generators.

    Returns
    -------
    dict of str to Tensor
        uint8 (n, c, h, w): "real/train", "<seen>/train", "real/test" and "<kind>/test" for every kind, fake i imitating
        real picture i; "identity/train" and "identity/test", fakes that are none: other real pictures. And
        "loss/<kind>" (rounds,) of the generators that are trained.

    Raises
    ------
    ValueError
        An unknown kind; numbers that the set does not have.
    """
    if seen not in KINDS:
        raise ValueError(f"seen must be one of {', '.join(KINDS)}, got {seen!r}")
    return _collected(source, seed, n_images, rounds, n_train, n_test, seen, width, device)


@functools.lru_cache(maxsize=REMEMBERED)
def _collected(
    source: str, seed: int, n_images: int, rounds: int, n_train: int, n_test: int, seen: str, width: int, device: str
) -> dict[str, Tensor]:
    known = data.images(source, n=n_images + 2 * n_train, seed=seed).x.to(device)
    held = data.images(source, split="test", n=2 * n_test, seed=seed).x.to(device)
    parts = {"train": known[n_images:][:n_train], "test": held[:n_test]}
    found = {f"real/{split}": part for split, part in parts.items()}
    found |= {"identity/train": known[n_images + n_train :], "identity/test": held[n_test:]}
    losses = {}
    for kind in KINDS:
        model = None
        if kind != "resampling":
            model, history = train_generator(kind, known[:n_images], seed=seed, epochs=rounds, width=width)
            losses[f"loss/{kind}"] = torch.tensor(history)
        for split, part in parts.items():
            if split == "test" or kind == seen:
                noise = torch.Generator().manual_seed(seed + 2)
                found[f"{kind}/{split}"] = forge(kind, model, part, generator=noise)
    return {name: as_bytes(part) for name, part in found.items()} | losses


def as_bytes(images: Tensor) -> Tensor:
    """Float pictures in [0, 1] as uint8 on the CPU."""
    return (quantised(images) * 255).round().to(torch.uint8).cpu()


def as_floats(pictures: Tensor) -> Tensor:
    """Pictures of uint8 as float32 in [0, 1]."""
    return pictures.float() / 255


def _game(kind: str, channels: int, *, width: int, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind == "gan":
            maker = generators.Upsampler(channels, width=width)
            return generators.Game(maker, generators.Critic(channels, width=width))
        if kind == "autoencoder":
            return generators.Autoencoder(channels, width=width)
        if kind == "diffusion":
            return generators.Denoiser(channels, width=width)
    trained = ", ".join(name for name in KINDS if name != "resampling")
    raise ValueError(f"kind must be one of {trained}, got {kind!r}; resampling is not trained")
