"""KernelSHAP against Shapley's own formula and captum, LIME against captum's ridge, on equal subsets."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from lib.explain import surrogate
from lib.explain.features import cells, spread

WEIGHTS = torch.randn(3 * 64, 4, generator=torch.Generator().manual_seed(1))
FEATURES = cells((8, 8), 2)


def score(images: Tensor) -> Tensor:
    return (images.flatten(1) @ WEIGHTS).softmax(1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int = 3) -> Tensor:
    return torch.rand(n, 3, 8, 8, generator=generator(5))


def shapley(image: Tensor, label: int, features: Tensor) -> Tensor:
    """Mean over all orders of the features of what each adds when it comes."""
    g = int(features.max()) + 1
    total = torch.zeros(g, dtype=torch.float64)
    for order in itertools.permutations(range(g)):
        gate = torch.zeros(g)
        before = score((image * gate[features])[None])[0, label]
        for feature in order:
            gate[feature] = 1
            after = score((image * gate[features])[None])[0, label]
            total[feature] += float(after - before) / math.factorial(g)
            before = after
    return total


def test_all_subsets_give_shapley_values():
    x, y = images(), torch.tensor([0, 3, 1])
    maps = surrogate.kernel_shap(score, x, y, generator=generator(), features=FEATURES, n_samples=14)
    for index in range(3):
        exact = spread(shapley(x[index], int(y[index]), FEATURES), FEATURES).float()
        torch.testing.assert_close(maps[index], exact, atol=2e-6, rtol=1e-4)  # float32 scores of about 1


def test_few_subsets_still_sum_to_the_whole_change():
    x, y, pixels = images(2), torch.tensor([2, 0]), torch.arange(64).view(8, 8)
    for n_samples in (10, 300):  # fewer and more subsets than features
        maps = surrogate.kernel_shap(score, x, y, generator=generator(), features=pixels, n_samples=n_samples)
        change = (score(x) - score(torch.zeros_like(x))).gather(1, y[:, None])[:, 0]
        torch.testing.assert_close(maps.sum((1, 2)), change, atol=1e-5, rtol=1e-4)


def test_an_additive_score_is_recovered_from_any_sample():
    x = images(1)

    def additive(batch: Tensor) -> Tensor:
        return batch.sum((1, 2, 3))[:, None]

    group = cells((8, 8), 4)
    y = torch.zeros(1, dtype=torch.int64)
    maps = surrogate.kernel_shap(additive, x, y, generator=generator(), features=group, n_samples=100)
    amounts = torch.zeros(16).index_add_(0, group.flatten(), x[0].sum(0).flatten())
    torch.testing.assert_close(maps[0], amounts[group], atol=1e-3, rtol=1e-4)
    slopes = surrogate.lime(additive, x, y, generator=generator(), features=group, n_samples=100, ridge=0.0)
    torch.testing.assert_close(slopes, maps, atol=1e-3, rtol=1e-3)


def test_sampled_sizes_follow_the_kernel_and_pairs_are_complements():
    found = surrogate.shapley_subsets(14, 8001, generator=generator())
    assert found.gates.shape == (8001, 14)
    assert torch.equal(found.gates[0:8000:2], 1 - found.gates[1:8000:2])
    sizes = found.gates.sum(1).long()
    mass = torch.tensor([1 / (k * (14 - k)) for k in range(1, 14)])
    share = torch.bincount(sizes, minlength=15)[1:14] / len(sizes)
    torch.testing.assert_close(share, mass / mass.sum(), atol=0.03, rtol=0)  # 4,000 draws: five deviations
    assert not torch.equal(found.gates, surrogate.shapley_subsets(14, 8001, generator=generator(1)).gates)


def test_pairs_come_nearer_to_the_exact_values():
    x, y, options = images(1), torch.tensor([1]), {"features": cells((8, 8), 3)}

    def curved(batch: Tensor) -> Tensor:
        return (batch.flatten(1) @ WEIGHTS).square()

    exact = surrogate.kernel_shap(curved, x, y, generator=generator(), n_samples=510, **options)
    for seed in range(5):  # a pair cancels all interactions of two features, which are all that a square has
        drawn = {"generator": generator(seed), "n_samples": 80, **options}
        near = surrogate.kernel_shap(curved, x, y, **drawn)
        far = surrogate.kernel_shap(curved, x, y, **{**drawn, "generator": generator(seed)}, paired=False)
        assert (near - exact).abs().max() < 0.1 * (far - exact).abs().max()


def test_batch_equals_single_with_features_of_its_own_for_every_image():
    x, y = images(3), torch.tensor([0, 3, 1])
    groups = torch.stack([cells((8, 8), 3), cells((8, 8), 4), cells((8, 8), 3)])
    for method in (surrogate.kernel_shap, surrogate.lime):
        options = {"n_samples": 40, "fill": 0.3}
        both = method(score, x, y, generator=generator(), max_batch=16, features=groups, **options)
        for i in range(3):
            one = slice(i, i + 1)
            single = method(score, x[one], y[one], generator=generator(), features=groups[one], **options)
            torch.testing.assert_close(both[one], single, atol=1e-5, rtol=1e-4)
        shared = method(score, x, y, generator=generator(), features=groups[0], **options)
        torch.testing.assert_close(shared[[0, 2]], both[[0, 2]], atol=1e-5, rtol=1e-4)


class Recorder:
    """The score, remembering which features captum kept; the image is positive everywhere and the fill is 0."""

    def __init__(self) -> None:
        self.gates: list[Tensor] = []

    def __call__(self, batch: Tensor) -> Tensor:
        self.gates.append((batch[:, 0, ::4, ::4].flatten(1) > 0).float())  # one pixel of each feature
        return score(batch)


def test_kernel_shap_equals_captum_on_its_subsets():
    from captum.attr import KernelShap

    x, recorder = images(1) + 0.01, Recorder()
    torch.manual_seed(0)
    theirs = KernelShap(recorder).attribute(x, target=2, feature_mask=FEATURES.expand(1, 3, 8, 8), n_samples=40)
    gates = torch.cat(recorder.gates)[-40:]
    assert gates[0].all()  # captum asks the whole and the empty image first
    assert not gates[1].any()
    kept = surrogate.Subsets(gates[2:], torch.ones(38, dtype=torch.float64))
    values = score(x * gates[:, FEATURES][:, None])[:, 2]
    ours = surrogate.additive_fit(kept, values[None, 2:] - values[1], values[:1] - values[1])[0]
    # captum weighs the two end points a million times more instead of fixing them
    torch.testing.assert_close(spread(ours, FEATURES).float(), theirs[0, 0], atol=2e-5, rtol=1e-3)


def test_lime_equals_captum_with_ridge_on_its_subsets():
    from captum._utils.models.linear_model import SkLearnRidge
    from captum.attr import Lime

    def near(original: Tensor, perturbed: Tensor, gates: Tensor, **_: object) -> Tensor:
        distance = 1 - gates.double().mean().sqrt()
        return torch.exp(-distance.square() / (2 * 0.25**2))

    x, recorder = images(1) + 0.01, Recorder()
    torch.manual_seed(0)
    lime = Lime(recorder, interpretable_model=SkLearnRidge(alpha=1.0), similarity_func=near)
    theirs = lime.attribute(x, target=2, feature_mask=FEATURES.expand(1, 3, 8, 8), n_samples=40)
    gates = torch.cat(recorder.gates)[-40:]
    distance = 1 - gates.double().mean(1).sqrt()
    kept = surrogate.Subsets(gates, torch.exp(-distance.square() / (2 * 0.25**2)))
    values = score(x * gates[:, FEATURES][:, None])[:, 2]
    ours = surrogate.ridge_fit(kept, values[None], ridge=1.0)[0]
    torch.testing.assert_close(spread(ours, FEATURES).float(), theirs[0, 0], atol=2e-6, rtol=1e-4)
    drawn = surrogate.lime_subsets(4, 40, generator=generator())
    again = 1 - drawn.gates.double().mean(1).sqrt()
    torch.testing.assert_close(drawn.weights, torch.exp(-again.square() / (2 * 0.25**2)))


def test_one_feature_and_bad_numbers():
    x, y = images(1), torch.tensor([1])
    whole = torch.zeros(8, 8, dtype=torch.int64)
    change = score(x)[0, 1] - score(0 * x)[0, 1]
    only = surrogate.kernel_shap(score, x, y, generator=generator(), features=whole, n_samples=5)
    torch.testing.assert_close(only, change.expand(1, 8, 8))
    with pytest.raises(ValueError, match="n_features and n_samples must be at least 1, got 64 and 0"):
        surrogate.kernel_shap(score, x, y, generator=generator(), features=torch.arange(64).view(8, 8), n_samples=0)
    with pytest.raises(ValueError, match="width must be positive"):
        surrogate.lime(score, x, y, generator=generator(), width=0.0)
    with pytest.raises(ValueError, match="ridge must be at least 0"):
        surrogate.lime(score, x, y, generator=generator(), ridge=-1.0)
