"""Arms hide what they say, share what they should, and what they know is counted right."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import roc_auc_score

from lib import data, masks
from lib.data.bags import draw_bags
from lib.measure import bags as mining
from lib.models.mil import GatedAttentionMIL

SIZES = {"witness": 0, "n_images": 300, "n_bags": 16, "size": 20, "components": 8, "width": 8}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def states():
    return mining.train_bags("digits", seed=3, rate=0.2, epochs=3, **SIZES)


def scores(n=6, size=40):
    return torch.rand(n, size, generator=seeded(5)), torch.ones(n, size, dtype=torch.bool)


@pytest.mark.parametrize(("arm", "count"), [("unmasked", 0), ("random", 20), ("easy", 4), ("mhim", 22), ("low", 20)])
def test_how_many_an_arm_hides(arm, count):
    hidden = mining.choose(arm, *scores(), easy=0.1, share=0.5, generator=seeded())
    assert hidden.sum(dim=1).tolist() == [count] * 6


def test_which_ones_an_arm_hides():
    attention, valid = scores()
    rank = attention.argsort(dim=1, descending=True).argsort(dim=1)
    hidden = {arm: mining.choose(arm, attention, valid, easy=0.1, share=0.5, generator=seeded()) for arm in mining.ARMS}
    assert (rank[hidden["easy"]] < 8).all()  # every second of the highest eight
    assert torch.equal(hidden["low"], rank >= 20)
    assert (hidden["mhim"] & hidden["easy"]).sum() == hidden["easy"].sum()
    assert torch.equal(hidden["random"], masks.bag_random(valid, share=0.5, generator=seeded()))
    none = {arm: mining.choose(arm, attention, valid, easy=0.0, share=0.5, generator=seeded()) for arm in mining.ARMS}
    assert not none["easy"].any() and torch.equal(none["mhim"], none["random"])
    with pytest.raises(ValueError, match="arm must be one of"):
        mining.choose("hard", attention, valid, easy=0.1, share=0.5, generator=seeded())


def test_arms_share_their_start(states):
    """All arms start alike, and with nothing hidden at all they also end alike."""
    same = mining.train_bags("digits", seed=3, rate=0.2, epochs=3, **SIZES)
    assert states.keys() == same.keys()
    assert all(torch.equal(states[name], same[name]) for name in states)
    off = mining.train_bags("digits", seed=3, rate=0.2, epochs=2, easy=0.0, share=0.0, **SIZES)
    for arm in mining.ARMS[1:]:
        assert torch.equal(off[f"{arm}/student.head.weight"], off["unmasked/student.head.weight"])
    heads = {arm: states[f"{arm}/student.head.weight"] for arm in mining.ARMS}
    for arm in mining.ARMS[1:]:
        assert not torch.equal(heads[arm], heads["unmasked"])
    assert all(int(states[f"{arm}/steps"]) == 3 for arm in mining.ARMS)
    other = mining.train_bags("digits", seed=4, rate=0.2, epochs=1, **SIZES)
    assert not torch.equal(other["abmil/head.weight"], states["abmil/head.weight"])


def test_a_teacher_that_never_moves_is_the_first_classifier():
    found = mining.train_bags("digits", seed=3, rate=0.2, epochs=2, decay=1.0, **SIZES)
    for arm in mining.ARMS:
        assert torch.equal(found[f"{arm}/teacher.head.weight"], found["abmil/head.weight"])


def test_parts_are_rebuilt(states):
    images = data.images("digits", n=SIZES["n_images"], seed=3)
    bags = draw_bags(images.y, witness=0, n=16, size=20, rate=0.2, generator=seeded(3))
    features = mining.features_of(states)
    x = mining.instances(features, images.x, bags)
    assert x.shape == (16, 20, 8)
    assert torch.allclose(x[3, 5], features(images.x[bags.rows[3, 5]][None])[0], atol=1e-5)
    start = mining.classifier_of(states, "untrained").state_dict()
    assert all(
        torch.equal(value, start[name])
        for name, value in mining.empty_mil(3, components=8, width=8).state_dict().items()
    )
    for arm in ("abmil", *mining.ARMS):
        model = mining.classifier_of(states, arm)
        assert isinstance(model, GatedAttentionMIL) and not model.training
        assert len(states[f"{arm} loss"]) == 3
    with pytest.raises(KeyError, match="they hold abmil, easy, features"):
        mining.part_of(states, "hard")


def test_an_easy_task_is_learned():
    """Half of a positive bag are zeros: the first classifier finds them, and students lose nothing by hiding a few."""
    sizes = SIZES | {"n_images": 900, "n_bags": 64, "components": 16, "width": 16}
    found = mining.train_bags("digits", seed=0, rate=0.5, epochs=15, batch_size=8, **sizes)
    test = data.images("digits", split="test")
    bags = draw_bags(test.y, witness=0, n=60, size=20, rate=0.5, generator=seeded(9))
    x = mining.instances(mining.features_of(found), test.x, bags)
    for arm in ("abmil", "easy"):
        assert mining.mean_auc(mining.judged(mining.classifier_of(found, arm), x, bags)["bag"]) > 90
    assert found["abmil loss"][-1] < 0.5 * found["abmil loss"][0]


def test_judged_is_the_area_under_the_curve():
    test = data.images("digits", split="test")
    bags = draw_bags(test.y, witness=1, n=31, size=20, rate=0.2, generator=seeded())
    x = torch.randn(31, 20, 8, generator=seeded(1))
    model = mining.empty_mil(0, components=8, width=8)
    said = model.eval()(x, torch.ones(31, 20, dtype=torch.bool))
    found = mining.judged(model.train(), x, bags)
    assert model.training and len(found["bag"]) == len(found["instances"]) == 15
    score = (said.logits[:, 1] - said.logits[:, 0]).detach()
    assert float(found["bag"].mean()) == pytest.approx(roc_auc_score(bags.y, score))
    positive = bags.y == 1
    each = [
        roc_auc_score(truth, a.detach())
        for truth, a in zip(bags.witness[positive], said.attention[positive], strict=True)
    ]
    assert found["instances"].tolist() == pytest.approx(each)
    assert mining.mean_auc(torch.tensor([0.5, 1.0])) == 75.0


def test_above_counts_ties_half():
    first, second = torch.tensor([0.0, 1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 2.0, 3.0])
    want = [sum((a > b) + 0.5 * (a == b) for b in second.tolist()) / 4 for a in first.tolist()]
    assert mining.above(first, second).tolist() == want


def test_what_hiding_takes_from_positive_bags():
    test = data.images("digits", split="test")
    bags = draw_bags(test.y, witness=1, n=8, size=20, rate=0.2, generator=seeded())
    found = mining.witnesses_hidden(bags.witness, bags)
    assert all((values == 1).all() and len(values) == 4 for values in found.values())
    found = mining.witnesses_hidden(~bags.witness, bags)
    assert all((values == 0).all() for values in found.values())
    one = torch.zeros_like(bags.witness)
    one[torch.arange(8), bags.witness.int().argmax(dim=1)] = True
    one[:, 0] = True
    found = mining.witnesses_hidden(one, bags)
    assert found["of witnesses"].tolist() == [float((one & bags.witness)[b].sum()) / 4 for b in range(8) if bags.y[b]]
    assert not found["emptied"].any()
    assert mining.witnesses_hidden(torch.zeros_like(one), bags)["of hidden"].isnan().all()
