"""What masks that follow scores share: checks of the scores, and random numbers on the scores' device.

Source: Efraimidis & Spirakis 2006, "Weighted random sampling with a reservoir", for `arrivals`: drawing without
replacement with probability by weight is a race of exponential clocks, the same law as Gumbel top-k.

Conventions: scores are float (n, tokens), one row per image. Numbers are drawn on the generator's device and moved to
the scores' device, so a generator on the CPU gives the same mask on every device.
"""

import torch
from torch import Tensor


def uniform(shape: tuple[int, ...], *, generator: torch.Generator, device: torch.device) -> Tensor:
    """Draw uniform numbers in [0, 1).

    Parameters
    ----------
    shape : tuple of int
        Shape of the result.
    generator : torch.Generator
        Source of randomness, on any device.
    device : torch.device
        Where the result lies.

    Returns
    -------
    float32 Tensor of the given shape

    Raises
    ------
    TypeError
        If the generator is not a ``torch.Generator``.

    Examples
    --------
    >>> uniform((2, 3), generator=torch.Generator().manual_seed(0), device=torch.device("cpu")).shape
    torch.Size([2, 3])
    """
    if not isinstance(generator, torch.Generator):
        raise TypeError(
            f"generator must be a torch.Generator, got {type(generator).__name__}; "
            "use torch.Generator(device).manual_seed(0)"
        )
    return torch.rand(shape, generator=generator, device=generator.device).to(device)


def arrivals(log_rates: Tensor, *, generator: torch.Generator) -> Tensor:
    """Let every token wait for an exponential clock; the order of arrival is a draw without replacement by rate.

    Parameters
    ----------
    log_rates : float Tensor (n, tokens)
        Logarithm of each token's rate; a constant added to a row changes nothing.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    float32 Tensor (n, tokens)
        Logarithm of the time of arrival; among the tokens that have not arrived, the next one is each token with a
        probability proportional to its rate.

    Source: Efraimidis & Spirakis 2006.

    Examples
    --------
    >>> log_rates = torch.tensor([[0.0, -100.0]])
    >>> arrivals(log_rates, generator=torch.Generator().manual_seed(0)).argmin(1).tolist()
    [0]
    """
    clock = uniform(tuple(log_rates.shape), generator=generator, device=log_rates.device)
    return torch.log(-torch.log1p(-clock)) - log_rates


def check_rows(scores: Tensor, name: str) -> None:
    """Check scores of shape (n, tokens).

    Parameters
    ----------
    scores : float Tensor (n, tokens)
        One row per image.
    name : str
        The argument's name, for the message.

    Raises
    ------
    TypeError
        If the scores are not floating point.
    ValueError
        If they are not a matrix, or hold NaN or infinity.
    """
    if not scores.is_floating_point():
        raise TypeError(f"{name} must be floating point, got {scores.dtype}; use `{name}.float()`")
    if scores.ndim != 2 or not len(scores):
        raise ValueError(f"{name} must have shape (n, tokens), got {tuple(scores.shape)}; flatten the grid first")
    if not scores.isfinite().all():
        raise ValueError(f"{name} must be finite, got NaN or infinity; look at the model that made it")
