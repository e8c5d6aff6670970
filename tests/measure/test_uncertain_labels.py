"""CheXpert's five policies: closed forms of the goals, rows dropped to the bit, what self-training may touch."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from lib.measure import probes
from lib.measure.uncertain_labels import POLICIES, goals, positive_probability, train_head

NAN = float("nan")
LABELS = torch.tensor([1.0, 0.0, -1.0, NAN])


def rows(n=300, d=4, seed=0, unsure=0.3):
    """Features, labels with some uncertain, and the truth."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=g, dtype=torch.float64)
    truth = (x[:, 0] + torch.randn(n, generator=g) > 0).double()
    return x, torch.where(torch.rand(n, generator=g) < unsure, -1.0, truth), truth


EXPECTED = {
    "U-Ignore": [[0, 1], [1, 0], [0, 0], [1, 0]],
    "U-Zeros": [[0, 1], [1, 0], [1, 0], [1, 0]],
    "U-Ones": [[0, 1], [1, 0], [0, 1], [1, 0]],
    "U-SelfTrained": [[0, 1], [1, 0], [0.75, 0.25], [1, 0]],
    "U-MultiClass": [[0, 1, 0], [1, 0, 0], [0, 0, 1], [1, 0, 0]],
}


@pytest.mark.parametrize("policy", POLICIES)
def test_goals_in_closed_form(policy):
    guesses = torch.tensor([NAN, 5.0, 0.25, NAN]) if policy == "U-SelfTrained" else None
    shares, weight = goals(LABELS, policy, guesses=guesses)
    assert shares.tolist() == EXPECTED[policy]
    assert weight.tolist() == [1, 1, 0 if policy == "U-Ignore" else 1, 1]
    shares, weight = goals(LABELS, policy, guesses=guesses, blank="ignore")
    assert shares.tolist() == [*EXPECTED[policy][:3], [0] * len(shares[0])]
    assert weight[3] == 0


@pytest.mark.parametrize("policy", POLICIES)
def test_goals_of_counted_rows_add_up_to_one(policy):
    _, labels, _ = rows()
    guesses = torch.rand(300) if policy == "U-SelfTrained" else None
    shares, weight = goals(labels, policy, guesses=guesses)
    torch.testing.assert_close(shares.sum(dim=1), weight)


def test_self_training_replaces_uncertain_labels_only():
    _, labels, _ = rows()
    guesses = torch.rand(300, dtype=torch.float64)
    soft, _ = goals(labels, "U-SelfTrained", guesses=guesses)
    hard, weight = goals(labels, "U-Ignore")
    sure = weight > 0
    assert torch.equal(soft[sure], hard[sure])
    assert torch.equal(soft[~sure, 1], guesses[~sure])


def test_probability_forgets_the_uncertain_class():
    logits = torch.randn(50, 3, dtype=torch.float64)
    p = logits.softmax(dim=1)
    torch.testing.assert_close(positive_probability(logits), p[:, 1] / (p[:, 0] + p[:, 1]))
    moved = logits + torch.tensor([0.0, 0.0, 30.0])
    assert torch.equal(positive_probability(moved), positive_probability(logits))
    assert torch.equal(positive_probability(logits[:, :2]), positive_probability(logits))


def test_ignoring_is_dropping_the_rows_to_the_bit():
    x, labels, _ = rows()
    asked, sure = torch.randn(40, 4, dtype=torch.float64), labels != -1
    ours = train_head(x, labels, asked, policy="U-Ignore")
    dropped = probes.logistic(x[sure], labels[sure].long(), asked, classes=2, penalty=1e-2).softmax(dim=1)[:, 1]
    for policy in ("U-Ignore", "U-Zeros", "U-Ones", "U-SelfTrained"):
        assert torch.equal(train_head(x[sure], labels[sure], asked, policy=policy), ours)
    torch.testing.assert_close(ours, dropped, rtol=0, atol=1e-5)  # hard labels instead of shares: another rounding
    noisy = torch.where(sure[:, None], x, torch.tensor(1e6, dtype=torch.float64))
    assert torch.equal(train_head(noisy, labels, asked, policy="U-Ignore"), ours)


@pytest.mark.parametrize(("policy", "value"), [("U-Zeros", 0.0), ("U-Ones", 1.0)])
def test_guessing_policies_are_a_change_of_labels(policy, value):
    x, labels, _ = rows()
    filled = torch.where(labels == -1, value, labels)
    assert torch.equal(train_head(x, labels, x, policy=policy), train_head(x, filled, x, policy="U-Ignore"))


def test_blanks_can_be_left_out_or_read_as_absent():
    x, labels, _ = rows()
    blanked = torch.where(torch.arange(300) % 5 == 0, NAN, labels)
    absent, kept = torch.where(blanked.isnan(), 0.0, blanked), ~blanked.isnan()
    for policy in POLICIES:
        negative = train_head(x, blanked, x, policy=policy)
        assert torch.equal(negative, train_head(x, absent, x, policy=policy))
        ignored = train_head(x, blanked, x, policy=policy, blank="ignore")
        assert torch.equal(ignored, train_head(x[kept], blanked[kept], x, policy=policy))


def test_a_linear_head_without_penalty_learns_nothing_from_its_own_guesses():
    x, labels, _ = rows()
    first, again = (train_head(x, labels, x, policy=policy, penalty=1e-9) for policy in ("U-Ignore", "U-SelfTrained"))
    torch.testing.assert_close(again, first, rtol=0, atol=1e-4)  # where L-BFGS stops


def test_multiclass_without_uncertain_rows_is_the_two_class_head():
    x, _, truth = rows()
    three, two = (train_head(x, truth, x, policy=policy) for policy in ("U-MultiClass", "U-Ignore"))
    torch.testing.assert_close(three, two, rtol=0, atol=1e-3)  # the empty class goes to -inf, L-BFGS stops before


def test_multiclass_agrees_with_scikit_learn():
    x, labels, _ = rows()
    peer = LogisticRegression(C=1e9, max_iter=2000, tol=1e-10).fit(x.numpy(), labels.long().numpy())
    shares = peer.predict_proba(x.numpy())  # classes -1, 0, 1
    ours = train_head(x, labels, x, policy="U-MultiClass", penalty=1e-9)
    np.testing.assert_allclose(ours.numpy(), shares[:, 2] / (shares[:, 1] + shares[:, 2]), atol=1e-4)


def test_uncertain_positives_favour_ones():
    x, _, truth = rows(1000)
    labels = torch.where((truth == 1) & (torch.rand(1000) < 0.6), -1.0, truth)
    error = {p: float((train_head(x, labels, x, policy=p) - truth).square().mean()) for p in POLICIES}
    assert min(error, key=error.__getitem__) == "U-Ones"
    assert max(error, key=error.__getitem__) == "U-Zeros"


def test_errors_say_what_is_wrong():
    x, labels, _ = rows()
    with pytest.raises(ValueError, match="policy must be one of U-Ignore"):
        goals(labels, "U-Random")
    with pytest.raises(ValueError, match="blank must be one of negative, ignore"):
        goals(labels, "U-Ones", blank="drop")
    with pytest.raises(ValueError, match="hold 1, 0, -1 or NaN"):
        goals(torch.tensor([2.0, 0.0]), "U-Ones")
    with pytest.raises(ValueError, match="hold 1, 0, -1 or NaN"):
        goals(torch.zeros(2, 2), "U-Ones")
    with pytest.raises(ValueError, match="guesses go with U-SelfTrained"):
        goals(labels, "U-SelfTrained")
    with pytest.raises(ValueError, match="guesses go with U-SelfTrained"):
        goals(labels, "U-Ones", guesses=torch.zeros(300))
    for wrong in (torch.full((300,), 1.5), torch.zeros(3), torch.full((300,), NAN)):
        with pytest.raises(ValueError, match="probabilities in"):
            goals(labels, "U-SelfTrained", guesses=wrong)
    with pytest.raises(ValueError, match="one value per row, got 3 for 300"):
        train_head(x, labels[:3], x, policy="U-Ones")
    with pytest.raises(ValueError, match="at least one positive and one negative"):
        train_head(x, -torch.ones(300), x, policy="U-MultiClass")
    with pytest.raises(ValueError, match="logits must be"):
        positive_probability(torch.zeros(3, 4))
