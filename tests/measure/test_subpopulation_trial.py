"""A small trial: shapes, which answers exist, and that the seed decides."""

from typing import Any

import pytest
import torch

from lib.measure.cell_methods import METHODS
from lib.measure.subpopulation_trial import ARMS, lengths, subpopulation_trial

SMALL: dict[str, Any] = {
    "seed": 0, "n_train": 26, "n_valid": 12, "n_test": 19, "rare": 0.08, "components": 4, "width": 4, "epochs": 4,
    "lr": 0.03, "weight_decay": 1.0, "severity": "medium",
}  # fmt: skip


def test_answers_of_a_small_trial() -> None:
    found = subpopulation_trial(**SMALL)
    assert found["test"].shape == (len(ARMS), len(METHODS), 2, 18)
    assert found["cell valid"].bincount().tolist() == [2] * 6 and found["cell test"].bincount().tolist() == [3] * 6
    for part in ("valid", "test"):
        assert not found[part][1:].isnan().any() and not found[part][0, 0].isnan().any()
        assert found[part][0, 1:].isnan().all()  # without a shift plain training alone
    assert not torch.equal(found["test"][1, 0, 0], found["test"][1, 0, 1])  # two lengths
    assert not torch.equal(found["test"][0, 0, 1], found["test"][1, 0, 1])  # two training sets
    other = subpopulation_trial(**SMALL | {"seed": 1})
    assert not torch.equal(found["test"][1, 0, 1], other["test"][1, 0, 1])


def test_lengths_and_errors() -> None:
    assert lengths(60) == (15, 60) and lengths(2) == (1, 2)
    with pytest.raises(ValueError, match="n_valid and n_test must be at least 6"):
        subpopulation_trial(**SMALL | {"n_test": 5})
    with pytest.raises(ValueError, match="severity must be one of easy"):
        subpopulation_trial(**SMALL | {"severity": "mild"})
