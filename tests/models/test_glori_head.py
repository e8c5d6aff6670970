"""Class queries: attention by hand, what order and training may change, and what the four kinds of queries share."""

import math

import pytest
import torch
from torch.nn import functional

from lib.models.glori_head import QUERIES, GloriHead
from lib.train import fit


def head(queries="frozen", **changes):
    torch.manual_seed(1)
    options = {"width": 8, "heads": 2, "hidden": 12, "queries": queries} | changes
    return GloriHead(5, 3, generator=torch.Generator().manual_seed(2), **options).eval()


def cells(n=4, count=9, seed=0):
    return torch.randn(n, count, 5, generator=torch.Generator().manual_seed(seed))


def bce(model, batch, generator):
    return functional.binary_cross_entropy_with_logits(model(batch[0]), batch[1])


@torch.no_grad()
def test_one_head_by_hand():
    model, x = head(heads=1), cells(2, 4)
    looked = model.look(x)
    for n in range(2):
        local = [torch.relu(model.enter.weight @ cell + model.enter.bias) for cell in x[n]]
        for c in range(3):
            asks = model.ask.weight @ model.query[c] + model.ask.bias
            scores = [float(asks @ (model.key.weight @ one + model.key.bias)) / math.sqrt(8) for one in local]
            shares = [math.exp(score) / sum(math.exp(other) for other in scores) for score in scores]
            torch.testing.assert_close(looked.attention[n, c], torch.tensor(shares))
            pairs = zip(shares, local, strict=True)
            gathered = sum(share * (model.value.weight @ one + model.value.bias) for share, one in pairs)
            feature = model.first_norm(model.query[c] + model.leave.weight @ gathered + model.leave.bias)
            feature = model.second_norm(feature + model.feed(feature))
            logit = model.weight[c] @ torch.cat([feature, x[n].mean(0)]) + model.bias[c]
            torch.testing.assert_close(looked.logits[n, c], logit)


@pytest.mark.parametrize("queries", QUERIES)
def test_attention_sums_to_one_and_the_order_of_cells_does_not_matter(queries):
    model, x = head(queries), cells()
    order = torch.randperm(9, generator=torch.Generator().manual_seed(3))
    looked, moved = model.look(x), model.look(x[:, order])
    torch.testing.assert_close(looked.attention.sum(2), torch.ones(4, 3))
    assert (looked.attention >= 0).all()
    torch.testing.assert_close(moved.logits, looked.logits)
    torch.testing.assert_close(moved.attention, looked.attention[:, :, order])
    torch.testing.assert_close(model(x), looked.logits)


@pytest.mark.parametrize("queries", QUERIES)
def test_training_moves_learnt_queries_only(queries):
    model = head(queries)
    before, entered = model.query.detach().clone(), model.enter.weight.detach().clone()
    labels = (cells(16)[:, :, :3].mean(1) > 0).float()
    generator = torch.Generator().manual_seed(0)
    fit(model, bce, (cells(16), labels), epochs=3, batch_size=8, lr=0.01, generator=generator)
    assert torch.equal(model.query, before) == (queries != "learnt")
    assert not torch.equal(model.enter.weight, entered)


def test_frozen_and_learnt_start_alike_and_differ_by_the_queries_in_size():
    counts = {q: sum(p.numel() for p in head(q).parameters() if p.requires_grad) for q in QUERIES}
    assert torch.equal(head("frozen")(cells()), head("learnt")(cells()))
    assert counts["learnt"] - counts["frozen"] == 3 * 8
    assert counts["frozen"] == counts["shared"] == counts["uniform"]


def test_shared_looks_alike_for_all_classes_and_uniform_everywhere():
    attention = head("shared").look(cells()).attention
    assert torch.equal(attention[:, 0], attention[:, 1]) and attention[0, 0].std() > 0
    assert torch.equal(head("uniform").look(cells()).attention, torch.full((4, 3, 9), 1 / 9))
    own = head().look(cells()).attention
    assert not torch.allclose(own[:, 0], own[:, 1])


def test_a_borrowed_query_brings_its_attention_and_not_its_linear_layer():
    model, x = head(), cells()
    own, lent = model.look(x), model.look(x, order=[1, 1, 0])
    torch.testing.assert_close(lent.attention, own.attention[:, [1, 1, 0]])
    torch.testing.assert_close(lent.logits[:, 1], own.logits[:, 1])
    assert not torch.allclose(lent.logits[:, 0], own.logits[:, 1])


def test_any_vectors_are_within_reach_of_random_queries():
    model, goal = head(), torch.randn(3, 8, generator=torch.Generator().manual_seed(5))
    matrix = torch.linalg.lstsq(model.query.detach(), goal).solution
    torch.testing.assert_close(model.query.detach() @ matrix, goal, atol=1e-4, rtol=1e-4)


def test_another_generator_draws_other_queries():
    torch.manual_seed(1)
    other = GloriHead(5, 3, generator=torch.Generator().manual_seed(9), width=8, heads=2, hidden=12)
    assert not torch.equal(other.query, head().query)
    torch.testing.assert_close(other.enter.weight, head().enter.weight)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"width": 0}, "width must be at least 1"),
        ({"heads": 3}, "heads must divide the width"),
        ({"dropout": 1.0}, "dropout must be in"),
        ({"queries": "fixed"}, "queries must be one of frozen"),
    ],
)
def test_bad_sizes_are_refused(changes, match):
    with pytest.raises(ValueError, match=match):
        head(**changes)


def test_bad_cells_and_orders_are_refused():
    with pytest.raises(ValueError, match="cells must be"):
        head()(torch.zeros(2, 9, 4))
    with pytest.raises(ValueError, match="order must hold 3"):
        head().look(cells(), order=[0, 1])
    with pytest.raises(ValueError, match="order must hold 3"):
        head().look(cells(), order=[0, 1, 3])
