"""Judges of concepts: against scikit-learn, closed forms, and every order or pairing there is."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from scipy.stats import spearmanr
from sklearn.metrics import r2_score
from torch import Tensor, nn

from lib.explain import gradients
from lib.explain.concepts import ConceptHead, Dictionary
from lib.measure import concepts, perturbation


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_explained_is_r2():
    rows = drawn(12, 5)
    rebuilt = rows + 0.4 * drawn(12, 5, seed=1)
    wanted = r2_score(rows.double(), rebuilt.double(), multioutput="variance_weighted")
    assert float(concepts.explained(rows, rebuilt).mean()) == pytest.approx(wanted, abs=1e-9)
    assert torch.equal(concepts.explained(rows, rows), torch.ones(12, dtype=torch.float64))
    assert float(concepts.explained(rows, rows.mean(0).expand(12, 5)).mean()) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("kept", [1, 2, 4, 9])
def test_hoyer_of_equal_coefficients_counts_them(kept):
    """m of k equal values: (sqrt k - sqrt m) / (sqrt k - 1)."""
    row = torch.zeros(1, 9)
    row[0, torch.randperm(9, generator=torch.Generator().manual_seed(0))[:kept]] = -0.3
    assert float(concepts.hoyer(row)) == pytest.approx((3 - kept**0.5) / 2, abs=1e-6)


def test_hoyer_ignores_scale_and_knows_nothing():
    rows = drawn(6, 7)
    torch.testing.assert_close(concepts.hoyer(rows), concepts.hoyer(-1000 * rows), rtol=0, atol=1e-6)
    assert float(concepts.hoyer(torch.zeros(1, 3))) == 0


@pytest.mark.parametrize("directed", [True, False])
def test_matching_is_the_best_of_all_pairings(directed):
    first, second = drawn(5, 3), drawn(5, 3, seed=1)
    alike = nn.functional.cosine_similarity(first[:, None].double(), second[None].double(), dim=2)
    alike = alike if directed else alike.abs()
    best = max(float(alike[range(5), order].sum()) for order in permutations(range(5)))
    assert float(concepts.matching(first, second, directed=directed).sum()) == pytest.approx(best, abs=1e-9)


def test_matching_finds_what_was_shuffled_and_stretched():
    first = drawn(4, 6)
    second = torch.tensor([[2.0], [0.5], [3.0], [7.0]]) * first[[2, 0, 3, 1]]
    torch.testing.assert_close(concepts.matching(first, second), torch.ones(4, dtype=torch.float64))
    assert concepts.matching(first, -second).max() < 1
    free = concepts.matching(first, -second, directed=False)
    torch.testing.assert_close(free, torch.ones(4, dtype=torch.float64))


def test_no_order_of_concepts_beats_the_contributions_before_a_linear_layer():
    torch.manual_seed(0)
    dictionary = Dictionary("nmf", drawn(5, 7).abs(), torch.zeros(7))
    score = ConceptHead(dictionary, nn.Linear(7, 3).requires_grad_(False))
    table, target = drawn(1, 1, 1, 5, seed=2).abs(), torch.tensor([1])
    importance = gradients.input_x_gradient(score, table, target)
    orders = torch.tensor(list(permutations(range(5)))).float()[:, None]  # (120, 1, 5)
    for way, sign in (("deletion", 1), ("insertion", -1)):
        protocol = concepts.protocol(way, score="logit")
        ours = perturbation.measure(score, table, target, importance, protocol=protocol).curve
        many = table.expand(120, -1, -1, -1), target.expand(120)
        others = perturbation.measure(score, *many, orders, protocol=protocol).curve
        assert ours.shape == (1, 6)
        assert (sign * (others - ours) > -1e-5).all()
        assert (sign * (others - ours) > 1e-3).any()


def test_deletion_of_all_concepts_leaves_the_offset():
    head = nn.Linear(7, 3).requires_grad_(False)
    score = ConceptHead(Dictionary("nmf", drawn(5, 7).abs(), torch.zeros(7)), head)
    protocol = concepts.protocol("deletion", score="probability")
    tables, target = drawn(2, 1, 1, 5).abs(), torch.tensor([0, 2])
    found = perturbation.measure(score, tables, target, tables[:, 0], protocol=protocol).curve
    torch.testing.assert_close(found[:, -1], head.bias.softmax(0)[target])
    torch.testing.assert_close(found[:, 0], score(tables).softmax(1)[[0, 1], target])


def test_gaps():
    one = torch.tensor([[[1.0, -2.0, 0.0]], [[0.0, 0.0, 0.0]]])
    two = torch.tensor([[[1.0, -4.0, 0.5]], [[0.0, 0.0, 0.0]]])
    assert concepts.largest_gap([one, two, one]).tolist() == [0.5, 0.0]
    rounding = 1e-7 * drawn(2, 1, 3)
    assert float(concepts.rank_gap([one, one + rounding])[0]) == 0
    assert float(concepts.rank_gap([one, -one])[0]) == pytest.approx(2)


def test_rank_gap_is_the_mean_over_pairs():
    maps = [drawn(3, 1, 8, seed=seed) for seed in range(3)]
    for row, found in enumerate(concepts.rank_gap(maps).tolist()):
        pairs = [spearmanr(maps[a][row, 0], maps[b][row, 0]).statistic for a, b in ((0, 1), (0, 2), (1, 2))]
        assert found == pytest.approx(1 - sum(pairs) / 3, abs=1e-6)


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match="decode the coefficients"):
        concepts.explained(drawn(3, 2), drawn(3, 3))
    with pytest.raises(ValueError, match="must vary"):
        concepts.explained(torch.ones(3, 2), drawn(3, 2))
    with pytest.raises(ValueError, match="k >= 2"):
        concepts.hoyer(drawn(3, 1))
    with pytest.raises(ValueError, match="same number of concepts"):
        concepts.matching(drawn(2, 3), drawn(3, 3))
    with pytest.raises(ValueError, match="two or more"):
        concepts.largest_gap([drawn(1, 1, 3)])
