"""Sanity checks: which maps change when the network forgets, and when another class is asked for."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from torch import Tensor, nn

from lib.explain import baselines, gradients
from lib.measure import sanity

IMAGES = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
TARGET = torch.arange(6) % 3


def network() -> nn.Sequential:
    torch.manual_seed(5)
    layers = nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 8), nn.Tanh()
    return nn.Sequential(*layers, nn.Linear(8, 3)).eval()


def saliency(model: nn.Module) -> Tensor:
    return gradients.saliency(model, IMAGES, TARGET)


def start(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_correlation_is_scipys_with_ties():
    first = torch.randint(4, (5, 3, 6), generator=start()).float()
    second = torch.randint(4, (5, 3, 6), generator=start(1)).float()
    pairs = list(zip(first.flatten(1).tolist(), second.flatten(1).tolist(), strict=True))
    ranks = torch.tensor([spearmanr(*pair).statistic for pair in pairs])
    values = torch.tensor([pearsonr(*pair).statistic for pair in pairs])
    torch.testing.assert_close(sanity.correlation(first, second).double(), ranks.double(), rtol=0, atol=1e-6)
    found = sanity.correlation(first, second, by="value")
    torch.testing.assert_close(found.double(), values.double(), rtol=0, atol=1e-6)
    assert torch.equal(sanity.correlation(first, -first.exp()), -torch.ones(5))
    assert sanity.correlation(first, torch.ones_like(first)).tolist() == [0.0] * 5
    with pytest.raises(ValueError, match="equally shaped"):
        sanity.correlation(first, second[:2])


def test_randomisation_goes_down_from_the_output():
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    names = sanity.weighted_layers(model)
    assert names == ["6", "4", "1", "0"]

    def changed(copy: nn.Module) -> list[str]:
        return [name for name, value in copy.state_dict().items() if not torch.equal(value, before[name])]

    steps = [changed(copy) for _, copy in sanity.randomised(model, generator=start())]
    wide = ["6.weight", "6.bias", "4.weight", "4.bias"]  # a fresh GroupNorm equals the first one
    assert [sorted(step) for step in steps] == [
        sorted(wide[:2]), sorted(wide), sorted(wide), sorted([*wide, "0.weight", "0.bias"]),
    ]  # fmt: skip
    alone = [changed(copy) for _, copy in sanity.randomised(model, generator=start(), order="independent")]
    assert alone == [["6.weight", "6.bias"], ["4.weight", "4.bias"], [], ["0.weight", "0.bias"]]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_seeds_decide_and_the_global_generator_is_left_alone():
    model, state = network(), torch.get_rng_state()
    one, same, other = (
        [copy.state_dict()["0.weight"] for _, copy in sanity.randomised(model, generator=start(seed))][-1]
        for seed in (0, 0, 1)
    )
    network_state = torch.get_rng_state()
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert torch.equal(state, network_state)


def test_weights_without_a_rule_keep_their_spread():
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Parameter(torch.linspace(-3, 3, 4000))

        def forward(self, x: Tensor) -> Tensor:
            return x + self.token.sum()

    (found,) = [copy for _, copy in sanity.randomised(Bare(), generator=start())]
    assert abs(float(found.token.detach().std()) - 3**0.5) < 0.1  # sd of a uniform on [-3, 3]; five standard errors
    assert abs(float(found.token.detach().mean())) < 0.15


def test_a_map_that_ignores_the_network_fails_the_check():
    edges = sanity.cascade(network(), lambda m: baselines.sobel(m, IMAGES, TARGET), generator=start())
    assert edges.layers == ("6", "4", "1", "0")
    assert torch.equal(edges.correlation, torch.ones(4, 6))
    real = sanity.cascade(network(), saliency, generator=start(), layers=["6", "0"], order="independent")
    assert real.correlation.shape == (2, 6)
    assert real.order == "independent"
    assert real.correlation.mean() < 0.9


def test_class_sensitivity_by_hand():
    torch.manual_seed(0)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(64, 3, bias=False))
    weights = linear[1].weight.detach().view(3, 8, 8)
    scores = linear(IMAGES)
    found = sanity.class_sensitivity(
        linear, IMAGES, lambda t: gradients.input_x_gradient(linear, IMAGES, t), by="value", max_batch=4
    )
    maps = [IMAGES[:, 0] * weights[scores.argmax(1)], IMAGES[:, 0] * weights[scores.argmin(1)]]
    wanted = [pearsonr(one.flatten(), two.flatten()).statistic for one, two in zip(*maps, strict=True)]
    torch.testing.assert_close(found.double(), torch.tensor(wanted).double(), rtol=0, atol=1e-5)
    blind = sanity.class_sensitivity(linear, IMAGES, lambda t: baselines.sobel(linear, IMAGES, t))
    assert torch.equal(blind, torch.ones(6))


def test_errors():
    with pytest.raises(ValueError, match="order must be one of"):
        next(sanity.randomised(network(), generator=start(), order="upwards"))
    with pytest.raises(ValueError, match=r"layers \['9'\] are not in the model"):
        next(sanity.randomised(network(), generator=start(), layers=["9"]))
    with pytest.raises(ValueError, match="at least 2 classes, got 1"):
        sanity.class_sensitivity(lambda x: x.sum((1, 2, 3))[:, None], IMAGES, lambda t: IMAGES[:, 0])
