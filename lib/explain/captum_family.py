"""Methods that captum has, behind the contract of this package: guided backprop, deconvolution, LRP, gradient SHAP.

Papers: Springenberg et al. 2015 (arXiv:1412.6806, guided backprop), Zeiler & Fergus 2014 (arXiv:1311.2901,
deconvolution and ablation), Bach et al. 2015 (layer-wise relevance propagation, epsilon rule), Lundberg & Lee 2017
(arXiv:1705.07874, gradient SHAP: expected gradients over references, points of the path and noise).

Differences: captum computes guided backprop, deconvolution and LRP, here in pieces of ``max_batch`` images. Its
gradient SHAP sends all samples through the model at once and takes no generator, so gradient SHAP is written here, as
is ablation, on this package's features; captum is the oracle of the tests. Where a rule would silently do nothing,
because the model has no ReLU module, that is an error.

Conventions: see `lib.explain`; signed maps, channels summed. Explain logits.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from lib.explain import Score, check_inputs, need_generator
from lib.explain.deeplift import need_module, reference
from lib.explain.features import each, gated, pixels, spread
from lib.explain.gradients import gradient
from lib.explain.queries import fill_values, masked_scores


def guided_backprop(
    score: Score, images: Tensor, target: Tensor, *, generator: torch.Generator | None = None, max_batch: int = 128
) -> Tensor:
    """Gradient in which every ReLU lets only positive gradients of active units pass.

    Parameters
    ----------
    score : nn.Module
        Its ReLUs are modules; functional ones are not seen.
    images, target, generator, max_batch
        As `lib.explain.gradients.saliency`.

    Returns
    -------
    Tensor, float32 (n, h, w)
        Signed, channels summed. Depends little on the class: see `lib.measure.sanity`.

    Raises
    ------
    ValueError
        If ``score`` is no module or has no ReLU, or shapes do not fit together.

    Source
    ------
    arXiv:1412.6806; captum.attr.GuidedBackprop.
    """
    from captum.attr import GuidedBackprop

    return _through_relu(GuidedBackprop, "guided_backprop", score, images, target, max_batch)


def deconvolution(
    score: Score, images: Tensor, target: Tensor, *, generator: torch.Generator | None = None, max_batch: int = 128
) -> Tensor:
    """Gradient in which every ReLU lets positive gradients pass, active or not; everything else as `guided_backprop`.

    Source: Zeiler & Fergus 2014, arXiv:1311.2901; captum.attr.Deconvolution.
    """
    from captum.attr import Deconvolution

    return _through_relu(Deconvolution, "deconvolution", score, images, target, max_batch)


def lrp_epsilon(
    score: Score, images: Tensor, target: Tensor, *, generator: torch.Generator | None = None, max_batch: int = 128
) -> Tensor:
    """Layer-wise relevance propagation by the epsilon rule in every layer.

    Parameters
    ----------
    score : nn.Module
        Of Linear, Conv2d, pooling, BatchNorm2d, Flatten, ReLU, Tanh and Dropout modules, each used once.
    images, target, generator, max_batch
        As `lib.explain.gradients.saliency`.

    Returns
    -------
    Tensor, float32 (n, h, w)
        Signed; without offsets in the layers it sums to the score, otherwise offsets keep a share.

    Raises
    ------
    ValueError
        If ``score`` is no module or has a layer without a rule, or shapes do not fit together.

    Source
    ------
    Bach et al. 2015, PLOS ONE 10(7), e0130140; captum.attr.LRP.
    """
    check_inputs(images, target, max_batch)
    from captum.attr import LRP
    from captum.attr._utils.lrp_rules import EpsilonRule

    model = need_module(score, "lrp_epsilon")
    method, pieces = LRP(model), []
    passing = [part for part in model.modules() if isinstance(part, nn.Flatten | nn.Identity)]
    for piece, classes in zip(images.split(max_batch), target.split(max_batch), strict=True):
        for part in passing:
            part.rule = EpsilonRule()  # captum has no rule for these; it takes the attribute off again
        try:
            found = method.attribute(piece.detach().clone().requires_grad_(True), target=classes)
        except TypeError as error:
            raise ValueError(f"score must consist of layers with a rule for lrp_epsilon: {error}") from error
        pieces.append(found.detach().sum(1))
    return torch.cat(pieces).float()


def gradient_shap(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    generator: torch.Generator | None,
    max_batch: int = 128,
    baselines: Tensor | float = 0.0,
    n_samples: int = 16,
    noise: float = 0.0,
) -> Tensor:
    """Gradient at random points between references and the image, times their difference, averaged.

    Parameters
    ----------
    score, images, target
        As `lib.explain.gradients.saliency`.
    generator : torch.Generator
        On the CPU; draws reference, point and noise of each sample in the same order for every ``max_batch``.
    max_batch : int, images
    baselines : Tensor (k, c, h, w), or float, [0, 1]
        References, drawn with equal chance; training images, or a number for one flat reference.
    n_samples : int
        Samples per image; the error falls with their square root.
    noise : float, >= 0
        Standard deviation of noise added to the image, in the images' unit.

    Returns
    -------
    Tensor, float32 (n, h, w)
        Signed; in expectation it sums to the score minus the mean score of the references.

    Raises
    ------
    ValueError
        If ``generator`` is missing, a number is out of range, or shapes do not fit together.

    Source
    ------
    arXiv:1705.07874; captum.attr.GradientShap.
    """
    check_inputs(images, target, max_batch)
    generator = need_generator(generator, "gradient_shap")
    if n_samples < 1 or noise < 0:
        raise ValueError(
            f"n_samples must be at least 1 and noise at least 0, got {n_samples} and {noise}; try 16 and 0"
        )
    if isinstance(baselines, Tensor) and baselines.shape[1:] != images.shape[1:]:
        raise ValueError(
            f"baselines must be (k, {', '.join(map(str, images.shape[1:]))}), got {tuple(baselines.shape)}"
        )
    pool = baselines.to(images) if isinstance(baselines, Tensor) else reference(baselines, images[:1])
    total = torch.zeros(len(images), *images.shape[2:], dtype=torch.float64, device=images.device)
    together = max(1, max_batch // len(images))  # samples per call, so that few images still fill a batch
    for first in range(0, n_samples, together):
        ways, points = [], []
        for _ in range(min(together, n_samples - first)):
            chosen = torch.randint(len(pool), (len(images),), generator=generator)
            alpha = torch.rand(len(images), 1, 1, 1, generator=generator).to(images)
            shaken = (
                images if noise == 0 else images + noise * torch.randn(images.shape, generator=generator).to(images)
            )
            start = pool[chosen.to(pool.device)]
            ways.append(shaken - start)
            points.append(start + alpha * ways[-1])
        slopes = gradient(score, torch.cat(points), target.repeat(len(points)), max_batch)
        total += (torch.cat(ways) * slopes).sum(1).view(len(points), *total.shape).sum(0)
    return (total / n_samples).float()


def feature_ablation(
    score: Score,
    images: Tensor,
    target: Tensor,
    *,
    generator: torch.Generator | None = None,
    max_batch: int = 128,
    features: Tensor | None = None,
    fill: Tensor | float = 0.0,
) -> Tensor:
    """Fall of the score when one feature is replaced, for each feature in turn.

    Parameters
    ----------
    score, images, target, generator, max_batch
        As `lib.explain.gradients.saliency`.
    features : Tensor, int64 (h, w) or (n, h, w), optional
        Groups of pixels, see `lib.explain.features`; every pixel by default.
    fill : Tensor (c,) or (c, h, w), or float
        What stands in place of a feature.

    Returns
    -------
    Tensor, float32 (n, h, w)
        Signed; all pixels of a feature carry its value, undivided. 0 = the score does not miss the feature.

    Raises
    ------
    ValueError
        If shapes do not fit together.

    Source
    ------
    Zeiler & Fergus 2014, arXiv:1311.2901; captum.attr.FeatureAblation.
    """
    check_inputs(images, target, max_batch)
    size = (int(images.shape[2]), int(images.shape[3]))
    groups, values = each(pixels(size) if features is None else features, images), fill_values(fill, images)
    maps = []
    for image, label, group in zip(images, target.tolist(), groups, strict=True):
        count = int(group.max()) + 1
        falls = []
        whole = masked_scores(score, image, label, torch.ones(1, *size).to(image), values, max_batch)
        for first in range(0, count, max_batch):
            gone = torch.arange(first, min(first + max_batch, count), device=image.device)
            gates = (torch.arange(count, device=image.device) != gone[:, None]).to(image)  # (m, count)
            falls.append(whole - masked_scores(score, image, label, gated(gates, group), values, max_batch))
        maps.append(spread(torch.cat(falls), group))
    return torch.stack(maps).float()


def _through_relu(kind: type, method: str, score: Score, images: Tensor, target: Tensor, max_batch: int) -> Tensor:
    """Run a captum method that replaces the gradient of ReLU modules, in pieces."""
    check_inputs(images, target, max_batch)
    model = need_module(score, method)
    if not any(isinstance(part, nn.ReLU) for part in model.modules()):
        raise ValueError(
            f"score must have nn.ReLU modules for {method}, got none; without them it is the plain gradient"
        )
    explainer, pieces = kind(model), []
    for part, classes in zip(images.split(max_batch), target.split(max_batch), strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # captum announces its hooks on every call
            found = explainer.attribute(part.detach().clone(), target=classes)
        pieces.append(found.detach().sum(1))
    return torch.cat(pieces).float()
