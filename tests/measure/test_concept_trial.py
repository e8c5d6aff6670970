"""One trial of concept models: shapes, pairing of the two tests, controls that must not move, and repeats."""

import numpy as np
import pytest
import torch

from lib.data.corner_tag import worn
from lib.data.thorax_concepts import CONCEPTS, SHORTCUTS
from lib.measure.concept_trial import DRAWS, MODELS, STRENGTHS, concept_trial, trial_scores
from lib.measure.fairness import auc

SMALL = {"n_concept": 30, "n_train": 30, "n_test": 60, "size": 32, "epochs": 1, "doubt": 0.3, "reading_noise": 0.3}
DIALS = {"strength": 0.9, "penalty": 0.1, "joint_weight": 1.0}


@pytest.fixture(scope="module")
def trial():
    return concept_trial(seed=3, **SMALL, **DIALS)


@pytest.fixture(scope="module")
def table(trial):
    return trial_scores(trial, seed=3, strength=0.9)


def test_shapes_and_what_is_missing(trial):
    assert trial["score"].shape == (len(SHORTCUTS), len(STRENGTHS), len(MODELS), DRAWS, 2, 60)
    assert trial["steps"].shape == (len(SHORTCUTS), len(CONCEPTS) + 1, 2, 60)
    missing = trial["score"].isnan().all(-1).all(-1)  # (shortcuts, strengths, models, draws)
    network, random = MODELS.index("network"), MODELS.index("random")
    assert not bool(missing[:, :, random].any())
    single = missing[:, :, [m for m in range(len(MODELS)) if m not in (network, random)]]
    assert not bool(single[..., 0].any())
    assert bool(single[..., 1:].all())
    assert (~missing[:, :, network]).nonzero().tolist() == [[0, 1, 0]]  # corner tag, confounded, one draw


def test_corrected_steps_begin_at_the_model_and_end_without_the_shortcut(trial, table):
    sequential = trial["score"][:, STRENGTHS.index("confounded"), MODELS.index("sequential"), 0]
    torch.testing.assert_close(trial["steps"][:, 0], sequential)
    torch.testing.assert_close(trial["steps"][:, -1, 0], trial["steps"][:, -1, 1])  # the film is no longer read
    last = table[(table["model"] == "sequential, corrected") & (table["true_concepts"] == len(CONCEPTS))]
    assert (last["drop"] == 0).all()


def test_true_concepts_cannot_drop_and_the_shortcut_alone_is_its_rate(trial, table):
    assert (table[table["model"] == "true concepts"]["drop"] == 0).all()
    alone = table[(table["model"] == "shortcut alone") & (table["shortcut"] == "drain")].iloc[0]
    positive, luck = trial["positive"].numpy(), trial["propensity"][SHORTCUTS.index("drain")].numpy()
    wears = worn(luck, positive, p=0.9)
    assert alone["train_like"] == pytest.approx(0.5 + (wears[positive == 1].mean() - wears[positive == 0].mean()) / 2)


def test_scores_are_those_of_the_parts(trial, table):
    s, m = SHORTCUTS.index("corner tag"), MODELS.index("direct")
    score, positive = trial["score"][s, 1, m, 0].numpy(), trial["positive"].numpy()
    row = table[
        (table["shortcut"] == "corner tag") & (table["model"] == "direct") & (table["training"] == "confounded")
    ]
    wears = worn(trial["propensity"][s].numpy(), positive, p=1 - 0.9)
    assert row["flipped"].item() == auc(np.where(wears, score[1], score[0]), positive)
    torch.testing.assert_close(
        torch.tensor(row["drop"].item()), torch.tensor((row["train_like"] - row["flipped"]).item())
    )


def test_it_repeats_and_another_seed_differs():
    tiny = SMALL | {"n_concept": 8, "n_train": 8, "n_test": 6, "epochs": 0}
    first, again, other = (concept_trial(seed=s, **tiny, **DIALS) for s in (1, 1, 2))
    for name in first:
        torch.testing.assert_close(first[name], again[name], rtol=0, atol=1e-8, equal_nan=True)  # sums in BLAS
    assert not torch.equal(first["shift"], other["shift"])
    assert trial_scores(first, seed=1, strength=0.9)["drop"].isna().all()  # three positives carry no AUC
