"""A bottleneck is its two halves: identity concepts, interventions, the control, and what joint training moves."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from lib.models.concept_bottleneck import ConceptBottleneck, concept_map, label_head, random_concepts


@pytest.fixture(scope="module")
def rows():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(120, 6, generator=generator, dtype=torch.float64)
    truth = x @ torch.randn(6, 3, generator=generator, dtype=torch.float64)
    noise = torch.randn(120, generator=generator, dtype=torch.float64)
    return x, truth, (truth.sum(1) + noise > 0).long()


def test_both_halves_agree_with_scikit_learn(rows):
    x, truth, labels = rows
    ours = concept_map(x, truth, penalty=0.2)
    theirs = Ridge(alpha=0.2 * len(x)).fit(x.numpy(), truth.numpy())
    torch.testing.assert_close(ours(x), torch.from_numpy(theirs.predict(x.numpy())), atol=1e-8, rtol=0)
    head = label_head(x, labels, penalty=0.05)
    peer = LogisticRegression(C=1 / (0.05 * len(x)), tol=1e-10, max_iter=1000).fit(x.numpy(), labels.numpy())
    torch.testing.assert_close(head(x)[:, 0], torch.from_numpy(peer.decision_function(x.numpy())), atol=1e-4, rtol=0)


def test_identity_concepts_give_the_logistic_model(rows):
    x, _, labels = rows
    model = ConceptBottleneck(penalty=0.0, head_penalty=0.1).fit(x, x, labels)
    direct = torch.sigmoid(label_head(x, labels, penalty=0.1)(x)[:, 0])
    torch.testing.assert_close(model.predict(x), direct, atol=1e-6, rtol=0)


@pytest.mark.parametrize("training", ["independent", "sequential", "joint"])
@pytest.mark.parametrize("form", ["soft", "hard"])
def test_intervening_on_all_concepts_gives_the_answer_of_the_head(rows, training, form):
    x, truth, labels = rows
    if (training, form) == ("joint", "hard"):
        with pytest.raises(ValueError, match="no gradient"):
            ConceptBottleneck(training=training, form=form)
        return
    model = ConceptBottleneck(training=training, form=form).fit(x, truth, labels)
    told = truth if form == "soft" else (truth > truth.mean(0)).double()
    torch.testing.assert_close(model.intervene(x, truth), torch.sigmoid(model.head_(told)[:, 0]))
    torch.testing.assert_close(model.intervene(x, truth, which=()), model.predict(x))
    mixed = model.concepts(x).clone()
    mixed[:, 1] = told[:, 1]
    torch.testing.assert_close(model.intervene(x, truth, which=(1,)), torch.sigmoid(model.head_(mixed)[:, 0]))


def test_independent_head_never_sees_a_prediction_and_hard_concepts_are_zero_or_one(rows):
    x, truth, labels = rows
    model = ConceptBottleneck(training="independent", penalty=5.0).fit(x, truth, labels)
    torch.testing.assert_close(model.head_.weight, label_head(truth, labels, penalty=1e-3).weight)
    hard = ConceptBottleneck(form="hard").fit(x, truth, labels)
    assert set(hard.concepts(x).unique().tolist()) == {0.0, 1.0}


def test_joint_weight_turns_from_the_label_to_the_concepts(rows):
    x, truth, labels = rows
    wrong = truth.flip(0)  # concepts of other rows: the label's loss and the concepts' loss disagree

    def miss(weight):
        model = ConceptBottleneck(training="joint", weight=weight).fit(x, wrong, labels)
        goal = labels.double()
        loss = torch.nn.functional.binary_cross_entropy(model.predict(x), goal)
        return float(loss), float((model.concepts(x) - wrong).square().mean())

    (loose, far), (tight, near) = miss(0.01), miss(100.0)
    assert loose < tight
    assert near < far


def test_random_control_has_the_dimension_and_given_maps_are_kept(rows):
    x, truth, labels = rows
    drawn = random_concepts(x, 3, generator=torch.Generator().manual_seed(1))
    assert drawn(x).shape == truth.shape
    torch.testing.assert_close(drawn(x).mean(0), torch.zeros(3, dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(drawn(x).std(0, correction=0), torch.ones(3, dtype=torch.float64))
    other = random_concepts(x, 3, generator=torch.Generator().manual_seed(2))
    assert not torch.allclose(drawn(x), other(x))
    model = ConceptBottleneck(concepts=drawn).fit(x, truth, labels)
    torch.testing.assert_close(model.concepts(x), drawn(x))


def test_errors_say_what_to_do(rows):
    x, truth, labels = rows
    with pytest.raises(ValueError, match="training must be one of"):
        ConceptBottleneck(training="both")
    with pytest.raises(ValueError, match="one row per film"):
        ConceptBottleneck().fit(x[:5], truth, labels)
    with pytest.raises(ValueError, match="labels must be"):
        ConceptBottleneck().fit(x, truth, labels + 1)
    with pytest.raises(ValueError, match="as the given map"):
        ConceptBottleneck(concepts=concept_map(x, truth[:, :2], penalty=0.1)).fit(x, truth, labels)
    with pytest.raises(ValueError, match="penalty must be > 0"):
        label_head(x, labels, penalty=0.0)
    with pytest.raises(ValueError, match="k must be at least 1"):
        random_concepts(x, 0, generator=torch.Generator())
    with pytest.raises(ValueError, match="must vary"):
        random_concepts(torch.zeros(4, 2), 1, generator=torch.Generator())
    model = ConceptBottleneck().fit(x, truth, labels)
    with pytest.raises(ValueError, match=r"rows must be \(n, 6\)"):
        model.predict(x[:, :2])
    with pytest.raises(ValueError, match="truth must be"):
        model.intervene(x, truth[:, :2])
    with pytest.raises(ValueError, match="which must hold"):
        model.intervene(x, truth, which=(3,))
