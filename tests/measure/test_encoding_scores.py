"""Tables of a trial: rows by hand, tests that differ only in who is shown how, and explanations that rank by rule."""

import numpy as np
import pytest
import torch

from lib.measure.encoding_scores import FLOORS, GUESSES, TESTS, audit_table, finding_table, patient_table, probe_table
from lib.measure.encoding_trial import ERASURES
from lib.measure.fairness import auc

STRENGTHS = (0.5, 0.9)
WITH = {"strengths": STRENGTHS, "seed": 7}


def made(n=80, seed=0):
    """A trial of noise, in which the film of B lies 1 logit higher at every level."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    positive = torch.arange(n) % 2
    place = (torch.arange(n) // 2 + 0.5) / (n / 2)
    low = noise(2, n)
    trial = {"logit": torch.stack([low, low + 1], 1), "positive": positive, "place": place.double()}
    trial["shown"] = (place < 0.5).long()
    trial |= {name: noise(2, n) for name in ("probe", "permuted", "mass", "first order")}
    trial |= {name: noise(n) for name in ("untrained", "table", "silhouette")}
    return trial | {"erased": low[:, None, None].repeat(1, 2, 2, 1), "probe erased": noise(2, 2, n)}


def test_probes_are_scored_against_the_shown_group():
    trial = made()
    table = probe_table(trial, **WITH)
    assert set(table["what"]) == {"trained network", "untrained network", *FLOORS, *(f"after {m}" for m in ERASURES)}
    row = table.query("strength == 0.9 and what == 'trained network'")
    assert row["auc"].item() == auc(trial["probe"][1].numpy(), trial["shown"].numpy())
    assert table[table["what"] == "silhouette"]["auc"].nunique() == 1
    assert probe_table({k: v[..., :30] for k, v in trial.items()}, **WITH)["auc"].isna().all()


def test_flips_by_hand_and_an_erasure_that_takes_them_away():
    trial = made()
    table = patient_table(trial, **WITH)
    first = table.iloc[0]
    low = float(trial["logit"][0, 0, 0])
    assert first["flip"] == pytest.approx(1 / (1 + np.exp(-low - 1)) - 1 / (1 + np.exp(-low)))
    np.testing.assert_allclose(table["logit size"], 1)
    assert (table["size after LEACE"] == 0).all()
    shown = np.tile(trial["shown"].numpy(), 2)  # the erased logit is that of A, so only films of B have moved
    np.testing.assert_allclose(table["moved by LEACE"], np.where(shown == 1, table["size"], 0), atol=1e-12)


def test_without_an_association_the_three_tests_agree_and_with_one_they_mirror():
    trial = made()
    table = finding_table(trial, **WITH).pivot(index="strength", columns="test", values="auc")
    assert table.loc[0.5].nunique() == 1
    lifted = {**trial, "logit": 10 * torch.stack([torch.zeros(2, 80), torch.ones(2, 80)], 1)}
    found = finding_table(lifted, **WITH).pivot(index="strength", columns="test", values="auc").loc[0.9]
    assert found[list(TESTS)].round(9).tolist() == [0.9, 0.5, 0.1]  # the group alone is the score


def test_the_audit_is_spearman_over_films_of_one_seed_and_strength():
    table = patient_table(made(), **WITH).assign(**{"logit size": lambda t: t["patient"] + 1.0})
    table["first order"] = table["logit size"] ** 3
    table["mass"] = -table["logit size"]
    found = audit_table(table).set_index(["strength", "guess"])["rho"]
    assert len(found) == 4
    np.testing.assert_allclose(found.xs(GUESSES["first order"], level="guess"), 1)
    np.testing.assert_allclose(found.xs(GUESSES["mass"], level="guess"), -1)
