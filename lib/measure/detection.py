"""Is a picture real? A detector of local traces, trained on one generator and asked about others.

Li et al. 2024, SAFE (arXiv:2408.06741): crops instead of down-sampling, in training and in testing; colour jitter and
rotation by any angle; aligned cells erased in half of the training pictures; then fine wavelet bands and a small
residual network. Each of the three can be left out.
Differences: sizes; `lib.models.wavelet` and `lib.data.augment` name theirs; without crops a picture is resized as a
whole, while the public code resizes random parts of it in training.

Conventions: pictures are uint8 (n, c, h, w); label and logit are positive for fakes; a view has half the side of a
picture. Measures are one value per picture.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib import train
from lib.data import augment
from lib.data.postprocess import quantised, reencoded
from lib.masks.pixels import erase_cells
from lib.measure.forgeries import as_bytes, as_floats, collect
from lib.models.wavelet import FineBandCNN, transform

IDENTITY = "identity"  # fakes that are other real pictures, for a detector that must stay at chance


@dataclass(frozen=True)
class Found:
    """How well scores tell fakes from real pictures.

    Attributes
    ----------
    above : float64 Tensor (fakes,)
        Share of real pictures with a lower score, ties counting half; the mean is the area under the ROC curve:
        0.5 = chance, 1 = every fake above every real picture.
    correct : bool Tensor (real + fakes,)
        Whether each picture is on its side of the threshold, real ones first.
    precision : float
        Average precision in [0, 1]: mean precision where each fake is found, pictures of one score counting together;
        with as many real pictures as fakes about 0.5 = chance.
    """

    above: Tensor
    correct: Tensor
    precision: float


def compare(real: Tensor, fake: Tensor, *, threshold: float = 0.0) -> Found:
    """Compare the scores of real pictures (n,) with those of fakes (m,); a score above ``threshold`` says fake.

    Raises
    ------
    ValueError
        If either side is empty.

    Examples
    --------
    >>> found = compare(torch.tensor([-1.0, 0.5]), torch.tensor([0.5, 2.0]))
    >>> found.above.tolist(), found.correct.tolist(), round(found.precision, 2)
    ([0.75, 1.0], [True, False, True, True], 0.83)
    """
    if not len(real) or not len(fake):
        raise ValueError(f"real and fake need scores, got {len(real)} and {len(fake)}; give at least one of each")
    real, fake = real.double(), fake.double()
    lower, upper = (torch.searchsorted(real.sort().values, fake, right=right) for right in (False, True))
    correct = torch.cat([real <= threshold, fake > threshold])
    fakes = torch.searchsorted(fake.sort().values, fake)  # how many score less, for each fake
    reals = len(real) - lower
    precision = (len(fake) - fakes) / (len(fake) - fakes + reals)
    return Found((lower + upper) / (2 * len(real)), correct, float(precision.mean()))


def pictures(collection: dict[str, Tensor], *, split: str, fake: str, quality: int = 0) -> tuple[Tensor, Tensor]:
    """Pick real pictures and fakes.

    Parameters
    ----------
    collection : dict of str to Tensor
        See `lib.measure.forgeries.collect`.
    split : {"train", "test"}
    fake : str
        A kind of generator in the collection, or "identity": other real pictures.
    quality : int
        Above 0, both sides pass through a JPEG file of this quality.

    Returns
    -------
    uint8 Tensor (n, c, h, w), twice
        Real, fake.

    Raises
    ------
    ValueError
        If the collection has no such fakes.
    """
    if f"{fake}/{split}" not in collection:
        raise ValueError(f"fake must be one of {', '.join(sorted(collection))} without /{split}, got {fake!r}")
    sides = (collection[f"real/{split}"], collection[f"{fake}/{split}"])
    if not quality:
        return sides
    real, forged = (as_bytes(reencoded(as_floats(part), quality=quality)) for part in sides)
    return real, forged


def view(images: Tensor, *, crop: bool) -> Tensor:
    """What a detector sees of pictures when it is asked: the middle, or the whole resized; half the side.

    Parameters
    ----------
    images : float Tensor (n, c, h, w) in [0, 1]
    crop : bool

    Returns
    -------
    float Tensor (n, c, side // 2, side // 2)
        Multiples of 1/255.
    """
    side = min(images.shape[2:]) // 2
    return augment.centre(images, side) if crop else quantised(augment.shrunk(images, side))


def training_view(
    images: Tensor, *, crop: bool, turn: bool, erase: bool, cell: int, generator: torch.Generator
) -> Tensor:
    """What a detector sees of pictures in training; a reflection left to right is always drawn.

    Parameters
    ----------
    images : float Tensor (n, c, h, w) in [0, 1]
    crop : bool
        Random crop; False = as in `view`.
    turn : bool
        Rotation and colour jitter.
    erase : bool
        Aligned cells of ``cell`` px of the view, in half of the pictures.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    float Tensor (n, c, side // 2, side // 2)
    """
    side = min(images.shape[2:]) // 2
    x = augment.cropped(images, side, generator=generator) if crop else view(images, crop=False)
    x = augment.flipped(x, generator=generator)
    if turn:
        x = augment.jittered(augment.rotated(x, generator=generator), generator=generator)
    return erase_cells(x, generator=generator, cell=cell) if erase else x


def train_detector(
    source: str,
    *,
    seed: int,
    fake: str = "gan",
    crop: bool = True,
    turn: bool = True,
    erase: bool = True,
    quality: int = 0,
    n_images: int,
    rounds: int,
    n_train: int,
    n_test: int,
    epochs: int,
    batch_size: int = 32,
    lr: float = 3e-3,
    cell: int = 4,
    bands: str = "diagonal",
    width: int = 16,
    device: str = "cpu",
) -> dict[str, Tensor]:
    """Train a detector on the fakes of one generator.

    Parameters
    ----------
    source, seed, n_images, rounds, n_train, n_test, device
        As in `lib.measure.forgeries.collect`, which is asked for the pictures.
    fake, quality
        As in `pictures`.
    crop, turn, erase, cell
        As in `training_view`.
    epochs, batch_size, lr
        See `lib.train.fit`; a batch holds so many real pictures and as many fakes.
    bands, width
        See `lib.models.wavelet.FineBandCNN`.

    Returns
    -------
    dict of str to Tensor
        The state of the detector, and under "loss" the mean cross-entropy of each epoch (epochs,).

    Raises
    ------
    ValueError
        Sizes or names that do not fit.
    """
    seen = "gan" if fake == IDENTITY else fake
    collection = collect(
        source, seed=seed, seen=seen, n_images=n_images, rounds=rounds, n_train=n_train, n_test=n_test, device=device
    )
    sides = [part.to(device) for part in pictures(collection, split="train", fake=fake, quality=quality)]
    model = empty_detector(sides[0].shape[1], seed=seed, bands=bands, width=width)

    def loss(trained: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        both = as_floats(torch.cat(batch))
        views = training_view(both, crop=crop, turn=turn, erase=erase, cell=cell, generator=generator)
        target = torch.arange(len(both), device=both.device) >= len(batch[0])
        return functional.binary_cross_entropy_with_logits(trained(views), target.to(both))

    history = train.fit(
        model, loss, sides, epochs=epochs, batch_size=batch_size, lr=lr,
        generator=torch.Generator().manual_seed(seed + 1), label=f"detector seed {seed}",
    )  # fmt: skip
    return {name: value.cpu() for name, value in model.state_dict().items()} | {"loss": torch.tensor(history.loss)}


def empty_detector(
    channels: int, *, seed: int, bands: str = "diagonal", width: int = 16, state: dict[str, Tensor] | None = None
) -> FineBandCNN:
    """The untrained detector of a seed, or with ``state`` the one that `train_detector` returned, in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = FineBandCNN(channels, bands=bands, width=width)
    if state is not None:
        model.load_state_dict({name: value for name, value in state.items() if name != "loss"})
    return model.eval()


def logits(model: nn.Module, part: Tensor, *, crop: bool) -> Tensor:
    """Scores (n,) of pictures, uint8 (n, c, h, w), each seen as in `view`."""
    return train.predict(model, view(as_floats(part), crop=crop))


def energy(part: Tensor, *, crop: bool) -> Tensor:
    """Score pictures without a network: log mean square of the diagonal band of what a detector would see, (n,)."""
    found = transform(view(as_floats(part), crop=crop))["diagonal"]
    return found.square().mean((1, 2, 3)).clamp_min(1e-12).log()
