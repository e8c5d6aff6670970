"""How much a representation knows: linear probe, nearest neighbours, fine-tuning.

He et al. 2022, Masked Autoencoders (arXiv:2111.06377): the linear probe puts a batch normalisation without affine part
between frozen features and a linear classifier, fine-tuning trains everything. Nearest neighbours vote with weight
exp(similarity / temperature), as in Wu et al. 2018 (arXiv:1805.01978).

Differences: the linear classifier is the minimiser of its (slightly penalised) loss, found by L-BFGS on all rows at
once, instead of the state of a stochastic optimiser after so many epochs; nothing is augmented.

Conventions: every probe returns one value per test image and the protocol that made it; the statistics are made
elsewhere. Features are float (n, d), labels int64 (n,).
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from lib import train

MIN_SCALE = 1e-6  # a feature that varies less than this is constant


@dataclass(frozen=True)
class Probe:
    """What a probe found.

    Attributes
    ----------
    correct : bool Tensor (n,)
        Whether each test image got its own label.
    protocol : str
        What was done, for a table's foot.
    """

    correct: Tensor
    protocol: str

    @property
    def accuracy(self) -> float:
        """Share of test images that are right, in [0, 1]."""
        return float(self.correct.double().mean())


def standardised(reference: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """Give every feature mean 0 and variance 1 over the rows of ``reference``, and map ``others`` the same way.

    Parameters
    ----------
    reference, *others : Tensor (n, d)

    Returns
    -------
    tuple of Tensor, float64
        Constant features become 0 in the reference.
    """
    mean = reference.double().mean(dim=0)
    scale = reference.double().std(dim=0, correction=0)
    scale = torch.where(scale < MIN_SCALE, torch.ones_like(scale), scale)
    return tuple((part.double() - mean) / scale for part in (reference, *others))


def linear(
    features: Tensor,
    labels: Tensor,
    test_features: Tensor,
    test_labels: Tensor,
    *,
    penalty: float = 1e-3,
    iterations: int = 200,
) -> Probe:
    """Multinomial logistic regression on frozen, standardised features.

    Parameters
    ----------
    features, test_features : Tensor (n, d), (m, d)
    labels, test_labels : int64 Tensor (n,), (m,)
        Classes 0, 1, ….
    penalty : float
        Weight of half the squared norm of the coefficients, beside the mean cross-entropy, after decorrelating the
        features. Small values only keep separable data finite: without any, decorrelation would change nothing.
    iterations : int
        Upper limit for L-BFGS.

    Returns
    -------
    Probe

    Raises
    ------
    ValueError
        Lengths or widths that do not fit, or a test label that was never trained.
    """
    _check(features, labels, test_features, test_labels)
    logits = logistic(
        features, labels, test_features, classes=int(labels.max()) + 1, penalty=penalty, iterations=iterations
    )
    protocol = f"logistic regression on {len(features)} standardised rows, penalty {penalty:g}"
    return Probe(logits.argmax(dim=1) == test_labels, protocol)


def logistic(
    features: Tensor,
    labels: Tensor,
    test_features: Tensor,
    *,
    classes: int,
    penalty: float = 1e-3,
    iterations: int = 200,
) -> Tensor:
    """Fit the classifier of `linear` and say what it thinks of other rows.

    Parameters
    ----------
    features, test_features : Tensor (n, d), (m, d)
    labels : int64 Tensor (n,), or float Tensor (n, classes)
        Classes 0, 1, …; or shares of the classes, which add up to 1 in each row.
    classes : int
    penalty, iterations
        As in `linear`.

    Returns
    -------
    Tensor (m, classes), float64
        Logits of the test rows.
    """
    x, test = standardised(features, test_features)
    covariance = x.T @ x / len(x)
    values, axes = torch.linalg.eigh(covariance)
    known = values > values.max() * 1e-9
    turn = axes[:, known] / values[known].sqrt()  # (d, rank): the features decorrelated, for a well-conditioned fit
    goal = labels.to(x.dtype) if labels.is_floating_point() else labels
    weights = _minimum(x @ turn, goal, classes, penalty=penalty, iterations=iterations)
    return _logits(test @ turn, weights)


def knn(
    features: Tensor,
    labels: Tensor,
    test_features: Tensor,
    test_labels: Tensor,
    *,
    k: int = 20,
    temperature: float = 0.07,
) -> Probe:
    """Vote of the ``k`` nearest rows by cosine similarity of standardised features.

    Parameters
    ----------
    features, test_features : Tensor (n, d), (m, d)
    labels, test_labels : int64 Tensor (n,), (m,)
    k : int
        Neighbours, at most n.
    temperature : float
        A neighbour's weight is exp(similarity / temperature); a very large one counts heads.

    Returns
    -------
    Probe

    Raises
    ------
    ValueError
        As `linear`, or ``k`` out of range.
    """
    _check(features, labels, test_features, test_labels)
    if not 1 <= k <= len(features):
        raise ValueError(f"k must be in [1, {len(features)}], the number of labelled rows, got {k}")
    x, test = (functional.normalize(part, dim=1) for part in standardised(features, test_features))
    predicted = []
    for part in test.split(1024):  # bounds the similarity matrix
        near = (part @ x.T).topk(k, dim=1)  # (rows, k)
        weight = ((near.values - 1) / temperature).exp()
        votes = torch.zeros(len(part), int(labels.max()) + 1, dtype=weight.dtype, device=weight.device)
        predicted.append(votes.scatter_add(1, labels[near.indices], weight).argmax(dim=1))
    return Probe(torch.cat(predicted) == test_labels, f"{k} nearest of {len(x)} rows by cosine, tau {temperature:g}")


def fine_tune(
    encoder: nn.Module,
    images: Tensor,
    labels: Tensor,
    test_images: Tensor,
    test_labels: Tensor,
    *,
    epochs: int,
    lr: float,
    generator: torch.Generator,
    batch_size: int = 64,
) -> Probe:
    """Train a copy of the encoder with a linear classifier on top, all weights, by cross-entropy.

    Parameters
    ----------
    encoder : nn.Module
        Maps images to features (n, d); it is copied and stays as it was.
    images, test_images : Tensor (n, c, h, w), (m, c, h, w)
    labels, test_labels : int64 Tensor (n,), (m,)
    epochs, lr, batch_size
        See `lib.train.fit`.
    generator : torch.Generator
        Order of the images. The classifier starts at zero.

    Returns
    -------
    Probe

    Raises
    ------
    ValueError
        As `linear`.
    """
    _check(images, labels, test_images, test_labels)
    tuned = copy.deepcopy(encoder)
    width = train.predict(tuned, images[:1]).shape[1]
    head = nn.Linear(width, int(labels.max()) + 1)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    # a batch normalisation without affine part, as before the linear probe, makes rates comparable between encoders
    whole = nn.Sequential(tuned, nn.BatchNorm1d(width, affine=False), head)
    train.fit(
        whole, _cross_entropy, (images, labels), epochs=epochs, batch_size=batch_size, lr=lr, generator=generator,
        label="fine-tuning",
    )  # fmt: skip
    predicted = train.predict(whole, test_images).argmax(dim=1)
    return Probe(predicted == test_labels, f"all weights, {epochs} epochs over {len(images)} rows, peak rate {lr:g}")


def _cross_entropy(model: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
    return functional.cross_entropy(model(batch[0]), batch[1])


def _logits(x: Tensor, weights: Tensor) -> Tensor:
    return x @ weights[:-1] + weights[-1]  # the last row is the intercept


def _minimum(x: Tensor, labels: Tensor, classes: int, *, penalty: float, iterations: int) -> Tensor:
    """Minimise mean cross-entropy plus penalty by L-BFGS; returns (d + 1, classes), the intercept unpenalised."""
    weights = torch.zeros(x.shape[1] + 1, classes, dtype=x.dtype, device=x.device, requires_grad=True)
    search = torch.optim.LBFGS(
        [weights], max_iter=iterations, tolerance_grad=1e-6, tolerance_change=1e-10, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        search.zero_grad()
        value = functional.cross_entropy(_logits(x, weights), labels) + 0.5 * penalty * weights[:-1].square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        search.step(closure)
    return weights.detach()


def _check(x: Tensor, labels: Tensor, test: Tensor, test_labels: Tensor) -> None:
    if len(x) != len(labels) or len(test) != len(test_labels) or x.shape[1:] != test.shape[1:]:
        shapes = [tuple(part.shape) for part in (x, labels, test, test_labels)]
        raise ValueError(f"rows and labels must pair up and both sets have the same width, got shapes {shapes}")
    unseen = sorted(set(test_labels.tolist()) - set(labels.tolist()))
    if unseen:
        raise ValueError(f"test labels must occur among the training labels, got {unseen} besides; use more rows")
