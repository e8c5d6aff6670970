"""The evidential head: its loss is an expectation, its training uses evidence, its state rebuilds it."""

from __future__ import annotations

import torch

from lib.data import images
from lib.measure import evidential


def test_the_loss_is_the_expected_cross_entropy():
    """Against 200,000 draws from the Dirichlet distribution; the tolerance is five standard errors."""
    outputs = torch.tensor([[0.5, -1.0, 2.0], [-3.0, 1.0, 0.0]])
    labels = torch.tensor([1, 0])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        draws = torch.distributions.Dirichlet(evidential.alphas(outputs)).sample((200_000,))
    surprise = -draws.gather(2, labels.expand(len(draws), 2)[..., None])[..., 0].log()
    error = surprise.std(0) / len(draws) ** 0.5
    assert ((surprise.mean(0) - evidential.expected_cross_entropy(outputs, labels)).abs() < 5 * error).all()


def test_alphas_stay_above_one_and_finite():
    found = evidential.alphas(torch.tensor([[-1e4, 0.0, 1e4]]))
    assert (found > 1).all() and found.isfinite().all()


def test_a_trained_head_is_surer_of_images_than_of_nothing():
    state = evidential.train_evidential(dataset="digits", n_images=300, epochs=3, seed=0, width=4)
    model = evidential.evidential(state)
    x = images("digits", split="test", n=50, seed=0).x
    uncertainty = 10 / evidential.alphas(model.evidence(x)).sum(1)
    nothing = 10 / evidential.alphas(model.evidence(torch.zeros_like(x[:1]))).sum(1)
    assert uncertainty.mean() < nothing.mean()
    assert model(x).shape == (50, 10) and model.features(x).shape == (50, 32)
    assert not any(weight.requires_grad for weight in model.parameters())
    again = evidential.train_evidential(dataset="digits", n_images=300, epochs=3, seed=0, width=4)
    assert all(torch.equal(again[name], value) for name, value in state.items())
