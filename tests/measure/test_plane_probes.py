import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from lib.measure.fairness import auc
from lib.measure.plane_probes import neighbour_accuracy, planes, probe_auc, read_trial, spread


def hidden(n: int, seed: int, *, wide: float) -> tuple[Tensor, Tensor]:
    """An attribute in one narrow direction of ten; two others, without meaning, are ``wide`` times as wide."""
    chance = torch.Generator().manual_seed(seed)
    kind = torch.randint(0, 2, (n,), generator=chance).double()
    x = torch.randn(n, 10, generator=chance).double()
    x[:, 2] = 0.3 * x[:, 2] + kind
    x[:, :2] *= wide
    return x, kind


def test_the_plane_hides_what_a_probe_finds() -> None:
    (x, kind), (test, other) = hidden(300, 0, wide=5.0), hidden(200, 1, wide=5.0)
    views = planes(x, test, seed=0)
    full, plane = (probe_auc(views[v][1], kind, views[v][0], other, penalty=1e-3) for v in ("embedding", "PCA"))
    assert full > 0.95
    assert abs(plane - 0.5) < 0.12  # three standard errors of an AUC of chance with 100 of each kind
    assert abs(spread(views["PCA"][0], other)) < 0.02
    assert abs(neighbour_accuracy(views["t-SNE"][0], other) - 0.5) < 0.15


def test_the_plane_shows_what_is_wide() -> None:
    (x, kind), (test, other) = hidden(300, 0, wide=0.2), hidden(200, 1, wide=0.2)
    x[:, 2] += 8 * kind
    test[:, 2] += 8 * other
    views = planes(x, test, seed=0)
    assert probe_auc(views["PCA"][1], kind, views["PCA"][0], other, penalty=1e-3) > 0.99
    assert neighbour_accuracy(views["t-SNE"][0], other) > 0.95
    assert spread(views["PCA"][0], other) > 0.5


def test_the_plane_is_that_of_the_training_rows() -> None:
    (x, _), (test, _) = hidden(80, 0, wide=3.0), hidden(30, 1, wide=3.0)
    found, again = planes(x, test, seed=3), planes(x, test[:10], seed=3)
    expected = PCA(2).fit(x.numpy())
    ours, theirs = found["PCA"][0].numpy(), expected.transform(test.numpy()) / x.numpy().std(0)[:1]
    for k in range(2):
        assert abs(np.corrcoef(ours[:, k], theirs[:, k])[0, 1]) == pytest.approx(1, abs=1e-9)
    torch.testing.assert_close(found["PCA"][0][:10], again["PCA"][0])
    assert found["t-SNE"][1] is None
    torch.testing.assert_close(found["t-SNE"][0], planes(x, test, seed=3)["t-SNE"][0])


def test_neighbours_by_brute_force() -> None:
    rng = np.random.default_rng(0)
    points, kind = rng.normal(size=(40, 3)), (rng.random(40) < 0.3).astype(int)
    right = []
    for i in range(40):
        distance = ((points - points[i]) ** 2).sum(1)
        distance[i] = np.inf
        right.append(kind[distance.argmin()] == kind[i])
    right = np.array(right)
    assert neighbour_accuracy(points, kind) == pytest.approx((right[kind == 0].mean() + right[kind == 1].mean()) / 2)
    assert np.isnan(neighbour_accuracy(points, np.zeros(40, int)))
    assert np.isnan(spread(points, np.zeros(40, int)))


def test_reading_a_trial_leaves_patients_out_and_brings_floors() -> None:
    chance = torch.Generator().manual_seed(5)
    trial = {}
    for part, n in (("", 240), (" train", 300)):
        known = torch.rand(n, 4, generator=chance).double()
        known = torch.stack(
            [20 + 70 * known[:, 0], (known[:, 1] > 0.5).double(), known[:, 2], (3 * known[:, 3]).floor()], 1
        )
        images = torch.randn(n, 6, generator=chance)
        images[:, 0] += 3 * known[:, 1].float()
        images[:, 1] += 0.1 * known[:, 0].float()
        trial |= {f"known{part}": known, f"images{part}": images}
        trial[f"outline{part}"] = torch.randn(n, 3, generator=chance).double()
    found = read_trial(trial, planes(trial["images train"], trial["images"], seed=0), penalty=1e-3, seed=0)
    wide = found.pivot(index=["quantity", "reader"], columns="attribute", values="value")
    age = trial["known"][:, 0]
    kept, taught = ((part < 50) | (part >= 60) for part in (age, trial["known train"][:, 0]))
    alone = probe_auc(
        trial["images train"][taught], trial["known train"][taught, 0] > 55, trial["images"][kept], age[kept] > 55,
        penalty=1e-3,
    )  # fmt: skip
    assert wide.loc[("AUC", "embedding"), "age"] == pytest.approx(alone, abs=1e-6)
    assert wide.loc[("AUC", "embedding"), ["sex", "age"]].min() > 0.9
    for reader, attributes in (("table", ["sex", "age", "group"]), ("silhouette", ["sex"]), ("permuted", ["group"])):
        off = wide.loc[("AUC", reader), attributes] - 0.5
        assert off.abs().max() < 0.16, reader  # four standard errors with 80 of each kind
    assert ("AUC", "t-SNE") not in wide.index
    assert {("neighbour", "t-SNE"), ("spread", "PCA")} <= set(wide.index)


def test_a_probe_is_scored_by_the_auc_and_needs_two_kinds() -> None:
    (x, kind), (test, other) = hidden(100, 0, wide=1.0), hidden(60, 1, wide=1.0)
    assert probe_auc(x, kind, x[:, 2:3].repeat(1, 10), kind, penalty=1e-3) <= 1
    assert probe_auc(x[:, 2:3], kind, test[:, 2:3], other, penalty=1e-3) == pytest.approx(
        auc(test[:, 2].numpy(), other.numpy())
    )
    with pytest.raises(ValueError, match="must hold 0 and 1"):
        probe_auc(x, torch.ones(100), test, other, penalty=1e-3)
