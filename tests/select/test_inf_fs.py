"""Inf-FS against the dense inverse, closed forms, and graphs where paths matter."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.feature_selection import SelectKBest

from lib.measure.selection_costs import peak_bytes
from lib.select.inf_fs import (
    FORMS,
    ColumnGraph,
    InfFS,
    column_graph,
    degree,
    histogram_size,
    inf_fs,
    infinite_sum,
    leading_eigenvector,
    second_eigenvalue,
    spectral_radius,
)

ALPHAS = (0.0, 0.3, 1.0)


@pytest.fixture
def X() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(25, 12)) @ rng.normal(size=(12, 12)) * rng.uniform(0.2, 3, 12)


def as_graph(weights: np.ndarray) -> ColumnGraph:
    """A graph with the given weights at alpha = 0."""
    return ColumnGraph(similarity=1 - weights, spread=np.zeros(len(weights)))


def test_similarity_is_the_absolute_spearman_of_scipy(X: np.ndarray) -> None:
    X[:, 3] = np.round(X[:, 3])  # ties
    np.testing.assert_allclose(column_graph(X).similarity, np.abs(spearmanr(X).statistic), atol=1e-12)


def test_spread_is_the_scaled_standard_deviation(X: np.ndarray) -> None:
    deviation = X.std(axis=0, ddof=1)
    expected = (deviation - deviation.min()) / (deviation.max() - deviation.min())
    np.testing.assert_allclose(column_graph(X).spread, expected, atol=1e-12)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_product_equals_the_dense_matrix(X: np.ndarray, alpha: float) -> None:
    graph = column_graph(X)
    graph.spread[4] = graph.spread[7]  # a tie in the sorted product
    vector = np.random.default_rng(1).normal(size=12)
    np.testing.assert_allclose(graph.dot(vector, alpha=alpha), graph.matrix(alpha=alpha) @ vector, atol=1e-12)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_sum_equals_the_inverse_of_the_2015_paper(X: np.ndarray, alpha: float) -> None:
    weights = column_graph(X).matrix(alpha=alpha)
    rate = 0.9 / np.linalg.eigvalsh(weights).max()
    expected = (np.linalg.inv(np.eye(12) - rate * weights) - np.eye(12)).sum(axis=1)
    # 1e-9: the spectral radius comes from an iteration, not from a full decomposition
    np.testing.assert_allclose(inf_fs(X, alpha=alpha), expected, rtol=1e-9)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_sum_equals_the_inverse_of_the_2020_code(X: np.ndarray, alpha: float) -> None:
    weights = column_graph(X).matrix(alpha=alpha)
    eps, largest = 5e-6 * 12, weights.sum(axis=1).max()
    scaled = (1 - eps) / largest * weights / (largest + eps)
    expected = (np.linalg.inv(np.eye(12) - scaled) - np.eye(12)).sum(axis=1)
    np.testing.assert_allclose(inf_fs(X, alpha=alpha, form="2020-U"), expected, rtol=1e-9)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_sum_equals_the_paths_added_one_length_at_a_time(X: np.ndarray, alpha: float) -> None:
    graph = column_graph(X)
    rate = 0.9 / spectral_radius(graph, alpha=alpha)
    term, total = np.ones(12), np.zeros(12)
    for _ in range(300):  # 0.9 ** 300 < 1e-13
        term = rate * graph.dot(term, alpha=alpha)
        total += term
    np.testing.assert_allclose(infinite_sum(graph, alpha=alpha), total, rtol=1e-9)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_eigenvalues_equal_the_full_decomposition(X: np.ndarray, alpha: float) -> None:
    graph = column_graph(X)
    values, vectors = np.linalg.eigh(graph.matrix(alpha=alpha))
    sizes = np.sort(np.abs(values))
    assert spectral_radius(graph, alpha=alpha) == pytest.approx(values[-1], rel=1e-10)
    np.testing.assert_allclose(leading_eigenvector(graph, alpha=alpha), np.abs(vectors[:, -1]), atol=1e-9)
    # 1e-3: the second eigenvalue is a diagnostic, its iteration stops early
    assert second_eigenvalue(graph, alpha=alpha) == pytest.approx(sizes[-2] / sizes[-1], rel=1e-3)


def test_rank_one_graph_gives_one_ranking_whatever_the_path_length() -> None:
    strength = np.random.default_rng(2).uniform(0.1, 1, 9)
    graph = as_graph(np.outer(strength, strength))
    for scores in (degree(graph, alpha=0), leading_eigenvector(graph, alpha=0), infinite_sum(graph, alpha=0)):
        np.testing.assert_allclose(scores / scores.sum(), strength / strength.sum(), rtol=1e-9)
    assert second_eigenvalue(graph, alpha=0) == pytest.approx(0, abs=1e-6)


def test_star_graph_is_bipartite_and_still_converges() -> None:
    weights = np.zeros((5, 5))
    weights[0, 1:] = weights[1:, 0] = 1.0
    assert spectral_radius(as_graph(weights), alpha=0) == pytest.approx(2.0, rel=1e-9)


def test_paths_change_the_order_where_a_hub_has_weak_neighbours() -> None:
    weights = np.zeros((12, 12))
    weights[:6, :6] = 0.5  # a clique: degree 2.5 each
    weights[6, 7:] = weights[7:, 6] = 0.55  # a star: its hub has degree 2.75, its leaves little
    np.fill_diagonal(weights, 0)
    graph = as_graph(weights)
    assert degree(graph, alpha=0).argmax() == 6
    assert infinite_sum(graph, alpha=0).argmax() < 6


def test_2020_form_orders_columns_by_degree(X: np.ndarray) -> None:
    wide = np.random.default_rng(4).normal(size=(20, 300))
    graph = column_graph(wide)
    first, total = degree(graph, alpha=0.5), infinite_sum(graph, alpha=0.5, form="2020-U")
    np.testing.assert_array_equal(np.argsort(first)[-30:], np.argsort(total)[-30:])


def test_duplicated_columns_get_the_same_score(X: np.ndarray) -> None:
    scores = inf_fs(np.c_[X, X[:, 5]])
    assert scores[5] == pytest.approx(scores[-1], rel=1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_monotone_change_of_a_column_keeps_the_dissimilarity_form(X: np.ndarray, form: str) -> None:
    np.testing.assert_allclose(inf_fs(np.exp(X / 5), alpha=0, form=form), inf_fs(X, alpha=0, form=form), rtol=1e-9)


def test_a_graph_without_edges_scores_zero() -> None:
    assert infinite_sum(as_graph(np.zeros((4, 4))), alpha=0).tolist() == [0, 0, 0, 0]
    assert second_eigenvalue(as_graph(np.zeros((4, 4))), alpha=0) == 0


def test_score_function_serves_select_k_best(X: np.ndarray) -> None:
    support = SelectKBest(inf_fs, k=3).fit(X, np.arange(25) % 2).get_support()
    np.testing.assert_array_equal(support, InfFS(3).fit(X).get_support())


def test_histogram_rule_counts_bins_above_the_mean_bin() -> None:
    scores = np.r_[np.zeros(6), 1.0, 1.0, 1.0, 2.0]  # 5 bins: counts 6 0 3 0 1, mean 2
    assert histogram_size(scores) == 2
    assert InfFS("auto").fit(np.random.default_rng(0).normal(size=(9, 8))).get_support().sum() >= 1


def test_errors_say_what_was_expected(X: np.ndarray) -> None:
    graph = column_graph(X)
    with pytest.raises(ValueError, match=r"alpha must be in \[0, 1\], got 2"):
        infinite_sum(graph, alpha=2)
    with pytest.raises(ValueError, match="form must be one of"):
        infinite_sum(graph, alpha=0.5, form="2020")
    with pytest.raises(ValueError, match="at least two rows"):
        column_graph(X[:1])


def test_memory_grows_with_the_square_of_the_columns() -> None:
    """No inverse and no second matrix that lasts: four times the columns, at most sixteen times the memory."""
    rng = np.random.default_rng(0)
    few, many = (peak_bytes(InfFS(), rng.standard_normal((30, d))) for d in (300, 1200))
    assert 8 * 1200**2 < many <= 16 * few
    assert many < 4 * 8 * 1200**2
