"""Sobol' indices against closed forms, against brute force, and under the contract's groups."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lib.explain import sobol, truths
from lib.explain.features import cells

ZERO = torch.zeros(1, dtype=torch.int64)
KNOWN = [truths.ishigami(), truths.g_function(), *truths.logical()]


def asked(known: truths.Known, n: int, *, seed: int, points: str = "sobol", max_batch: int = 4096) -> Tensor:
    image, features = truths.row(len(known.total))
    design = sobol.pick_freeze(n, len(known.total), points=points, seed=seed)
    return sobol.answers(known.score, image, 0, design, features=features, max_batch=max_batch)


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
@pytest.mark.parametrize("estimator", sobol.ESTIMATORS)
def test_closed_forms(known, estimator):
    scores = [asked(known, 2048, seed=seed) for seed in range(3)]
    for order, truth in (("total", known.total), ("first", known.first)):
        found = torch.stack([sobol.estimate(each, order=order, estimator=estimator) for each in scores]).mean(0)
        # plain Monte Carlo with three times 2,048 rows has a standard error of about .01; Sobol' points are closer
        torch.testing.assert_close(found, truth, atol=0.015, rtol=0)


def test_sobol_2007_by_its_formula():
    scores = torch.rand(4, 16, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    a, b, *mixed = scores.tolist()
    spread = {name: sum((v - sum(x) / 16) ** 2 for v in x) / 15 for name, x in (("a", a), ("b", b))}
    total = [sum(p * (p - q) for p, q in zip(a, c, strict=True)) / 16 / spread["a"] for c in mixed]
    first = [sum(r * (q - p) for p, q, r in zip(a, c, b, strict=True)) / 16 / spread["b"] for c in mixed]
    assert sobol.estimate(scores, estimator="sobol2007").tolist() == pytest.approx(total, rel=1e-12)
    assert sobol.estimate(scores, order="first", estimator="sobol2007").tolist() == pytest.approx(first, rel=1e-12)


@pytest.mark.parametrize("points", ["halton", "lhs", "mc"])
def test_other_points_have_the_same_limit(points):
    known = truths.ishigami()
    found = sobol.estimate(asked(known, 8192, seed=0, points=points))
    torch.testing.assert_close(found, known.total, atol=0.04, rtol=0)


def test_known_indices_add_up():
    for known in KNOWN:
        assert bool((known.first <= known.total + 1e-12).all())
        assert float(known.first.sum()) <= 1 + 1e-12
    ishigami = truths.ishigami()
    # two inputs interact: their joint part is counted in both totals
    joint = 1 - float(ishigami.first.sum())
    assert math.isclose(float(ishigami.total.sum()), 1 + joint, rel_tol=1e-9)


def test_inputs_without_effect_get_exactly_nothing():
    for known in truths.logical(spare=3):
        assert sobol.estimate(asked(known, 64, seed=0))[2:].abs().max() < 1e-12


def test_design_exchanges_one_column():
    design = sobol.pick_freeze(4, 3, seed=0)
    assert len(design) == 4 * 5
    everything = design.gates(0, len(design)).view(5, 4, 3)
    assert torch.equal(everything[0], design.a) and torch.equal(everything[1], design.b)
    for column in range(3):
        expected = design.a.clone()
        expected[:, column] = design.b[:, column]
        assert torch.equal(everything[2 + column], expected)
    pieces = torch.cat([design.gates(start, start + 7) for start in range(0, 20, 7)])
    assert torch.equal(pieces, everything.view(20, 3))


def test_jansen_by_brute_force_on_images():
    image, fill = torch.rand(2, 5, 6), torch.tensor([0.2, 0.7])
    weights = 0.2 * torch.randn(60, 3)  # far from saturation, where float32 would leave nothing of the differences

    def score(batch: Tensor) -> Tensor:
        return (batch.flatten(1) @ weights).softmax(1)

    features = torch.randint(0, 4, (5, 6))
    features[0, :4] = torch.arange(4)
    design = sobol.pick_freeze(8, 4, points="mc", seed=5)
    scores = sobol.answers(score, image, 1, design, features=features, fill=fill, max_batch=3)

    def one(gate: Tensor) -> float:
        mask = torch.stack([gate[features[y, x]] for y in range(5) for x in range(6)]).view(5, 6)
        return float(score((image * mask + fill[:, None, None] * (1 - mask))[None])[0, 1])

    a = [one(gate) for gate in design.a]
    mean = sum(a) / 8
    variance = sum((value - mean) ** 2 for value in a) / 7
    for feature in range(4):
        total = 0.0
        for row in range(8):
            gate = design.a[row].clone()
            gate[feature] = design.b[row, feature]
            total += (a[row] - one(gate)) ** 2
        found = float(sobol.estimate(scores)[feature])
        assert math.isclose(found, total / (2 * 8 * variance), rel_tol=1e-4)  # float32 scores


def test_maps_follow_features_of_each_image():
    images = torch.rand(2, 1, 4, 4)
    features = torch.stack([cells((4, 4), 2), cells((4, 4), 4)])

    def score(batch: Tensor) -> Tensor:
        return batch[:, 0, :2, :2].sum((1, 2))[:, None]  # only the first quarter matters

    def found(which: slice) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        target = torch.zeros(len(images[which]), dtype=torch.int64)
        options = {"features": features[which], "n_design": 512, "generator": generator}
        return sobol.sobol(score, images[which], target, **options)

    maps = found(slice(0, 2))
    torch.testing.assert_close(maps[0, :2, :2], torch.ones(2, 2), atol=0.1, rtol=0)
    assert maps[:, 2:].abs().max() == 0
    for index in range(2):
        torch.testing.assert_close(found(slice(index, index + 1))[0], maps[index])  # batch = single
    # a sum has no interactions: first-order indices of the four pixels are their share of the squares
    share = images[1, 0, :2, :2].square()
    torch.testing.assert_close(maps[1, :2, :2], share / share.sum(), atol=0.05, rtol=0)


def test_constant_scores_have_no_indices():
    for estimator in sobol.ESTIMATORS:
        maps = sobol.sobol(
            lambda batch: torch.full((len(batch), 1), 0.3),
            torch.rand(1, 1, 4, 4),
            ZERO,
            generator=torch.Generator(),
            grid=2,
            estimator=estimator,
        )
        assert torch.equal(maps, torch.zeros(1, 4, 4))


def test_errors():
    image, features = truths.row(3)
    with pytest.raises(ValueError, match="design must have 3 columns, one per feature, got 2"):
        sobol.answers(KNOWN[0].score, image, 0, sobol.pick_freeze(4, 2, seed=0), features=features)
    with pytest.raises(ValueError, match=r"scores must be \(d \+ 2, n >= 2\)"):
        sobol.estimate(torch.zeros(2, 8))
    with pytest.raises(ValueError, match="estimator must be one of"):
        sobol.estimate(torch.rand(4, 8), estimator="best")
    with pytest.raises(ValueError, match="spare must be at least 0"):
        truths.logical(spare=-1)
