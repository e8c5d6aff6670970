"""Two towers, one for images and one for text, that learn to agree on which report belongs to which film.

Radford et al. 2021, CLIP (arXiv:2103.00020): unit vectors of both towers, their cosines over a learnt temperature, and
a symmetric cross-entropy in which every image must find its text among those of the batch, and the other way round.
Pellegrini et al. 2023, Xplainer (arXiv:2303.13391): a finding is asked for by several descriptors, each against its
denial, and their log probabilities are averaged. Differences: words instead of byte pairs, a convolution over three
words instead of a transformer (Kim 2014, arXiv:1408.5882), which is as much context as "no pleural effusion" needs, and
an unknown word is an error instead of a token.

Conventions: tokens int64 (n, length), 0 = padding; embeddings float32 (n, d) of length 1; temperatures divide cosines.
Weights follow torch's global seed, as every torch layer does. All chance of a training is the caller's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Tokeniser", "TextTower", "TwoTower", "descriptor_scores", "feature_tower", "info_nce", "zero_shot"]

PAD = 0
CONTEXT = 3  # words that a filter of the text tower sees
COLDEST = 0.01  # lower limit of the learnt temperature, as in CLIP


class Tokeniser:
    """Words and punctuation to numbers, for a closed vocabulary.

    Parameters
    ----------
    words : sequence of str
        Lower-case words and marks, each once; the order gives the numbers, from 1.

    Raises
    ------
    ValueError
        If a word is repeated, or there is none.

    Examples
    --------
    >>> Tokeniser(["no", "effusion", "."]).encode(["Effusion.", "No effusion."]).tolist()
    [[2, 3, 0], [1, 2, 3]]
    """

    def __init__(self, words: Sequence[str]) -> None:
        if not words or len(set(words)) != len(words):
            raise ValueError(
                f"words must be given and differ, got {len(words)}, {len(set(words))} different; drop copies"
            )
        self.number = {word: i + 1 for i, word in enumerate(words)}
        self.size = len(words) + 1  # the padding included

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Tokens int64 (texts, longest), padded with 0.

        Raises
        ------
        ValueError
            For an unknown word, or a text without words.
        """
        rows = [self._numbers(text) for text in texts]
        longest = max((len(row) for row in rows), default=0)
        return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows], dtype=torch.int64).view(
            len(rows), longest
        )

    def _numbers(self, text: str) -> list[int]:
        words = re.findall(r"[a-z]+|[^\sa-z]", text.lower())
        unknown = sorted(set(words) - set(self.number))
        if unknown or not words:
            what = f"unknown words {', '.join(unknown)}" if unknown else "no word"
            raise ValueError(f"text must use words of the vocabulary, got {what} in {text!r}; add them or reword it")
        return [self.number[word] for word in words]


class TextTower(nn.Module):
    """Word vectors, one convolution over three words, maximum over the text, one linear layer.

    Parameters
    ----------
    size : int
        Of the vocabulary, the padding included (`Tokeniser.size`).
    n_out : int
        Length of an embedding.
    width : int
        Length of a word vector, and number of filters.

    Raises
    ------
    ValueError
        If a size is below 1, or below 2 for ``size``.

    Examples
    --------
    >>> TextTower(9, 4)(torch.tensor([[1, 2, 0]])).shape
    torch.Size([1, 4])
    """

    def __init__(self, size: int, n_out: int, *, width: int = 64) -> None:
        super().__init__()
        if size < 2 or n_out < 1 or width < 1:
            raise ValueError(f"size must be >= 2, n_out and width >= 1, got {size}, {n_out} and {width}; raise them")
        self.words = nn.Embedding(size, width, padding_idx=PAD)
        self.context = nn.Conv1d(width, width, CONTEXT, padding=CONTEXT // 2)
        self.out = nn.Linear(width, n_out)

    def forward(self, tokens: Tensor) -> Tensor:
        """Int64 (n, length) -> float (n, n_out), whatever padding stands at the end."""
        seen = functional.relu(self.context(self.words(tokens).transpose(1, 2)))  # (n, width, length)
        kept = (tokens != PAD)[:, None]  # (n, 1, length)
        return self.out(seen.masked_fill(~kept, 0.0).amax(2))  # after ReLU nothing lies below 0


def feature_tower(n_in: int, n_out: int, *, hidden: int = 0, dropout: float = 0.0) -> nn.Sequential:
    """An image tower above frozen features: float (n, n_in) -> (n, n_out).

    Parameters
    ----------
    n_in, n_out : int
        Features, and length of an embedding.
    hidden : int
        Units of one hidden layer; 0 = a linear map.
    dropout : float in [0, 1)
        Share of the features that is left out in training.

    Raises
    ------
    ValueError
        If a size is out of range.
    """
    if n_in < 1 or n_out < 1 or hidden < 0 or not 0 <= dropout < 1:
        raise ValueError(
            f"n_in and n_out must be >= 1, hidden >= 0 and dropout in [0, 1), got {n_in}, {n_out}, {hidden}, {dropout}"
        )
    layers = [nn.Linear(n_in, hidden), nn.GELU()] if hidden else []
    return nn.Sequential(nn.Dropout(dropout), *layers, nn.Linear(hidden or n_in, n_out))


class TwoTower(nn.Module):
    """Two towers and a learnt temperature.

    Parameters
    ----------
    image, text : nn.Module
        Any modules whose outputs are equally long: ``image(x) -> (n, d)``, ``text(tokens) -> (n, d)``.
    temperature : float
        First value of what cosines are divided by; learnt, never below 0.01.

    Raises
    ------
    ValueError
        If the temperature is below 0.01.

    Examples
    --------
    >>> model = TwoTower(feature_tower(6, 4), TextTower(9, 4))
    >>> model(torch.zeros(2, 6), torch.tensor([[1, 2], [3, 0]])).shape
    torch.Size([2, 2])
    """

    def __init__(self, image: nn.Module, text: nn.Module, *, temperature: float = 0.07) -> None:
        super().__init__()
        if not temperature >= COLDEST:
            raise ValueError(f"temperature must be at least {COLDEST}, got {temperature}; CLIP starts at 0.07")
        self.image, self.text = image, text
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))

    @property
    def temperature(self) -> float:
        """What cosines are divided by now."""
        return 1 / float(self._scale().detach())

    def embed_images(self, x: Tensor) -> Tensor:
        """Unit vectors of images, float (n, d)."""
        return functional.normalize(self.image(x), dim=1)

    def embed_texts(self, tokens: Tensor) -> Tensor:
        """Unit vectors of texts, int64 (n, length) -> float (n, d)."""
        return functional.normalize(self.text(tokens), dim=1)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """Cosines over the temperature, float (images, texts); the matching pairs stand on the diagonal."""
        return self._scale() * self.embed_images(x) @ self.embed_texts(tokens).T

    def _scale(self) -> Tensor:
        return self.log_scale.clamp(max=-math.log(COLDEST)).exp()


def info_nce(logits: Tensor) -> Tensor:
    """Symmetric cross-entropy of a batch whose pairs stand on the diagonal.

    Parameters
    ----------
    logits : Tensor
        Float (n, n), images in rows and texts in columns, as `TwoTower.forward` gives them.

    Returns
    -------
    Tensor
        Scalar, nats: 0 = every pair is found in both directions, log n = guessing. Two pairs with the same text
        count as each other's mistakes, as in CLIP.

    Raises
    ------
    ValueError
        If the matrix is not square.

    Source
    ------
    Radford et al. 2021, figure 3; van den Oord et al. 2018 (arXiv:1807.03748), equation 4, once for each direction.

    Examples
    --------
    >>> round(float(info_nce(torch.zeros(4, 4)).exp()), 4)
    4.0
    """
    if logits.ndim != 2 or logits.shape[0] != logits.shape[1]:
        raise ValueError(f"logits must be (n, n), pairs on the diagonal, got {tuple(logits.shape)}; pass a whole batch")
    goal = torch.arange(len(logits), device=logits.device)
    return (functional.cross_entropy(logits, goal) + functional.cross_entropy(logits.T, goal)) / 2


def descriptor_scores(images: Tensor, present: Tensor, absent: Tensor, *, temperature: float = 0.5) -> Tensor:
    """Log probability of every descriptor against its denial; the mean over descriptors scores the finding.

    Parameters
    ----------
    images : Tensor
        Embeddings float (n, d), as `TwoTower.embed_images` gives them.
    present, absent : Tensor
        Embeddings float (k, d) of the prompts that affirm and deny the descriptors.
    temperature : float, > 0
        Divides the cosines; 0.5 in Xplainer's public code.

    Returns
    -------
    Tensor
        Float (n, k), at most 0; log 0.5 = the film is as close to the denial.

    Raises
    ------
    ValueError
        For shapes that do not fit or a temperature that is not positive.

    Source
    ------
    Pellegrini et al. 2023 (arXiv:2303.13391): softmax over two cosines, logarithm, mean over descriptors.

    Examples
    --------
    >>> film = torch.tensor([[1.0, 0.0]])
    >>> descriptor_scores(film, film, -film, temperature=2.0).exp().round(decimals=3).tolist()
    [[0.7310000061988831]]
    """
    if present.ndim != 2 or present.shape != absent.shape or images.ndim != 2 or images.shape[1] != present.shape[1]:
        shapes = [tuple(part.shape) for part in (images, present, absent)]
        raise ValueError(f"images must be (n, d), present and absent both (k, d), got {shapes}; embed them alike")
    if not temperature > 0:
        raise ValueError(f"temperature must be > 0, got {temperature}; the smaller, the surer")
    return functional.logsigmoid(images @ (present - absent).T / temperature)


def zero_shot(images: Tensor, present: Tensor, absent: Tensor, *, temperature: float) -> Tensor:
    """Probability of a finding by one prompt that names it against one that denies it.

    Parameters
    ----------
    images : Tensor
        Embeddings float (n, d).
    present, absent : Tensor
        Embeddings float (1, d) of the two prompts, for instance "pneumothorax" and "no pneumothorax".
    temperature : float, > 0
        As a rule `TwoTower.temperature`. The order of images does not depend on it.

    Returns
    -------
    Tensor
        Float (n,) in [0, 1]: the softmax over the two cosines; 0.5 = no closer to either.

    Raises
    ------
    ValueError
        As `descriptor_scores`; for more than one pair of prompts.
    """
    if len(present) != 1:
        raise ValueError(f"present must hold one prompt, got {len(present)}; several belong in descriptor_scores")
    return descriptor_scores(images, present, absent, temperature=temperature)[:, 0].exp()
