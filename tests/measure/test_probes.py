"""Probes against scikit-learn, planted representations and each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lib.measure import probes


def blobs(n: int = 120, *, seed: int = 0, spread: float = 0.6) -> tuple[torch.Tensor, torch.Tensor]:
    """Three classes around fixed centres in five dimensions of very different scale."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 3
    centres = torch.tensor([[2.0, 0, 0, 0, 0], [0, 2.0, 0, 0, 0], [0, 0, 2.0, 0, 0]])
    return (centres[y] + spread * torch.randn(n, 5, generator=generator)) * torch.tensor([1, 10, 0.1, 1, 100.0]), y


def test_linear_agrees_with_scikit_learn():
    """Without penalty the fit does not depend on decorrelation, so both find the same minimum."""
    from sklearn.linear_model import LogisticRegression

    (x, y), (test, truth) = blobs(spread=1.5), blobs(90, seed=1, spread=1.5)
    ours = probes.linear(x, y, test, truth, penalty=0.0)
    scaled = probes.standardised(x, test)
    oracle = LogisticRegression(C=np.inf, max_iter=5000, tol=1e-8).fit(scaled[0], y).predict(scaled[1])
    assert np.array_equal(ours.correct.numpy(), oracle == truth.numpy())
    assert 0.5 < ours.accuracy < 1.0
    assert ours.accuracy == ours.correct.double().mean()


@pytest.mark.parametrize("probe", [probes.linear, probes.knn])
def test_scale_and_shift_of_features_do_not_matter(probe):
    (x, y), (test, truth) = blobs(spread=1.5), blobs(90, seed=1, spread=1.5)
    scale, shift = torch.tensor([3.0, 0.5, 100, 1, 7]), torch.tensor([1.0, -5, 0, 2, 9])
    assert torch.equal(
        probe(x, y, test, truth).correct, probe(x * scale + shift, y, test * scale + shift, truth).correct
    )


@pytest.mark.parametrize("probe", [probes.linear, probes.knn])
def test_chance_for_noise_and_one_for_labels(probe):
    _, y = blobs(300)
    noise = torch.randn(300, 5, generator=torch.Generator().manual_seed(3))
    assert probe(noise[:150], y[:150], noise[150:], y[150:]).accuracy < 0.5  # chance is a third
    told = torch.eye(3)[y]
    assert probe(told[:150], y[:150], told[150:], y[150:]).accuracy == 1.0


def test_constant_and_repeated_features_are_harmless():
    (x, y), (test, truth) = blobs(), blobs(90, seed=1)
    wide = [torch.cat([part, part[:, :2], torch.ones(len(part), 1)], dim=1) for part in (x, test)]
    assert torch.equal(probes.linear(wide[0], y, wide[1], truth).correct, probes.linear(x, y, test, truth).correct)


def test_standardised_by_hand():
    got, other = probes.standardised(torch.tensor([[0.0, 5], [2.0, 5]]), torch.tensor([[4.0, 6]]))
    assert got.tolist() == [[-1, 0], [1, 0]]
    assert other.tolist() == [[3, 1]]


def test_one_neighbour_agrees_with_scikit_learn():
    from sklearn.neighbors import KNeighborsClassifier

    (x, y), (test, truth) = blobs(spread=1.5), blobs(90, seed=1, spread=1.5)
    scaled = [part.numpy() for part in probes.standardised(x, test)]
    for k in (1, 9):
        # an endless temperature counts heads; 9 of three classes can tie, which scikit-learn breaks otherwise
        ours = probes.knn(x, y, test, truth, k=k, temperature=1e9).correct.numpy()
        oracle = KNeighborsClassifier(k, metric="cosine").fit(scaled[0], y)
        clear = np.array([np.sort(p)[-1] > np.sort(p)[-2] for p in oracle.predict_proba(scaled[1])])
        assert np.array_equal(ours[clear], (oracle.predict(scaled[1]) == truth.numpy())[clear])
        assert clear.mean() > 0.8


def test_a_near_neighbour_outweighs_two_far_ones():
    x = torch.tensor([[1.0, 0.0], [-0.5, 0.9], [-0.5, -0.9]])
    y, test, truth = torch.tensor([0, 1, 1]), torch.tensor([[1.0, 0.05]]), torch.tensor([0])
    assert probes.knn(x, y, test, truth, k=3, temperature=0.07).accuracy == 1.0
    assert probes.knn(x, y, test, truth, k=3, temperature=1e9).accuracy == 0.0


def test_fine_tuning_learns_and_leaves_the_encoder_alone():
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh())
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(120, 1, 4, 4, generator=generator)
    y = (x[:, 0, 0, 0] > x[:, 0, 3, 3]).long()

    def tune(seed: int) -> probes.Probe:
        return probes.fine_tune(encoder, x[:80], y[:80], x[80:], y[80:], epochs=30, lr=2e-2, batch_size=16,
                                generator=torch.Generator().manual_seed(seed))  # fmt: skip

    assert tune(0).accuracy > 0.8
    assert torch.equal(tune(0).correct, tune(0).correct)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_errors():
    x, y = blobs()
    with pytest.raises(ValueError, match="rows and labels must pair up"):
        probes.linear(x, y[:-1], x, y)
    with pytest.raises(ValueError, match="same width"):
        probes.linear(x, y, x[:, :2], y)
    with pytest.raises(ValueError, match=r"got \[7\] besides"):
        probes.linear(x, y, x[:1], torch.tensor([7]))
    with pytest.raises(ValueError, match=r"k must be in \[1, 120\]"):
        probes.knn(x, y, x, y, k=121)
