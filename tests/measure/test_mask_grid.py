"""The grid of masks: ridge against scikit-learn, floors at one half, permuted labels, repeated patients."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import Ridge

from lib.measure import mask_grid
from lib.measure.fairness import auc


def drawn(n: int, seed: int, *, effect: float = 1.0) -> tuple[torch.Tensor, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    x = rng.normal(size=(n, 6))
    x[:, 0] += effect * labels
    return torch.tensor(x, dtype=torch.float32), labels


@pytest.mark.parametrize("n", [80, 5])  # more films than features, and fewer
def test_heads_are_ridge_regression(n):
    x, y = drawn(n, 0)
    other, _ = drawn(30, 1)
    heads = mask_grid.fit_heads(x, torch.tensor(np.stack([y, 1 - y], 1)), penalty=0.3)
    scale = x.double().std(0, correction=0)
    z, w = ((part.double() - x.double().mean(0)) / scale for part in (x, other))
    peer = Ridge(alpha=0.3 * len(x)).fit(z.numpy(), y)
    scores = heads(other).numpy()
    assert np.allclose(scores[:, 0], peer.predict(w.numpy()) - peer.intercept_, atol=1e-8)
    assert np.allclose(scores[:, 1], -scores[:, 0])


def test_scale_and_shift_of_a_feature_do_not_matter():
    x, y = drawn(60, 2)
    moved = x.double() * 7 - 3
    targets = torch.tensor(y)[:, None]
    one = mask_grid.fit_heads(x.double(), targets, penalty=0.1)(x.double())
    assert torch.allclose(one, mask_grid.fit_heads(moved, targets, penalty=0.1)(moved), atol=1e-9)


def test_a_constant_floor_is_one_half_exactly():
    x, y = drawn(50, 3, effect=3.0)
    w, z = drawn(40, 4, effect=3.0)
    train = {"same": torch.ones(50, 3), "other": torch.ones(50, 3), "table": x}
    test = {"same": torch.ones(40, 3), "other": torch.full((40, 3), 9.0), "table": w}
    found = mask_grid.floors(train, test, y, z, penalty=0.1).set_index("floor")["auc"]
    assert list(found.index) == list(train)
    assert found["same"] == found["other"] == 0.5
    assert found["table"] > 0.9


def levels(seeds: int = 3) -> pd.DataFrame:
    """AUCs that differ in every row, for two masks and two questions."""
    rng, rows, floors = np.random.default_rng(0), [], []
    for s in range(seeds):
        for task in ("x", "y"):
            floors += [(name, rng.random(), task, s) for name in ("table", "a", "b", "unused")]
            for arm in ("off", "on"):
                rows += [(k, m, rng.random(), rng.random(), arm, task, s) for k in "ab" for m in "ab"]
    cells = pd.DataFrame(rows, columns=["train", "test", "auc", "permuted", "arm", "task", "seed"])
    found = pd.DataFrame(floors, columns=["floor", "auc", "task", "seed"])
    return mask_grid.beside_floors(cells, found, masks=["a", "b"])


def test_every_mask_stands_beside_its_own_floors():
    table = levels()
    assert len(table) == 3 * 2 * 2 * 5
    assert set(table["what"]) == {"shortcut off", "shortcut on", *mask_grid.FLOORS}
    assert not table.duplicated(["task", "mask", "what", "seed"]).any()
    shared = table[table["what"] == "table"].groupby(["task", "seed"])["auc"].nunique()
    assert (shared == 1).all(), "the table is the same floor for both masks"
    own = table[table["what"] == "silhouette"].groupby(["task", "seed"])["auc"].nunique()
    assert (own == 2).all()


def test_above_floor_against_loops():
    table = levels()
    gains = mask_grid.above_floor(table, mask="b", arm="on", tasks=["x", "y"])
    expected = np.zeros(3)
    for task in ("x", "y"):
        part = table[(table["mask"] == "b") & (table["task"] == task)].sort_values("seed")
        values = {what: rows["auc"].to_numpy() for what, rows in part.groupby("what")}
        best = max(mask_grid.FLOORS, key=lambda name: values[name].mean())
        expected += (values["shortcut on"] - values[best]) / 2
    assert np.allclose(gains, expected)
    alone = mask_grid.above_floor(table, mask="b", arm="on", tasks=["x"], allowed=["table"])
    assert alone.shape == (3,)
    assert alone.mean() >= mask_grid.above_floor(table, mask="b", arm="on", tasks=["x"]).mean()
    with pytest.raises(ValueError, match="levels must hold"):
        mask_grid.above_floor(table, mask="c", arm="on", tasks=["x"])


def test_cross_finds_what_is_there_and_permuted_labels_do_not():
    x, y = drawn(400, 5, effect=2.0)
    t, z = drawn(1000, 6, effect=2.0)
    noise, empty = (
        torch.randn(400, 6, generator=torch.Generator().manual_seed(0)),
        torch.randn(1000, 6, generator=torch.Generator().manual_seed(1)),
    )
    found = mask_grid.cross(
        {"full": x, "nothing": noise}, {"full": t, "nothing": empty}, y, z, penalty=0.1, rng=np.random.default_rng(0)
    )
    table = found.set_index(["train", "test"])
    assert len(found) == 4
    assert table.loc[("full", "full"), "auc"] == pytest.approx(auc(t[:, 0].numpy(), z), abs=0.02)
    assert abs(table.loc[("nothing", "nothing"), "auc"] - 0.5) < 0.06  # three standard errors of 1,000 rows
    repeated = [
        mask_grid.cross({"full": x}, {"full": t}, y, z, penalty=0.1, rng=np.random.default_rng(s))["permuted"][0]
        for s in range(20)
    ]
    assert abs(np.mean(repeated) - 0.5) < 0.12  # the direction of one noisy head at a time
    assert len(set(repeated)) > 1


def test_repeated_patients_count_as_often_as_they_come():
    x, y = drawn(50, 7)
    t, z = drawn(40, 8)
    make = {"penalty": 0.1}
    once = mask_grid.cross({"a": x}, {"a": t}, y, z, **make, rng=np.random.default_rng(1))
    twice = mask_grid.cross({"a": torch.cat([x, x])}, {"a": t}, y, z, **make, rng=np.random.default_rng(1))
    assert np.allclose(once[["auc", "permuted"]], twice[["auc", "permuted"]])


def test_errors():
    x, y = drawn(50, 9)
    with pytest.raises(ValueError, match="multiple of 50 rows"):
        mask_grid.cross({"a": x[:49]}, {"a": x}, y, y, penalty=0.1, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="penalty must be > 0"):
        mask_grid.fit_heads(x, torch.tensor(y)[:, None], penalty=0.0)
    with pytest.raises(ValueError, match="pair their rows"):
        mask_grid.fit_heads(x, torch.tensor(y), penalty=0.1)
