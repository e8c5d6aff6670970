"""Scores along an order, stopping rules and cost curves, against brute force and peers."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from lib.measure.acquisition_scores import RULES, along, at_cost, curve, gains, mean_order, same_for_all, score, stopped
from lib.select.dime import DIME
from lib.select.dime_networks import Dime


def made(n: int = 60, steps: int = 6, classes: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    logits = rng.normal(size=(n, steps + 1, classes)).cumsum(axis=1)
    logits[np.arange(n), :, y] += 0.5 * np.arange(steps + 1)
    p = np.exp(logits - logits.max(axis=2, keepdims=True))
    return p / p.sum(axis=2, keepdims=True), rng.random((n, steps)), y


def test_score_is_the_area_under_the_curve_or_accuracy() -> None:
    p, _, y = made()
    tied = p[:, 3].round(1)
    assert score(tied, y) == pytest.approx(100 * roc_auc_score(y, tied[:, 1]))
    p, _, y = made(classes=3)
    assert score(p[:, 2], y) == pytest.approx(100 * (p[:, 2].argmax(axis=1) == y).mean())
    assert np.isnan(score(p[:, 2, :2], np.zeros(60, dtype=int)))


def test_along_hides_what_was_not_asked_for() -> None:
    torch.manual_seed(0)
    network, x = Dime(4, 3), torch.randn(7, 4)
    order = torch.rand(7, 4).argsort(dim=1)
    found = along(network, x, order[:, :2])
    hidden = x.scatter(1, order[:, 2:], 99.0)
    np.testing.assert_array_equal(along(network, hidden, order[:, :2]), found)
    np.testing.assert_allclose(found.sum(axis=2), 1, atol=1e-6)
    known = torch.zeros(7, 4, dtype=torch.bool).scatter(1, order[:, :1], True)
    with torch.no_grad():
        np.testing.assert_allclose(found[:, 1], network(x, known)[0].softmax(dim=1), atol=1e-6)
    assert along(network, x, same_for_all(torch.tensor([1, 3, 0]), 7)).shape == (7, 4, 3)


def test_mean_order_is_the_ranking_of_the_estimator() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 5))
    y = (X[:, 1] + 0.5 * X[:, 3] > 0).astype(int)
    model = DIME(2, max_features=3, pretrain_epochs=3, epochs=1, stages=1, random_state=0).fit(X, y)
    order = mean_order(torch.from_numpy(model.acquire(X).order), 5)
    np.testing.assert_array_equal(model.ranking_[order.numpy()], np.arange(1, 6))


def test_gains_add_up_to_the_loss_saved() -> None:
    p, _, y = made(classes=3)
    rows = np.arange(len(y))
    np.testing.assert_allclose(gains(p, y).sum(axis=1), np.log(p[rows, -1, y]) - np.log(p[rows, 0, y]))


@pytest.mark.parametrize("rule", RULES)
def test_all_rules_agree_at_no_and_at_all_questions(rule: str) -> None:
    p, guesses, y = made()
    line = curve(p, y)
    np.testing.assert_allclose(stopped(rule, p, guesses, y, means=np.array([0.0, 6.0])), [line[0], line[-1]])


@pytest.mark.parametrize("rule", RULES[1:])
def test_a_threshold_stops_each_row_at_its_own_place(rule: str) -> None:
    p, guesses, y = made()
    threshold = 0.8 if rule == "confidence" else 0.4
    count = []
    for row in range(len(y)):
        met = (p[row, :-1].max(axis=1) >= threshold) if rule == "confidence" else (guesses[row] <= threshold)
        count.append(int(met.argmax()) if met.any() else 6)
    expected = score(p[np.arange(len(y)), count], y)
    near = stopped(rule, p, guesses, y, means=np.array([np.mean(count)]))[0]
    assert near == pytest.approx(expected, abs=3.0)  # percent; between two of the thresholds that are laid out


def test_confidence_spends_questions_where_they_help() -> None:
    p = np.zeros((100, 3, 2))  # one half knows after the first question, the other after the second
    y = np.tile([0, 1], 50)
    p[:] = 0.5
    p[:50, 1:] = p[50:, 2:] = np.eye(2)[y[:50]][:, None] * 0.98 + 0.01
    guesses = np.where(np.arange(100)[:, None] < 50, [[0.6, 0.0]], [[0.6, 0.6]])
    found = {rule: stopped(rule, p, guesses, y, means=np.array([1.5]))[0] for rule in RULES}
    assert found["confidence"] == found["penalty"] == 100.0
    assert found["budget"] < 95


def test_cost_curve_follows_the_cumulated_mean_cost() -> None:
    p, _, y = made(n=40, steps=3)
    order, costs = torch.tensor([[0, 1, 2], [2, 1, 0]]).repeat(20, 1), torch.tensor([1.0, 2.0, 5.0])
    line = curve(p, y)
    found = at_cost(p, order, costs, y, means=np.array([0.0, 3.0, 4.0, 8.0]))
    np.testing.assert_allclose(found, [line[0], line[1], (line[1] + line[2]) / 2, line[3]])
    with pytest.raises(ValueError, match="means must be at most 8"):
        at_cost(p, order, costs, y, means=np.array([9.0]))


def test_bad_rules_and_means_are_refused() -> None:
    p, guesses, y = made()
    with pytest.raises(ValueError, match="rule must be one of budget"):
        stopped("never", p, guesses, y, means=np.array([1.0]))
    with pytest.raises(ValueError, match=r"means must be in 0\.\.6"):
        stopped("budget", p, guesses, y, means=np.array([7.0]))
