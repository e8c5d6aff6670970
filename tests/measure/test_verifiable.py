"""Plain chains: they learn, come back from their state, and bounds hold on them."""

from __future__ import annotations

import pytest
import torch

from lib.data import images
from lib.explain import bounds, eva
from lib.measure import verifiable
from lib.models.chain import relu_chain


def test_a_chain_learns_comes_back_and_is_bounded():
    arguments = {"dataset": "digits", "n_images": 500, "epochs": 6, "width": 4, "hidden": 16}
    state = verifiable.train_chain(seed=0, **arguments)
    model = verifiable.chain(state)
    test = images("digits", split="test", n=100, seed=0)
    assert (model(test.x).argmax(1) == test.y).float().mean() > 0.5  # chance is a tenth
    again = verifiable.train_chain(seed=0, **arguments)
    assert all(torch.equal(again[name], value) for name, value in state.items())
    assert not torch.equal(verifiable.train_chain(seed=1, **arguments)["0.weight"], state["0.weight"])
    low, high = bounds.linear(model, *eva.ball(test.x[:5], 0.02))
    assert ((model(test.x[:5]) >= low - 1e-4) & (model(test.x[:5]) <= high + 1e-4)).all()


def test_errors():
    with pytest.raises(ValueError, match="multiples of 4 px, got"):
        relu_chain(1, 3, size=(10, 8))
