"""A classifier with an evidential head: it says what it sees and how much evidence it has for it.

Paper: Sensoy et al. 2018, Evidential Deep Learning to Quantify Classification Uncertainty (arXiv:1806.01768): outputs
become evidence, evidence plus one the parameters alpha of a Dirichlet distribution over the class probabilities, and
K / sum(alpha) the uncertainty. The loss is the expected cross entropy, digamma(sum alpha) - digamma(alpha_label).

Differences: the head is one linear layer on the frozen features of a trained classifier, so that it judges the very
features whose prediction is explained; evidence is exp of the clamped output and there is no penalty on misplaced
evidence, both as in the public code of SMDL (arXiv:2402.09164).

Conventions: images float32 (n, channels, h, w) in [0, 1]. The arguments of `train_evidential` are literals, so that a
run can find a finished training again by them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lib.data import images as load_images
from lib.measure.classifiers import classifier, train_classifier
from lib.train import fit, predict

EXPONENT = 10.0  # outputs are clamped to plus or minus this before exp
HEAD_LR = 0.01  # peak learning rate of the head


class Evidential(nn.Module):
    """A classifier with features, and an evidential head on them.

    Parameters
    ----------
    model : nn.Module
        With ``features(images) -> (m, d)`` and ``head(features) -> logits (m, classes)``.
    head : nn.Linear
        Features to outputs whose exponentials are evidence.
    """

    def __init__(self, model: Any, head: nn.Linear) -> None:
        super().__init__()
        self.model, self.head = model, head

    def features(self, images: Tensor) -> Tensor:
        """Features (m, d) before the last layer."""
        return self.model.features(images)

    def evidence(self, images: Tensor) -> Tensor:
        """Outputs (m, classes) of the evidential head."""
        return self.head(self.features(images))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (m, classes) of the classifier."""
        return self.model(images)


def alphas(outputs: Tensor) -> Tensor:
    """Dirichlet parameters (n, classes), above 1, of evidential outputs (n, classes).

    Examples
    --------
    >>> alphas(torch.zeros(1, 3))
    tensor([[2., 2., 2.]])
    """
    return outputs.clamp(-EXPONENT, EXPONENT).exp() + 1


def expected_cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy averaged over the Dirichlet distribution that the outputs describe, one value per image.

    Parameters
    ----------
    outputs : Tensor, float32 (n, classes)
    labels : Tensor, int64 (n,)

    Returns
    -------
    Tensor, float32 (n,), >= 0
        0 = certain and right.

    Source
    ------
    Sensoy et al. 2018, arXiv:1806.01768, equation 4.
    """
    alpha = alphas(outputs)
    own = alpha.gather(1, labels[:, None])[:, 0]
    return torch.digamma(alpha.sum(1)) - torch.digamma(own)


def _loss(model: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
    features, labels = batch
    return expected_cross_entropy(model(features), labels).mean()


def train_evidential(
    *,
    dataset: str,
    n_images: int,
    epochs: int,
    seed: int,
    width: int = 8,
    batch_size: int = 128,
    lr: float = 0.01,
    head_epochs: int = 20,
    device: str = "cpu",
) -> dict[str, Tensor]:
    """Train a small classifier, then its evidential head on the same images.

    Parameters
    ----------
    dataset, n_images, epochs, seed, width, batch_size, lr, device
        As in `lib.measure.classifiers.train_classifier`.
    head_epochs : int
        Passes over the images' features, which are computed once.

    Returns
    -------
    dict of Tensor
        Weights on the CPU, for `evidential`.

    Raises
    ------
    ValueError
        If the data set is unknown or a size is out of range.
    """
    state = train_classifier(
        dataset=dataset, n_images=n_images, epochs=epochs, seed=seed, width=width, batch_size=batch_size, lr=lr,
        device=device,
    )  # fmt: skip
    model: Any = classifier(state, device=device)
    data = load_images(dataset, split="train", n=n_images, seed=seed)
    features = predict(model.features, data.x.to(device))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = nn.Linear(features.shape[1], len(data.classes)).to(device)
    fit(
        head, _loss, (features, data.y.to(device)), epochs=head_epochs, batch_size=batch_size, lr=HEAD_LR,
        generator=torch.Generator().manual_seed(seed), label=f"evidence {seed}",
    )  # fmt: skip
    found = {f"evidence.{name}": value.detach().cpu().clone() for name, value in head.state_dict().items()}
    return state | found


def evidential(state: dict[str, Tensor], *, device: torch.device | str = "cpu") -> Evidential:
    """Rebuild a classifier with its evidential head, frozen and in evaluation mode.

    Parameters
    ----------
    state : dict of Tensor
        From `train_evidential`.
    """
    weight, bias = state["evidence.weight"], state["evidence.bias"]
    head = nn.Linear(weight.shape[1], weight.shape[0])
    head.load_state_dict({"weight": weight, "bias": bias})
    inner = classifier({name: value for name, value in state.items() if not name.startswith("evidence.")})
    return Evidential(inner, head).requires_grad_(False).eval().to(device)
