"""Defects by reconstruction: hide patches, restore them with a U-Net that has seen normal images only, compare.

Papers: Park et al. 2023, EAR (arXiv:2310.04010): one deterministic mask of what is salient, a mosaic as a hint;
Zavrtanik et al. 2021, RIAD (doi:10.1016/j.patcog.2020.107706): random disjoint masks, several passes; Park et al. 2024,
FADeR (arXiv:2407.04597): learnt attenuation of skip connections.

Differences: saliency from `lib.masks.distinct` instead of a pretrained DINO-ViT's attention; a small U-Net that is told
neither the mask nor the fill; the mean absolute error of the whole image as the loss and, smoothed, as the map of
suspicion, the same in all arms; one size of patch. EAR's threshold, mosaic scale and error, and how FADeR turns errors
into targets, were not in the text we could read. Here a perceptron learns to name, from a patch's skip maps, the
``MINED`` share of normal patches that the network restores worst when they are hidden.

Conventions: images float (n, 1, h, w) in [0, 1]; ``hidden`` is a token mask of `lib.masks.contract`; maps of suspicion
are float (n, h, w), higher = more suspicious. Runs of one seed share images, order and first weights.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib import masks, train
from lib.data import defects
from lib.masks import distinct, partition
from lib.models.attenuation import Attenuation
from lib.models.targets import patches
from lib.models.unet import UNet

HIDING = ("nothing", "random", "salient")
FILLS = ("empty", "mosaic")
SMOOTH = 5  # px, side of the mean filter over an error map
MINED = 0.1  # share of normal patches that the attenuation learns to name
Attenuate = Callable[[int, Tensor], Tensor]


@dataclass(frozen=True)
class Recipe:
    """What an arm hides and what it puts there.

    Attributes
    ----------
    hiding : {"nothing", "random", "salient"}
        No mask; ``sets`` random disjoint masks; one mask of the most distinct patches.
    fill : {"empty", "mosaic"}
        Zeros, or the mean of every ``cell`` x ``cell`` px.
    patch, cell : int
        Sides in px.
    sets : int
        Random masks for an image; the single mask hides one ``sets``-th of the patches.
    """

    hiding: str
    fill: str
    patch: int
    sets: int
    cell: int

    def __post_init__(self) -> None:
        if self.hiding not in HIDING:
            raise ValueError(f"hiding must be one of {', '.join(HIDING)}, got {self.hiding!r}")
        if self.fill not in FILLS:
            raise ValueError(f"fill must be one of {', '.join(FILLS)}, got {self.fill!r}")

    def grid(self, images: Tensor) -> tuple[int, int]:
        """Patches down and across."""
        return images.shape[2] // self.patch, images.shape[3] // self.patch

    def salient(self, images: Tensor) -> Tensor:
        """The single mask, bool (n, tokens)."""
        return masks.salient(distinct.distinctness(images, patch=self.patch), ratio=1 / self.sets)

    def filled(self, images: Tensor, hidden: Tensor) -> Tensor:
        """The images with what is hidden replaced."""
        pixels = masks.to_pixels(hidden, self.grid(images), (images.shape[2], images.shape[3]))
        if self.fill == "mosaic":
            return masks.mosaic(images, pixels, cell=self.cell)
        return images.masked_fill(pixels[:, None], 0.0)


def train_inpainting(
    category: str,
    *,
    source: str,
    seed: int,
    hiding: str,
    fill: str,
    patch: int,
    sets: int,
    cell: int,
    n_images: int,
    epochs: int,
    width: int,
    batch_size: int,
    lr: float,
    device: str = "cpu",
    attenuation_epochs: int = 0,
    checkpoint: str | None = None,
) -> dict[str, Tensor]:
    """Train a U-Net to restore normal images of one category, and after it, if asked for, its attenuation.

    Parameters
    ----------
    category, source
        As in `lib.data.defects.training`.
    seed : int
        Of the images, the first weights, their order and the random masks.
    hiding, fill, patch, sets, cell
        See `Recipe`.
    n_images, epochs, batch_size, lr, checkpoint
        Normal images, passes over them, and `lib.train.fit`'s options.
    width : int
        Channels of the U-Net at full resolution.
    device : str
    attenuation_epochs : int
        Passes in which the attenuation learns, the network frozen; 0 = it stays as it starts.

    Returns
    -------
    dict of str to Tensor
        States of the network ("net.…") and of its attenuation ("attenuation.…"), and "loss", the mean absolute error
        of each epoch (epochs,).

    Raises
    ------
    ValueError
        An unknown arm; sizes that do not fit.
    """
    recipe = Recipe(hiding, fill, patch, sets, cell)
    net, attenuation = empty(width=width, patch=patch, seed=seed)
    images = defects.training(category, n_images, source=source, seed=seed).to(device)
    hidden = recipe.salient(images)  # the same in every epoch; random masks are drawn anew
    history = train.fit(
        net, inpainting_loss(recipe), (images, hidden), epochs=epochs, batch_size=batch_size, lr=lr,
        generator=torch.Generator().manual_seed(seed + 1), checkpoint=checkpoint,
        label=f"{category}, {hiding} {fill}, seed {seed}",
    )  # fmt: skip
    if attenuation_epochs:
        fit_attenuation(net, attenuation, images, recipe, epochs=attenuation_epochs, seed=seed)
    state = {f"net.{name}": value for name, value in net.state_dict().items()}
    state |= {f"attenuation.{name}": value for name, value in attenuation.state_dict().items()}
    return state | {"loss": torch.tensor(history.loss)}


def empty(*, width: int, patch: int, seed: int) -> tuple[UNet, Attenuation]:
    """Build the untrained network and attenuation that `train_inpainting` starts from."""
    generator = torch.Generator().manual_seed(seed)
    net = UNet(1, width=width, generator=generator)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a quarter faster on a CPU
    side = defects.SIDE // patch
    return net, Attenuation(net.skip_channels, grid=(side, side), generator=generator)


def loaded(state: dict[str, Tensor], *, width: int, patch: int) -> tuple[UNet, Attenuation]:
    """Rebuild what `train_inpainting` returned the state of, in eval mode."""
    net, attenuation = empty(width=width, patch=patch, seed=0)
    for name, module in (("net.", net), ("attenuation.", attenuation)):
        module.load_state_dict({key.removeprefix(name): value for key, value in state.items() if key.startswith(name)})
        module.eval().requires_grad_(False)
    return net, attenuation


def inpainting_loss(recipe: Recipe) -> train.Loss:
    """A loss for `lib.train.fit` over (images, salient masks): mean absolute error of the whole restored image."""

    def loss(net: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        images, hidden = batch
        if recipe.hiding == "nothing":
            return functional.l1_loss(net(images), images)
        if recipe.hiding == "random":
            ratio, grid = 1 / recipe.sets, recipe.grid(images)
            hidden = masks.random(len(images), grid, ratio=ratio, generator=generator).to(images.device)
        return functional.l1_loss(net(recipe.filled(images, hidden)), images)

    return loss


def fit_attenuation(
    net: UNet, attenuation: Attenuation, images: Tensor, recipe: Recipe, *, epochs: int, seed: int
) -> None:
    """Teach the attenuation, in place, which normal patches the network restores worst.

    Parameters
    ----------
    net : UNet
        Trained; stays as it is.
    attenuation : Attenuation
    images : float Tensor (n, 1, h, w)
        Normal ones.
    recipe : Recipe
        Of ``net``.
    epochs, seed : int
        Passes, and the seed of the masks and the order.
    """
    generator = torch.Generator().manual_seed(seed + 2)
    error = hidden_errors(net, images, recipe, generator=generator)  # (n, tokens)
    wrong = (error > error.flatten().quantile(1 - MINED)).float()
    with torch.no_grad():
        skips, _ = net.encode(recipe.filled(images, recipe.salient(images)))
        means = [attenuation.means(skip) for skip in skips]

    def loss(perceptrons: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        named = [functional.binary_cross_entropy_with_logits(part, batch[0]) for part in perceptrons(*batch[1:])]
        return torch.stack(named).mean()

    attenuation.perceptrons.to(images.device)
    train.fit(
        attenuation.perceptrons, loss, (wrong, *means), epochs=epochs, batch_size=64, lr=1e-2, generator=generator
    )


@torch.no_grad()
def hidden_errors(net: UNet, images: Tensor, recipe: Recipe, *, generator: torch.Generator) -> Tensor:
    """Mean absolute error of every patch when it is hidden, by random disjoint masks: float (n, tokens)."""
    total = torch.zeros(len(images), 1, device=images.device)
    for hidden in partition.deal(len(images), recipe.grid(images), sets=recipe.sets, generator=generator):
        there = hidden.to(images.device)
        wrong = patches((net(recipe.filled(images, there)) - images).abs(), recipe.patch).mean(dim=2)
        total = total + wrong * there
    return total


@torch.no_grad()
def restore(
    net: nn.Module,
    images: Tensor,
    recipe: Recipe,
    *,
    generator: torch.Generator | None = None,
    hidden: Tensor | None = None,
    attenuate: Attenuate | None = None,
) -> Tensor:
    """Restore images as an arm does at test time.

    Parameters
    ----------
    net : UNet
        In eval mode.
    images : float Tensor (n, 1, h, w)
    recipe : Recipe
        "random" puts together the hidden patches of ``sets`` passes; the others are one pass.
    generator : torch.Generator, optional
        Of the random masks; needed by "random".
    hidden : bool Tensor (n, tokens), optional
        The single mask; by default what is salient.
    attenuate : callable, optional
        See `lib.models.unet.UNet.forward`.

    Returns
    -------
    float Tensor (n, 1, h, w)
        Not clipped.

    Raises
    ------
    ValueError
        Random masks without a generator.
    """
    if recipe.hiding == "nothing":
        return net(images, attenuate=attenuate)
    if recipe.hiding == "salient":
        return net(recipe.filled(images, recipe.salient(images) if hidden is None else hidden), attenuate=attenuate)
    if generator is None:
        raise ValueError("generator must be given for random masks, got None; pass a torch.Generator")
    grid, size, result = recipe.grid(images), (images.shape[2], images.shape[3]), torch.zeros_like(images)
    for chosen in partition.deal(len(images), grid, sets=recipe.sets, generator=generator).to(images.device):
        part = net(recipe.filled(images, chosen), attenuate=attenuate)
        result = torch.where(masks.to_pixels(chosen, grid, size)[:, None], part, result)
    return result


def suspicion(images: Tensor, restored: Tensor) -> Tensor:
    """Absolute error, mean over channels, smoothed by a mean filter of ``SMOOTH`` px: float (n, h, w)."""
    error = (images - restored).abs().mean(dim=1, keepdim=True)
    smooth = functional.avg_pool2d(error, SMOOTH, stride=1, padding=SMOOTH // 2, count_include_pad=False)
    return smooth.squeeze(1)


def saliency_map(images: Tensor, recipe: Recipe) -> Tensor:
    """The saliency that chooses the single mask, as a map of suspicion (n, h, w): a control without any network."""
    saliency = distinct.distinctness(images, patch=recipe.patch).view(-1, *recipe.grid(images))
    return saliency.repeat_interleave(recipe.patch, 1).repeat_interleave(recipe.patch, 2)


def stands_out(maps: Tensor, truth: Tensor, hidden: Tensor, grid: tuple[int, int]) -> dict[str, float]:
    """How far defects stand out, apart for what a mask hides and what it leaves visible.

    Parameters
    ----------
    maps : float Tensor (n, h, w)
    truth : bool Tensor (n, h, w)
        True = defect.
    hidden : bool Tensor (n, tokens)
    grid : (int, int)
        Patches down and across.

    Returns
    -------
    dict of str to float
        For "hidden" and "visible": mean of the map over defective pixels, over its mean over normal pixels, both in
        this part. 1 = defects look like the rest.
    """
    under = masks.to_pixels(hidden, grid, (truth.shape[1], truth.shape[2]))
    parts = {"hidden": under, "visible": ~under}
    return {name: float(maps[part & truth].mean() / maps[part & ~truth].mean()) for name, part in parts.items()}


def covered(hidden: Tensor, truth: Tensor, grid: tuple[int, int]) -> Tensor:
    """Share of each defect that lies under a mask.

    Parameters
    ----------
    hidden : bool Tensor (n, tokens)
    truth : bool Tensor (n, h, w)
        True = defect; images without one are left out.
    grid : (int, int)
        Patches down and across.

    Returns
    -------
    float64 Tensor (defective images,), in [0, 1]
    """
    hurt = truth.flatten(1).any(dim=1)
    under = masks.to_pixels(hidden, grid, (truth.shape[1], truth.shape[2])) & truth
    return under[hurt].sum(dim=(1, 2)).double() / truth[hurt].sum(dim=(1, 2))


def told(images: Tensor, truth: Tensor, recipe: Recipe) -> Tensor:
    """The single mask of a saliency that knows the defects: their patches first, then what is salient, (n, tokens)."""
    saliency = distinct.distinctness(images, patch=recipe.patch)
    share = patches(truth[:, None].float(), recipe.patch).mean(dim=2)
    return masks.salient(saliency + (1 + saliency.max()) * (share > 0) + share, ratio=1 / recipe.sets)


def evenly(net: UNet, attenuation: Attenuation, inputs: Tensor) -> Attenuate:
    """A control: attenuate every patch alike, at each level by the mean of what ``attenuation`` does to ``inputs``."""
    with torch.no_grad():
        skips, _ = net.encode(inputs)
        mean = [float(attenuation.shares(level, skip).mean()) for level, skip in enumerate(skips)]
    return lambda level, skip: skip * (1 - mean[level])


@contextlib.contextmanager
def counting(net: nn.Module) -> Iterator[list[int]]:
    """Collect the number of images in every pass through ``net`` within the block; their sum is the work done."""
    seen: list[int] = []
    handle = net.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    try:
        yield seen
    finally:
        handle.remove()
