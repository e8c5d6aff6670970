"""Fusion: a skipped modality leaves the state, absent data get no gradient, a mixed batch is its rows one by one."""

import pytest
import torch

from lib.models.sequential_fusion import (
    Abreast,
    ParallelFusion,
    SequentialFusion,
    fusion_loss,
    last_decision,
    skipped_by_batch,
    split_modalities,
)
from lib.train import fit

WIDTHS = (2, 3, 4)


def rows(n=12, seed=0):
    """Rows in which every pattern of presence of three modalities occurs."""
    x = torch.randn(n, sum(WIDTHS), generator=torch.Generator().manual_seed(seed))
    starts = (0, 2, 5, 9)
    for i in range(n):
        for j in range(3):
            if i >> j & 1:
                x[i, starts[j] : starts[j + 1]] = torch.nan
    return x


def model(kind=SequentialFusion, seed=0, **options):
    torch.manual_seed(seed)
    return kind(WIDTHS, state=5, hidden=7, **options)


def same(a, b, **tolerance):
    torch.testing.assert_close(a, b, equal_nan=True, **(tolerance or {"rtol": 0, "atol": 1e-6}))


def test_a_skipped_modality_leaves_the_state_as_it_was():
    x, net = rows(), model(order=(2, 0, 1))
    present, states = split_modalities(x, WIDTHS)[1], net.states(x)
    for step, j in enumerate((2, 0, 1)):
        skipped = ~present[:, j]
        assert skipped.any() and not skipped.all()
        assert torch.equal(states[skipped, step + 1], states[skipped, step])
        assert bool((states[~skipped, step + 1] != states[~skipped, step]).any(1).all())
    assert torch.equal(states[7], net.start.expand(4, -1))  # row 7 has no modality at all


def test_without_a_modality_the_model_is_the_one_that_never_had_it():
    net, x = model(), rows()[[2, 10]]  # both lack the second modality only
    state = net.start.expand(2, -1)
    for j, part in ((0, x[:, :2]), (2, x[:, 5:])):
        state = net.encoders[j](part, state)
    same(last_decision(net(x)), net.decoder(state)[:, 0])


@pytest.mark.parametrize("kind", [SequentialFusion, ParallelFusion])
def test_a_mixed_batch_equals_its_rows_one_by_one(kind):
    x, net = rows(), model(kind)
    same(net(x), torch.cat([net(row[None]) for row in x]))


@pytest.mark.parametrize("half_absent", [False, True])
def test_absent_modalities_have_no_gradient_and_present_ones_do(half_absent):
    x, net = torch.randn(6, sum(WIDTHS)), model()
    x[:, 3 if half_absent else slice(2, 5)] = torch.nan
    fusion_loss(net, (x, torch.tensor([0, 1] * 3)), torch.Generator()).backward()
    assert all(weight.grad is None or not weight.grad.any() for weight in net.encoders[1].parameters())
    for encoder in (net.encoders[0], net.encoders[2]):
        assert all(weight.grad.isfinite().all() and weight.grad.any() for weight in encoder.parameters())


def test_data_of_absent_rows_do_not_reach_the_gradient():
    y = torch.arange(12) % 2
    for net in (model(), model(ParallelFusion)):
        x = rows().requires_grad_()
        fusion_loss(net, (x, y), torch.Generator()).backward()
        gone = split_modalities(x.detach(), WIDTHS)[1].logical_not().repeat_interleave(torch.tensor(WIDTHS), dim=1)
        assert x.grad.isfinite().all() and not x.grad[gone].any() and x.grad[~gone].any()


def test_order_is_order_of_visits_and_matters_to_an_untrained_state():
    x = torch.randn(5, sum(WIDTHS))
    first, again, other = model(order=(0, 1, 2)), model(), model(order=(1, 0, 2))
    same(first(x), again(x))
    same(first(x)[:, 0], other(x)[:, 0])
    assert (last_decision(first(x)) != last_decision(other(x))).all()
    state = other.encoders[1](x[:, 2:5], other.start.expand(5, -1))
    same(other(x)[:, 1], other.decoder(state)[:, 0])


def test_skipped_steps_are_nan_and_the_last_decision_is_the_last_taken():
    x, net = rows(), model()
    logits, present = net(x), split_modalities(x, WIDTHS)[1]
    assert torch.equal(logits[:, 1:].isnan(), ~present)
    same(last_decision(logits)[7], logits[7, 0])
    same(last_decision(logits)[4], logits[4, 2])  # row 4 lacks the third
    with pytest.raises(ValueError, match="at least one decision"):
        last_decision(torch.full((2, 3), torch.nan))


def test_loss_is_the_mean_over_rows_taken_summed_over_steps():
    x, y, net = rows(), torch.arange(12) % 2, model()
    logits, brute = net(x), 0.0
    for step in range(4):
        known = [
            torch.nn.functional.binary_cross_entropy_with_logits(logits[i, step], y[i].float())
            for i in range(12)
            if not logits[i, step].isnan()
        ]
        brute += sum(known) / len(known)
    same(fusion_loss(net, (x, y), torch.Generator()), brute)


def test_a_parallel_model_sees_zeros_and_with_an_indicator_the_absence_itself():
    x = rows()
    filled = x.nan_to_num(0.0)
    plain, told = model(ParallelFusion), model(ParallelFusion, indicator=True)
    same(plain(x), plain(filled))
    absent = x.isnan().any(1)
    assert (told(x)[absent] != told(filled)[absent]).all()
    same(told(x)[~absent], told(filled)[~absent])


def test_skipping_by_batch():
    x = rows()
    present = split_modalities(x, WIDTHS)[1]
    assert torch.equal(skipped_by_batch(x, WIDTHS, batch=1).isnan(), x.isnan())
    found = split_modalities(skipped_by_batch(x, WIDTHS, batch=5), WIDTHS)[1]
    for start in (0, 5, 10):
        part = slice(start, start + 5)
        assert torch.equal(found[part], present[part].all(0).expand_as(found[part]))
    with pytest.raises(ValueError, match="batch must be at least 1"):
        skipped_by_batch(x, WIDTHS, batch=0)


def test_models_abreast_train_as_they_would_alone():
    x, y = torch.stack([rows(seed=1), rows(seed=2)], dim=1), torch.arange(12) % 2
    options = {"epochs": 3, "batch_size": 6, "lr": 0.01, "clip": 0.0}
    together = Abreast([model(seed=3), model(ParallelFusion, seed=4)])
    alone = [model(seed=3), model(ParallelFusion, seed=4)]
    fit(together, fusion_loss, (x, y), generator=torch.Generator().manual_seed(0), **options)
    for k, net in enumerate(alone):
        fit(net, fusion_loss, (x[:, k], y), generator=torch.Generator().manual_seed(0), **options)
        for own, shared in zip(net.parameters(), together.models[k].parameters(), strict=True):
            same(own, shared, rtol=1e-5, atol=1e-6)  # sums of several losses round differently
    same(together(x)[:, 0], alone[0](x[:, 0]), rtol=1e-4, atol=1e-5)
    same(together(x)[:, 1, -1:], alone[1](x[:, 1]), rtol=1e-4, atol=1e-5)
    assert together(x)[:, 1, :-1].isnan().all()


def test_training_repeats_to_the_bit_and_learns():
    x = torch.randn(200, sum(WIDTHS), generator=torch.Generator().manual_seed(5))
    y = (x[:, 0] + x[:, 6] > 0).long()
    nets = [model(), model()]
    for net in nets:
        history = fit(
            net, fusion_loss, (x, y), epochs=15, batch_size=50, lr=0.02, generator=torch.Generator().manual_seed(1)
        )
        assert history.loss[-1] < 0.85 * history.loss[0]  # the start can only guess, and its loss stays
    assert torch.equal(nets[0](x), nets[1](x))


@pytest.mark.parametrize("order", [(0, 1), (0, 1, 1), (0, 1, 3)])
def test_orders_that_are_none(order):
    with pytest.raises(ValueError, match="order must name each of"):
        model(order=order)


def test_malformed_rows_and_sizes():
    with pytest.raises(ValueError, match="rows must be"):
        model()(torch.zeros(2, 5))
    with pytest.raises(ValueError, match="at least 1"):
        ParallelFusion((2, 0))
