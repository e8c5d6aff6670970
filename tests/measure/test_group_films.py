"""Features of two groups: shapes, whitening, and no test film in the fit."""

import pytest
import torch

from lib.measure.group_films import features

SMALL = {"seed": 0, "n_train": 40, "n_test": 24, "minority": 0.25, "components": 8, "size": 32}


def test_shapes_groups_and_whitening():
    found = features("shortcut", **SMALL)
    assert found["x train"].shape == (40, 8) and found["x test"].shape == (24, 8)
    assert found["group train"].bincount().tolist() == [30, 10]
    assert found["group test"].bincount().tolist() == [12, 12]
    assert found["y train"].bincount().tolist() == [20, 20]
    x = found["x train"].double()
    torch.testing.assert_close(x.T @ x / 39, torch.eye(8).double(), atol=1e-4, rtol=0)  # whitened on the training films


def test_test_films_have_no_part_in_the_fit_and_the_seed_decides():
    found, fewer = features("severity", **SMALL), features("severity", **(SMALL | {"n_test": 8}))
    assert torch.equal(found["x train"], fewer["x train"])
    assert not torch.equal(found["x train"], features("severity", **(SMALL | {"seed": 1}))["x train"])


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="arm must be one of shortcut, severity"):
        features("none", **SMALL)
    with pytest.raises(ValueError, match="components must be at most n_train"):
        features("severity", **(SMALL | {"components": 41}))
