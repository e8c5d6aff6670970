"""Classifiers: they learn, repeat, follow their seed and come back from their weights; bounds hold on the chains."""

from __future__ import annotations

import pytest
import torch

from lib.data import images
from lib.data.boxed import boxed_images
from lib.data.clutter import cluttered
from lib.explain import bounds, eva
from lib.measure import classifiers
from lib.models.cnn import small_cnn

SMALL = {"dataset": "digits", "epochs": 6, "width": 4}
CASES = {
    "whole": (classifiers.train_classifier, classifiers.classifier, {"n_images": 500, "batch_size": 32, "lr": 0.02}),
    "boxed": (classifiers.train_boxed, classifiers.classifier, {"n_images": 150, "n_classes": 2}),
    "cluttered": (classifiers.train_cluttered, classifiers.classifier, {"n_images": 600, "lr": 0.02}),
    "pooled": (classifiers.train_pooled_chain, classifiers.pooled_chain_classifier, {"n_images": 500, "lr": 0.02}),
    "strided": (classifiers.train_strided_chain, classifiers.strided_chain_classifier, {"n_images": 500, "hidden": 16}),
}


def held_out(name):
    if name == "boxed":
        return boxed_images("digits", split="test", n_classes=2)
    return (cluttered if name == "cluttered" else images)("digits", split="test", n=200, seed=0)


@pytest.mark.parametrize("name", CASES)
def test_it_learns_repeats_follows_its_seed_and_comes_back(name):
    train, rebuild, sizes = CASES[name]
    state = train(seed=0, **SMALL, **sizes)
    again, other = train(seed=0, **SMALL, **sizes), train(seed=1, **SMALL, **sizes)
    assert all(torch.equal(value, again[key]) for key, value in state.items())
    assert any(not torch.equal(value, other[key]) for key, value in state.items())
    model, test = rebuild(state), held_out(name)
    assert not model.training and not any(value.requires_grad for value in model.parameters())
    right = float((model(test.x).argmax(1) == test.y).float().mean())
    assert right > 2.5 / len(test.classes) if len(test.classes) > 2 else right > 0.8  # well above chance


def test_a_network_comes_back_to_the_bit():
    original = small_cnn(3, 7, width=4).eval()
    pictures = torch.rand(2, 3, 16, 16)
    assert torch.equal(classifiers.classifier(original.state_dict())(pictures), original(pictures))


def test_bounds_hold_on_a_strided_chain():
    model = classifiers.strided_chain_classifier(
        classifiers.train_strided_chain(seed=0, **SMALL, n_images=500, hidden=16)
    )
    test = images("digits", split="test", n=5, seed=0)
    low, high = bounds.linear(model, *eva.ball(test.x, 0.02))
    assert ((model(test.x) >= low - 1e-4) & (model(test.x) <= high + 1e-4)).all()
