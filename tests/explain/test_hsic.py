"""HSIC against its definition with explicit kernels, and what binary designs can and cannot tell apart."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from lib.explain import hsic
from lib.explain.features import cells

ZERO = torch.zeros(1, dtype=torch.int64)


def by_definition(gates: Tensor, values: Tensor, members: tuple[int, ...]) -> float:
    """trace(K H L H) / n² with full matrices; the kernel of several features is the product of theirs less 1."""
    n, g, y = len(gates), gates.double().numpy(), values.double().numpy()
    kernel = np.ones((n, n))
    for feature in members:
        kernel *= 0.5 - (g[:, feature, None] - g[:, feature]) ** 2
    kernel += 1
    width = np.percentile(y, 50)
    output = np.exp(-((y[:, None] - y) ** 2) / (2 * width**2))
    centre = np.eye(n) - 1 / n
    return float(np.trace(kernel @ centre @ output @ centre)) / n**2


@pytest.mark.parametrize("strip", [7, 512])
def test_features_and_pairs_by_definition(strip, monkeypatch):
    monkeypatch.setattr(hsic, "STRIP", strip)
    gates = hsic.binary_gates(40, 5, points="mc", seed=0)  # unbalanced on purpose
    values = torch.rand(40, generator=torch.Generator().manual_seed(1)) + gates[:, 0] * gates[:, 1]
    alone, pairs = hsic.dependence(gates, values), hsic.pair_dependence(gates, values)
    for feature in range(5):
        assert float(alone[feature]) == pytest.approx(by_definition(gates, values, (feature,)), rel=1e-5)
    for first, second in itertools.combinations(range(5), 2):
        expected = by_definition(gates, values, (first, second))
        assert float(pairs[first, second]) == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(pairs, pairs.T)
    torch.testing.assert_close(pairs.diagonal(), alone)


def test_small_differences_of_scores_keep_their_digits():
    gates = hsic.binary_gates(64, 4, seed=0)
    values = 0.5 + 1e-4 * gates[:, 1] + 1e-5 * torch.rand(64, generator=torch.Generator().manual_seed(0))
    for feature in range(4):
        expected = by_definition(gates, values, (feature,))
        assert float(hsic.dependence(gates, values)[feature]) == pytest.approx(expected, rel=1e-3, abs=1e-14)


def test_all_binary_masks_separate_and_and_xor():
    gates = torch.tensor(list(itertools.product((0.0, 1.0), repeat=3)))
    both = hsic.pair_dependence(gates, 1 + gates[:, 0] * gates[:, 1])
    differ = hsic.pair_dependence(gates, 1 + (gates[:, 0] != gates[:, 1]).float())
    assert both[0, 0] > 0.01 and both[0, 1] > 0.01
    assert differ.diagonal().abs().max() < 1e-9 and differ[0, 1] > 0.01
    for table in (both, differ):
        assert table[2].abs().max() < 1e-9  # the third input does nothing, alone or with another


def test_the_estimate_does_not_grow_with_the_masks():
    def at(n: int) -> float:
        gates = hsic.binary_gates(n, 3, seed=n)
        return float(hsic.dependence(gates, 1 + gates[:, 0])[0])

    assert at(64) == pytest.approx(at(1024), rel=1e-3)


def test_lhs_gates_are_balanced_and_sobol_gates_may_coincide():
    gates = hsic.binary_gates(128, 64, seed=0)
    assert torch.equal(gates.mean(0), torch.full((64,), 0.5))
    with pytest.raises(ValueError, match="always kept together or always apart"):
        hsic.binary_gates(128, 64, points="sobol", seed=0)
    signs = 2 * hsic.binary_gates(256, 64, points="sobol", seed=0) - 1
    assert torch.equal(signs.T @ signs, 256 * torch.eye(64))  # from here on no two features are confounded


def test_maps_find_the_cell_that_matters():
    images = torch.rand(2, 1, 6, 6) + 0.5

    def score(batch: Tensor) -> Tensor:
        return batch[:, 0, :3, 3:].mean((1, 2))[:, None]

    given = {"generator": torch.Generator().manual_seed(0), "n_masks": 64, "grid": 2, "max_batch": 5}
    maps = hsic.hsic(score, images, torch.zeros(2, dtype=torch.int64), **given)
    assert (maps.flatten(1).argmax(1) // 6 < 3).all() and (maps.flatten(1).argmax(1) % 6 >= 3).all()
    again = hsic.hsic(score, images[1:], ZERO, **(given | {"generator": torch.Generator().manual_seed(0)}))
    torch.testing.assert_close(again[0], maps[1])  # batch = single
    tables = hsic.interactions(
        score, images, ZERO.expand(2), **(given | {"generator": torch.Generator().manual_seed(0)})
    )
    torch.testing.assert_close(tables.diagonal(dim1=1, dim2=2)[:, cells((6, 6), 2)], maps)


def test_constant_scores_depend_on_nothing():
    maps = hsic.hsic(
        lambda batch: torch.zeros(len(batch), 1), torch.rand(1, 1, 4, 4), ZERO, generator=torch.Generator(), grid=2
    )
    assert torch.equal(maps, torch.zeros(1, 4, 4))


def test_errors():
    gates = hsic.binary_gates(8, 2, seed=0)
    with pytest.raises(ValueError, match="give one score per mask"):
        hsic.dependence(gates, torch.rand(7))
    with pytest.raises(ValueError, match="gates must be 0 or 1"):
        hsic.dependence(gates / 2, torch.rand(8))
    with pytest.raises(ValueError, match="width must be > 0"):
        hsic.dependence(gates, torch.rand(8), width=0.0)
    features = torch.stack([cells((4, 4), 1), cells((4, 4), 2)])
    with pytest.raises(ValueError, match="features must be equally many in all images"):
        hsic.interactions(
            lambda batch: batch.flatten(1),
            torch.rand(2, 1, 4, 4),
            torch.zeros(2, dtype=torch.int64),
            generator=torch.Generator(),
            n_masks=8,
            features=features,
        )
