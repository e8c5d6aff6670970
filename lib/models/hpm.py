"""Hard patches mining: a masked autoencoder that also predicts where it will fail, and a slow teacher that says so.

Wang et al. 2023, HPM (arXiv:2304.05919): a second decoder predicts the reconstruction loss of each patch, trained to
rank hidden patches by pairs (or to match their standardised losses); an exponential moving average of the whole network
looks at whole images, and its predictions choose what is hidden next (`lib.masks.hard`).

Differences: the predictor's head has one output per patch, where the public code averages as many as the patch has
pixels; cross-entropies are exact where that code adds 1e-6 inside the logarithm; no class token. As in that code,
the predictor is trained on masked images and asked about whole ones, and its loss also trains the encoder.

Conventions: as in `lib.models.mae`. The ranking loss of a pair is -log sigmoid(s_j - s_i) where j has the larger loss,
which is log(exp s_i + exp s_j) - s_j: the first part knows no order, so half of all pairs is enough.
"""

import copy

import torch
from torch import Tensor, nn

from lib.models.mae import MAE, initialise
from lib.models.timm_parts import vit_block

VARIANCE_EPS = 1e-6
ROWS = 32  # images whose pairs are in memory at a time


class LossPredictor(nn.Module):
    """A masked autoencoder with a second decoder beside its own.

    Parameters
    ----------
    model : MAE
        Becomes a part of this module.
    depth, heads : int
        Blocks and attention heads of the second decoder; it is as wide as the first.
    generator : torch.Generator, optional
        Draws the second decoder's weights.
    """

    def __init__(self, model: MAE, *, depth: int, heads: int, generator: torch.Generator | None) -> None:
        super().__init__()
        width = model.decoder_head.in_features
        self.guess_blocks = nn.ModuleList(vit_block(width, heads) for _ in range(depth))
        self.guess_norm = nn.LayerNorm(width)
        self.guess_head = nn.Linear(width, 1)
        initialise(self, generator)
        self.mae = model

    def forward(self, images: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Predict every patch (n, tokens, d) and, in some monotone unit, its loss (n, tokens)."""
        canvas = self.mae.canvas(images, hidden)
        return self.mae.decode(canvas), self.guess(canvas)

    def guess(self, canvas: Tensor) -> Tensor:
        """Predicted losses (n, tokens), float32, from a canvas of the autoencoder."""
        for block in self.guess_blocks:
            canvas = block(canvas)
        return self.guess_head(self.guess_norm(canvas)).squeeze(-1).float()


class HPM(nn.Module):
    """A student that is trained and a teacher that follows it slowly and says what is hard.

    Parameters
    ----------
    model : MAE
        The student's autoencoder.
    depth, heads : int
        Blocks and attention heads of the loss predictor; the paper takes as many as the decoder has.
    generator : torch.Generator, optional
        Draws the loss predictor's weights; without it they follow torch's global seed.

    Attributes
    ----------
    steps : int64 Tensor ()
        How often the teacher followed; part of the state, so that a resumed training goes on with its schedule.
    """

    def __init__(self, model: MAE, *, depth: int = 1, heads: int = 4, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.student = LossPredictor(model, depth=depth, heads=heads, generator=generator)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.steps: Tensor

    @property
    def mae(self) -> MAE:
        """The student's autoencoder."""
        return self.student.mae

    def encode(self, images: Tensor) -> Tensor:
        """Features of whole images (n, width), nothing hidden, from the student."""
        return self.mae.encode(images)

    def encode_tokens(self, images: Tensor) -> Tensor:
        """Features of every patch of whole images (n, tokens, width), nothing hidden, from the student."""
        return self.mae.encode_tokens(images)

    def forward(self, images: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Let the student predict every patch and its loss: (n, tokens, d) and (n, tokens); see `MAE.forward`."""
        return self.student(images, hidden)

    @torch.no_grad()
    def difficulty(self, images: Tensor) -> Tensor:
        """Losses that the teacher expects, seeing whole images: float32 (n, tokens); only their order has a meaning."""
        nothing = torch.zeros(len(images), self.mae.tokens, dtype=torch.bool, device=images.device)
        return self.teacher.guess(self.teacher.mae.canvas(images, nothing))

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """Move the teacher: ``decay`` of itself, the rest from the student; 1 = it stays, 0 = it copies."""
        for slow, fast in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
            slow.lerp_(fast, 1 - decay)
        self.steps += 1


def ema_decay(epoch: int, *, start: float = 0.999, end: float = 0.9999, rising: int = 100) -> float:
    """Decay of the teacher in an epoch, counted from 0: linear from ``start`` to ``end``, then constant.

    Parameters
    ----------
    epoch : int
    start, end : float in [0, 1]
        A teacher with decay d remembers about 1 / (1 - d) steps; the paper's values suit hundreds of thousands of
        steps, a training of one thousand would be over before the teacher has left its initial weights.
    rising : int
        Epochs until ``end``; 0 = ``end`` at once.

    Returns
    -------
    float in [0, 1]

    Raises
    ------
    ValueError
        A decay out of range.

    Examples
    --------
    >>> [round(ema_decay(epoch, rising=2), 5) for epoch in range(4)]
    [0.999, 0.99945, 0.9999, 0.9999]
    """
    if not (0 <= start <= 1 and 0 <= end <= 1):
        raise ValueError(f"start and end must be in [0, 1], got {start:g} and {end:g}; 0.99 remembers 100 steps")
    return end if epoch >= rising else start + epoch / rising * (end - start)


def relative_loss(predicted: Tensor, losses: Tensor) -> Tensor:
    """Binary cross-entropy of which patch of a pair has the larger loss, mean over all pairs of an image's patches.

    Parameters
    ----------
    predicted : Tensor (n, hidden), float
        Predicted losses of the hidden patches; only differences within an image count. They may lie at most 170 apart.
    losses : Tensor (n, hidden)
        True losses; no gradient flows into them. Pairs that tie are left out.

    Returns
    -------
    Tensor ()
        log 2 = no better than a coin, 0 = every pair in the right order with certainty (or no pair to order).

    Raises
    ------
    ValueError
        The shapes differ.

    Source
    ------
    arXiv:2304.05919, relative loss. Memory: half a matrix of pairs for 32 images at a time.
    """
    _check(predicted, losses)
    n, hidden = predicted.shape
    ranked, order = losses.detach().sort(dim=1)
    scores = predicted.gather(1, order)  # from easy to hard
    low, high = scores.detach().aminmax(dim=1, keepdim=True)
    scores = scores - (low + high) / 2  # keeps the exponentials in range
    powers, half = scores.exp(), hidden // 2
    sums = [_pair_sums(part, half).log().sum(dim=2) for part in powers.split(ROWS)]
    total = torch.cat(sums).double().sum() - (scores.double() * torch.arange(hidden, device=scores.device)).sum()
    if hidden % 2 == 0:  # half-way round, both ends of a pair see each other
        total = total - (powers[:, :half] + powers[:, half:]).log().sum(dtype=torch.float64)
    count = n * hidden * (hidden - 1) // 2
    for apart in range(1, hidden):  # ties lie together; as a rule there are none
        tied = ranked[:, apart:] == ranked[:, :-apart]
        if not tied.any():
            break
        pair = (powers[:, apart:] + powers[:, :-apart]).log() - scores[:, apart:].double()
        total, count = total - pair[tied].sum(), count - int(tied.sum())
    return (total / count if count else 0 * total).float()


def _pair_sums(powers: Tensor, half: int) -> Tensor:
    """Each patch's value plus those of the next ``half`` patches, round the end: (n, hidden, half)."""
    ring = torch.cat([powers, powers[:, :half]], dim=1)
    return ring.unfold(1, half + 1, 1)[..., 1:] + powers.unsqueeze(-1)


def absolute_loss(predicted: Tensor, losses: Tensor) -> Tensor:
    """Mean squared error between predictions and true losses standardised image by image.

    Parameters
    ----------
    predicted, losses : Tensor (n, hidden)
        As in `relative_loss`, with more than one patch.

    Returns
    -------
    Tensor ()
        0 = perfect, about 1 = no better than predicting zero.

    Raises
    ------
    ValueError
        The shapes differ.

    Source
    ------
    arXiv:2304.05919, absolute loss; the variance is unbiased, as in its public code.
    """
    _check(predicted, losses)
    variance, mean = torch.var_mean(losses.detach(), dim=1, keepdim=True)
    return (predicted - (losses.detach() - mean) / (variance + VARIANCE_EPS).sqrt()).square().mean()


def _check(predicted: Tensor, losses: Tensor) -> None:
    if predicted.shape != losses.shape or predicted.ndim != 2 or predicted.shape[1] < 1:
        raise ValueError(
            f"predicted and losses must both be (n, hidden), got {tuple(predicted.shape)} and {tuple(losses.shape)}; "
            "pick the hidden patches first: values[hidden].view(n, -1)"
        )
