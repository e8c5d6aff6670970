"""Spatial Cox masks: the race against its closed form, the flat limit, and where the mask falls."""

import itertools

import pytest
import torch
from scipy import stats

from lib import masks
from lib.masks import describe
from lib.masks.cox import centre_distance
from lib.masks.draws import arrivals, uniform


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def set_probability(chosen, rates):
    """Probability that these tokens arrive first, in any order: brute force over the orders."""
    total = 0.0
    for order in itertools.permutations(chosen):
        left, chance = sum(rates), 1.0
        for token in order:
            chance *= rates[token] / left
            left -= rates[token]
        total += chance
    return total


def test_masks_follow_the_closed_form_of_the_race():
    rates = torch.exp(-1.5 * centre_distance((1, 4))).tolist()
    mask = masks.cox_process(20_000, (1, 4), ratio=0.5, generator=seeded(), gamma=(1.5, 1.5))
    for chosen in itertools.combinations(range(4), 2):
        share = float(mask[:, chosen].all(1).double().mean())
        assert share == pytest.approx(set_probability(chosen, rates), abs=0.012)  # 3.5 standard errors of .0035


def test_no_concentration_is_the_random_law():
    hidden = masks.cox_process(4000, 6, ratio=0.75, generator=seeded(), gamma=(0.0, 0.0)).sum(0)
    assert stats.chisquare(hidden.numpy()).pvalue > 0.001  # one seed, fixed


def test_the_centre_is_hidden_more_often_than_the_border():
    share = describe.coverage(masks.cox_process(4000, 8, ratio=0.5, generator=seeded()))
    border, distance = describe.border(8), centre_distance(8)
    assert share[~border].min() > share[border].max() - 0.05
    # symmetric tokens have the same law: 4000 masks, four standard errors of .008
    for ring in distance.unique():
        assert share[distance == ring].max() - share[distance == ring].min() < 4 * 2**0.5 * 0.008
    means = [float(share[distance == ring].mean()) for ring in distance.unique()]
    assert means == sorted(means, reverse=True)


def test_concentration_differs_between_images():
    """A mixture of concentrations varies more than its mean does: the process is doubly stochastic."""

    def mean_distance(gamma):
        mask = masks.cox_process(4000, 12, ratio=0.5, generator=seeded(), gamma=gamma).double()
        return (mask @ centre_distance(12).double()) / mask.sum(1)

    assert mean_distance((0.0, 4.0)).std() > 2 * mean_distance((2.0, 2.0)).std()


def test_a_large_concentration_leaves_only_the_corners():
    mask = masks.cox_process(50, 6, ratio=32 / 36, generator=seeded(), gamma=(1e4, 1e4)).view(-1, 6, 6)
    assert not mask[:, ::5, ::5].any()


def test_statistics_resemble_those_recorded_for_the_papers_intensity():
    """Recorded by independent code for one reading of the paper, 14 x 14: Moran's I .096, AvgDist 1.469."""
    mask = masks.cox_process(1000, 14, ratio=0.75, generator=seeded())
    assert float(describe.morans_i(mask, 14).mean()) == pytest.approx(0.096, abs=0.03)  # another law of Gamma
    assert float(describe.visible_distance(mask, 14).mean()) == pytest.approx(1.469, abs=0.15)


@pytest.mark.parametrize("gamma", [(2.0, 1.0), (-1.0, 1.0), (1.0,)])
def test_gamma_must_rise(gamma):
    with pytest.raises(ValueError, match="gamma must be a pair"):
        masks.cox_process(2, 6, ratio=0.5, generator=seeded(), gamma=gamma)


def test_distance_from_the_centre():
    assert centre_distance(1).tolist() == [0.0]
    distance = centre_distance((4, 6)).view(4, 6)
    assert torch.equal(distance, distance.flip(0)) and torch.equal(distance, distance.flip(1))
    assert float(distance[0, 0]) == pytest.approx(0.75**2 + (5 / 6) ** 2)


def test_arrivals_are_exponential_whatever_the_constant():
    time = arrivals(torch.zeros(1, 20_000), generator=seeded()).exp()
    assert stats.kstest(time[0].numpy(), "expon", method="asymp").pvalue > 0.001
    shifted = arrivals(torch.full((1, 20_000), 3.0), generator=seeded()).exp()
    torch.testing.assert_close(shifted * torch.e**3, time, rtol=1e-4, atol=0)  # float32 logarithms


def test_uniform_needs_a_generator():
    with pytest.raises(TypeError, match="generator must be a torch.Generator, got NoneType"):
        uniform((2,), generator=None, device=torch.device("cpu"))
