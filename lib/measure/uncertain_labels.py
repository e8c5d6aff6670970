"""What to do with a label that says "uncertain": CheXpert's five policies, as goals of a loss and as trained heads.

Irvin et al. 2019 (arXiv:1901.07031): leave the label out (U-Ignore), read it as absent (U-Zeros) or present (U-Ones),
let a model trained without it guess its probability and train again (U-SelfTrained), or make it a class of its own and
forget that class when asked (U-MultiClass).

Differences: a linear head on fixed features, fitted to its minimum, one finding at a time, instead of a deep network
for all findings at once. For such a head two policies say nearly the same as U-Ignore: a row whose goal is the model's
own probability has no gradient, so self-training stays where it is, but for the penalty; and a softmax over three
classes estimates the odds of two of them much as a softmax over these two alone does (Begg & Gray 1984, Biometrika).

Conventions: labels are 1 = present, 0 = absent, -1 = uncertain, NaN = not mentioned; columns of goals and logits are
absent, present and, for U-MultiClass, uncertain.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lib.measure import probes

__all__ = ["BLANKS", "POLICIES", "goals", "positive_probability", "train_head"]

POLICIES = ("U-Ignore", "U-Zeros", "U-Ones", "U-SelfTrained", "U-MultiClass")
BLANKS = ("negative", "ignore")
UNCERTAIN = -1


def goals(
    labels: Tensor, policy: str, *, guesses: Tensor | None = None, blank: str = "negative"
) -> tuple[Tensor, Tensor]:
    """What a loss should aim at under a policy, and which rows it should count.

    Parameters
    ----------
    labels : Tensor (n,), integer or float
        1, 0, -1 or NaN.
    policy : str
        One of POLICIES.
    guesses : Tensor (n,), optional
        For U-SelfTrained, and only there: the probability in [0, 1] that an uncertain row is positive. Values at other
        rows are not looked at.
    blank : {"negative", "ignore"}
        A finding that is not mentioned counts as absent, as in the paper's models, or not at all.

    Returns
    -------
    Tensor (n, 2), or (n, 3) for U-MultiClass, float64
        Shares of the classes, adding up to 1; all 0 in rows that do not count.
    Tensor (n,), float64
        Weight of each row, 1 or 0.

    Raises
    ------
    ValueError
        For other labels, an unknown policy or blank, and guesses that are missing, not asked for or out of range.

    Examples
    --------
    >>> shares, weight = goals(torch.tensor([1, 0, -1]), "U-Ignore")
    >>> shares.tolist(), weight.tolist()
    ([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]], [1.0, 1.0, 0.0])
    """
    values = _labels(labels)
    _known("policy", policy, POLICIES)
    if _known("blank", blank, BLANKS) == "negative":
        values = values.nan_to_num(nan=0.0)
    unsure = values == UNCERTAIN
    _check_guesses(guesses, unsure, policy)
    weight = (~values.isnan()).double()
    present = (values == 1).double()
    if policy == "U-Ignore":
        weight[unsure] = 0.0
    elif policy == "U-Ones":
        present[unsure] = 1.0
    elif guesses is not None:
        present[unsure] = guesses.double()[unsure]
    columns = [1 - present, present]
    if policy == "U-MultiClass":
        columns = [1 - present - unsure.double(), present, unsure.double()]
    return torch.stack(columns, dim=1) * weight[:, None], weight  # (n, classes), (n,)


def positive_probability(logits: Tensor) -> Tensor:
    """Probability of the finding, p1 / (p0 + p1): a class "uncertain" is forgotten.

    Parameters
    ----------
    logits : Tensor (n, 2) or (n, 3)
        Of absent, present and, if there is a third, uncertain.

    Returns
    -------
    Tensor (n,)
        In [0, 1]; whatever the third logit is, it does not matter.

    Raises
    ------
    ValueError
        For another shape.

    Examples
    --------
    >>> positive_probability(torch.tensor([[0.0, 0.0, 9.0]])).tolist()
    [0.5]
    """
    if logits.ndim != 2 or logits.shape[1] not in (2, 3):
        raise ValueError(f"logits must be (n, 2) or (n, 3), got {tuple(logits.shape)}; pass those of one finding")
    return torch.sigmoid(logits[:, 1] - logits[:, 0])


def train_head(
    features: Tensor,
    labels: Tensor,
    test_features: Tensor,
    *,
    policy: str,
    blank: str = "negative",
    penalty: float = 1e-2,
    iterations: int = 200,
) -> Tensor:
    """Fit a linear head for one finding under a policy and ask it about other rows.

    Parameters
    ----------
    features, test_features : Tensor (n, d), (m, d)
    labels : Tensor (n,)
        1, 0, -1 or NaN.
    policy, blank
        As in `goals`.
    penalty, iterations
        As in `lib.measure.probes.logistic`, which fits the head.

    Returns
    -------
    Tensor (m,), float64
        Probability of the finding. Rows without weight are dropped before anything else is computed.

    Raises
    ------
    ValueError
        As `goals`; if labels and features differ in length, or no sure positive or no sure negative is left.
    """
    values = _labels(labels)
    if len(features) != len(values):
        raise ValueError(f"labels must have one value per row, got {len(values)} for {len(features)} rows; align them")
    options = {"blank": blank, "penalty": penalty, "iterations": iterations}
    guesses = None
    if policy == "U-SelfTrained":
        unsure = values == UNCERTAIN
        guesses = torch.zeros(len(values), dtype=torch.float64, device=values.device)
        first = train_head(features, labels, features[unsure], policy="U-Ignore", **options)  # type: ignore[arg-type]
        guesses[unsure] = first
    shares, weight = goals(labels, policy, guesses=guesses, blank=blank)
    kept = weight > 0
    if not bool((shares[kept][:, :2].sum(dim=0) > 0).all()):
        raise ValueError(f"labels must leave {policy} at least one positive and one negative row; label more rows")
    logits = probes.logistic(
        features[kept], shares[kept], test_features, classes=shares.shape[1], penalty=penalty, iterations=iterations
    )
    return positive_probability(logits)


def _labels(labels: Tensor) -> Tensor:
    values = labels.double()
    strange = ~(torch.isin(values, torch.tensor([1.0, 0.0, -1.0], device=values.device).double()) | values.isnan())
    if values.ndim != 1 or bool(strange.any()):
        raise ValueError(
            f"labels must be (n,) and hold 1, 0, -1 or NaN, got shape {tuple(values.shape)} and "
            f"{values[strange][:3].tolist()}; pass the column of one finding"
        )
    return values


def _known(name: str, value: str, options: tuple[str, ...]) -> str:
    if value not in options:
        raise ValueError(f"{name} must be one of {', '.join(options)}, got {value!r}; choose one of these")
    return value


def _check_guesses(guesses: Tensor | None, unsure: Tensor, policy: str) -> None:
    if (guesses is not None) != (policy == "U-SelfTrained"):
        raise ValueError(f"guesses go with U-SelfTrained and with nothing else, got policy {policy!r}; see train_head")
    if guesses is None:
        return
    asked = guesses[unsure] if guesses.shape == unsure.shape else guesses.new_full((1,), torch.nan)
    if not bool(((asked >= 0) & (asked <= 1)).all()):
        raise ValueError(
            f"guesses must be {tuple(unsure.shape)} with probabilities in [0, 1] at uncertain rows, got "
            f"{tuple(guesses.shape)}; pass the output of a model trained with U-Ignore"
        )
