"""AUC of many findings under resampled patients: scikit-learn on copied rows and the row-based bootstrap as oracles."""

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from lib import resampling
from lib.measure import clustered_auc, fairness


def rng(seed=0):
    return np.random.default_rng(seed)


def films(n=600, seed=0):
    """Rounded scores (many ties), a rare and a common finding, patients with 1 to 8 films, two groupings."""
    g = rng(seed)
    positive = pd.DataFrame({"rare": g.random(n) < 0.15, "common": g.random(n) < 0.8}).astype(int)
    scores = (positive + g.normal(size=(n, 2))).round(1)
    clusters = np.minimum(g.integers(0, n // 2, n), g.integers(0, n // 2, n))
    groupings = {"sex": g.choice(["F", "M"], n), "view": g.choice(["AP", "PA"], n, p=[0.3, 0.7])}
    return scores, positive, clusters, groupings


def make(n_boot=20, **changes):
    scores, positive, clusters, groupings = films()
    arguments = {"scores": scores, "positive": positive, "clusters": clusters, "groupings": groupings} | changes
    return clustered_auc.auc_draws(**arguments, generator=rng(3), n_boot=n_boot, minimum=5)


def test_every_draw_is_scikit_learns_on_copied_rows():
    scores, positive, clusters, groupings = films()
    n_boot = clustered_auc.BLOCK + 2  # more than one block
    ours = make(n_boot=n_boot)
    resamples = list(resampling.resample_rows(clusters, n_boot=n_boot, generator=rng(3)))
    for i, row in ours.table.iterrows():
        for draw, rows in list(enumerate(resamples))[::11]:
            kept = rows[groupings[row["grouping"]][rows] == row["group"]]
            peer = roc_auc_score(positive[row["finding"]].to_numpy()[kept], scores[row["finding"]].to_numpy()[kept])
            assert ours.draws[draw, i] == pytest.approx(peer, abs=1e-12)


def test_points_and_counts_are_by_groups():
    scores, positive, clusters, groupings = films()
    table = make().table
    for (finding, grouping), part in table.groupby(["finding", "grouping"], sort=False):
        peer = fairness.by_group(scores[finding], positive[finding], groupings[grouping], minimum=5)
        np.testing.assert_allclose(part["auc"], peer["auc"], atol=1e-12)
        np.testing.assert_array_equal(part[["n", "positives", "negatives"]], peer[["n", "positives", "negatives"]])
        inside = [len(set(clusters[groupings[grouping] == group])) for group in peer["group"]]
        assert part["clusters"].tolist() == inside


def test_interval_is_that_of_the_clustered_rule():
    scores, positive, clusters, _ = films()
    ours = make(n_boot=200, groupings={"all": np.repeat("all", len(scores))})
    peer = fairness.auc_interval(
        scores["rare"], positive["rare"], clusters, generator=rng(3), reference=0.5, n_boot=200
    )
    mine = ours.auc(ours.column("rare", "all", "all"))
    assert (mine.estimate, mine.low, mine.high) == pytest.approx((peer.estimate, peer.low, peer.high), abs=1e-12)
    assert mine.p_greater(0.1) == peer.p_greater(0.1) and mine.method == peer.method and mine.n == peer.n


def test_gap_pairs_resamples():
    ours = make(n_boot=200)
    women, men = (ours.column("common", "sex", group) for group in ("F", "M"))
    gap = ours.gap(women, men)
    assert gap.estimate == pytest.approx(ours.table["auc"][women] - ours.table["auc"][men])
    assert gap.low < gap.estimate < gap.high
    assert ours.gap(women, women).estimate == 0 and ours.gap(women, women).high == 0


def test_a_missing_label_leaves_the_row_out():
    scores, positive, clusters, groupings = films()
    holes = positive.astype(float)
    holes.loc[::7, "rare"] = math.nan
    ours, whole = make(positive=holes), make()
    known = holes["rare"].notna().to_numpy()
    peer = fairness.by_group(scores["rare"][known], positive["rare"][known], groupings["sex"][known], minimum=5)
    np.testing.assert_allclose(ours.table["auc"][:2], peer["auc"], atol=1e-12)
    np.testing.assert_array_equal(ours.draws[:, 4:], whole.draws[:, 4:])  # the other finding is as it was


def test_too_few_rows_are_nan_with_their_counts():
    scores, positive, clusters, groupings = films()
    tiny = np.where(np.arange(len(scores)) < 12, "tiny", groupings["sex"])
    ours = make(groupings={"who": tiny})
    row = ours.column("rare", "who", "tiny")
    assert ours.table["n"][row] == 12 and math.isnan(ours.table["auc"][row]) and np.isnan(ours.draws[:, row]).all()
    assert ours.auc(row).reason == "too few positives or negatives"


def test_few_patients_are_untested():
    scores, positive, _, groupings = films()
    ours = make(clusters=np.arange(len(scores)) % 12)
    assert "fewer than 20" in ours.auc(0).reason and math.isnan(ours.auc(0).low)


def test_order_of_rows_does_not_matter_but_the_seed_does():
    scores, positive, clusters, groupings = films()
    turn = rng(9).permutation(len(scores))
    turned = make(
        scores=scores.iloc[turn], positive=positive.iloc[turn], clusters=clusters[turn],
        groupings={name: each[turn] for name, each in groupings.items()},
    )  # fmt: skip
    np.testing.assert_array_equal(turned.draws, make().draws)
    other = clustered_auc.auc_draws(scores, positive, clusters, groupings, generator=rng(4), n_boot=20, minimum=5)
    assert not np.array_equal(other.draws, make().draws)


def test_shared_patients_widen_the_interval():
    scores, positive, _, _ = films(n=300)
    twice = pd.concat([scores, scores], ignore_index=True), pd.concat([positive, positive], ignore_index=True)
    everyone = {"all": np.repeat("all", 600)}
    spread = [
        clustered_auc.auc_draws(*twice, ids, everyone, generator=rng(1), n_boot=400).draws[:, 0].std()
        for ids in (np.tile(np.arange(300), 2), np.arange(600))
    ]
    assert spread[0] / spread[1] == pytest.approx(math.sqrt(2), rel=0.15)  # 400 draws: 5 % error of each spread


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positive": films()[1].rename(columns={"rare": "edema"})}, "same columns"),
        ({"positive": films()[1] * 2}, "0, 1 or NaN"),
        ({"scores": films()[0] * math.nan}, "finite"),
        ({"clusters": np.arange(3)}, "one id per row"),
        ({"groupings": {"sex": np.array(["F"])}}, "one group per row"),
    ],
)
def test_errors_say_what_to_do(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


def test_an_unknown_column_is_an_error():
    with pytest.raises(ValueError, match="must name a row of table"):
        make().column("edema", "sex", "F")
