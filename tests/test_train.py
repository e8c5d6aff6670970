"""The training loop: bits survive an interruption, options do what they say, wrong calls say what is wrong."""

from __future__ import annotations

import copy
import math
import multiprocessing
import os
import socket
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from lib import train


def draw(n: int = 60, seed: int = 0) -> tuple[Tensor, Tensor]:
    x = torch.randn(n, 6, generator=torch.Generator().manual_seed(seed))
    return x, x[:, :1] * 2 - x[:, 1:2]


def network(seed: int = 0) -> nn.Module:
    """Has everything a resumed run could lose: dropout, running statistics, vectors and matrices."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 1))


def noisy_loss(model: nn.Module, batch: train.Batch, generator: torch.Generator) -> Tensor:
    x = batch[0] + 0.1 * torch.randn(batch[0].shape, generator=generator)
    return (model(x) - batch[1]).square().mean()


class Interrupted:
    """`noisy_loss` that stops the process, so to speak, at the given call."""

    __qualname__ = "noisy_loss"

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, model: nn.Module, batch: train.Batch, generator: torch.Generator) -> Tensor:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return noisy_loss(model, batch, generator)


def go(model: nn.Module, loss: train.Loss = noisy_loss, *, seed: int = 1, data_seed: int = 0, epochs: int = 6,
       lr: float = 1e-2, ema: float = 0.0, clip: float = 1.0, checkpoint: Path | None = None,
       early_stop: train.EarlyStop | None = None) -> train.History:  # fmt: skip
    return train.fit(
        model, loss, draw(seed=data_seed), epochs=epochs, batch_size=16, lr=lr, ema=ema, clip=clip,
        checkpoint=checkpoint, early_stop=early_stop, generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_resumed_run_is_bit_equal(tmp_path, monkeypatch, ema):
    monkeypatch.setattr(train, "CHECKPOINT_EVERY_S", 0.0)
    stop = train.EarlyStop(lambda m: float((m(draw(seed=5)[0]) - draw(seed=5)[1]).square().mean()), patience=50)
    whole, broken, resumed = network(), network(), network()
    straight = go(whole, ema=ema, early_stop=stop)
    with pytest.raises(KeyboardInterrupt):
        go(broken, Interrupted(at=15), ema=ema, early_stop=stop, checkpoint=tmp_path / "run.pt")
    history = go(resumed, ema=ema, early_stop=stop, checkpoint=tmp_path / "run.pt")
    assert history.resumed_at == 3  # four steps an epoch: the fourteenth was in the fourth epoch
    assert (history.loss, history.score, history.steps) == (straight.loss, straight.score, 24)
    assert same(whole, resumed)
    assert [p.name for p in tmp_path.iterdir()] == ["run.pt"], "nothing half-written is left"


def test_finished_checkpoint_trains_no_more(tmp_path):
    first, again = network(), network()
    go(first, checkpoint=tmp_path / "run.pt")
    history = go(again, Interrupted(at=1), checkpoint=tmp_path / "run.pt")
    assert history.resumed_at == 6
    assert same(first, again)


@pytest.mark.parametrize(
    ("change", "named"),
    [({"lr": 2e-2}, "options"), ({"seed": 2}, "generator"), ({"data_seed": 3}, "data"), ({"model": 9}, "model")],
)
def test_checkpoint_of_another_run_is_refused(tmp_path, change, named):
    go(network(), epochs=1, checkpoint=tmp_path / "run.pt")
    model = network(change.pop("model", 0))
    with pytest.raises(ValueError, match=rf"another run \(it differs in {named}\)"):
        go(model, epochs=1, checkpoint=tmp_path / "run.pt", **change)


def test_same_seed_same_bits_and_another_seed_differs():
    a, b, c = network(), network(), network()
    go(a), go(b), go(c, seed=2)
    assert same(a, b)
    assert not same(a, c)


def test_global_chance_is_left_alone_and_has_no_say():
    a, b = network(), network()
    torch.manual_seed(3)
    go(a)
    after = torch.rand(3)
    torch.manual_seed(3)
    assert torch.equal(after, torch.rand(3))
    torch.manual_seed(4)
    go(b)
    assert same(a, b)


def test_every_row_once_per_epoch_in_even_batches():
    sizes, rows = [], []

    def loss(model, batch, generator):
        sizes.append(len(batch[0]))
        rows.extend(batch[0][:, 0].tolist())
        return model(batch[0]).mean()

    x = torch.arange(10.0)[:, None]
    train.fit(nn.Linear(1, 1), loss, (x,), epochs=1, batch_size=4, lr=0.1, generator=torch.Generator())
    assert sizes == [4, 3, 3]
    assert sorted(rows) == list(range(10))


def test_one_step_is_adamw_by_hand():
    """The first AdamW step moves by lr against the gradient's sign, after decay; biases are not decayed."""
    model = nn.Linear(2, 1)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    x = torch.tensor([[1.0, -2.0]])
    train.fit(
        model, lambda m, b, g: m(b[0]).sum(), (x,), epochs=1, batch_size=1, lr=0.1, warmup=0.0, clip=0.0,
        weight_decay=0.5, generator=torch.Generator(),
    )  # fmt: skip
    # 1e-6: Adam's epsilon of 1e-8 and float32 rounding
    assert torch.allclose(model.weight, before["weight"] * (1 - 0.1 * 0.5) - 0.1 * x.sign(), atol=1e-6)
    assert torch.allclose(model.bias, before["bias"] - 0.1, atol=1e-6)


def test_learning_rate_rises_and_falls():
    rates = [train.learning_rate(step, 100, lr=2.0, warmup=0.1) for step in range(100)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[9] == rates[10] == max(rates) == 2.0
    assert rates[55] == pytest.approx(1.0)  # half of the cosine
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.01


def test_average_of_two_steps_by_hand():
    seen: list[Tensor] = []

    def loss(model, batch, generator):
        seen.append(model.weight.detach().clone())
        return model(batch[0]).sum()

    model = nn.Linear(1, 1, bias=False)
    options = dict(epochs=2, batch_size=1, lr=0.1, warmup=0.0)
    plain = copy.deepcopy(model)
    train.fit(plain, loss, (torch.ones(1, 1),), generator=torch.Generator(), **options)
    start, first, second = seen[0], seen[1], plain.weight.detach()
    train.fit(model, loss, (torch.ones(1, 1),), generator=torch.Generator(), ema=0.75, **options)
    expected = 0.75 * (0.75 * start + 0.25 * first) + 0.25 * second
    assert torch.allclose(model.weight, expected, atol=1e-6)  # float32 rounding


def test_early_stop_keeps_the_best_weights():
    scores = iter([3.0, 1.0, 2.0, 2.0, 0.0])
    kept = []

    def score(model: nn.Module) -> float:
        assert not model.training
        kept.append(copy.deepcopy(model.state_dict()))
        return next(scores)

    model = network()
    history = go(model, early_stop=train.EarlyStop(score, patience=2))
    assert (history.score, history.best_epoch) == ([3.0, 1.0, 2.0, 2.0], 1)
    assert all(torch.equal(value, kept[1][name]) for name, value in model.state_dict().items())


def test_learns_and_ends_in_eval_mode():
    model = nn.Linear(6, 1)
    history = train.fit(
        model, lambda m, b, g: (m(b[0]) - b[1]).square().mean(), draw(), epochs=40, batch_size=16, lr=0.1,
        weight_decay=0.0, generator=torch.Generator(),
    )  # fmt: skip
    assert history.loss[-1] < 1e-3 < history.loss[0]
    assert not model.training


def test_frozen_weights_stay_and_a_model_is_fitted_twice():
    model = network()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    go(model)
    go(model, seed=7)
    assert torch.equal(before, model[0].weight)


def test_diverged_training_is_an_error():
    with pytest.raises(FloatingPointError, match="lower lr"):
        go(network(), lambda m, b, g: m(b[0]).mean() * math.inf, clip=0.0)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"epochs": 0}, "epochs, batch_size and lr must be positive"),
        ({"lr": -1.0}, "must be positive"),
        ({"warmup": 5}, "shares, not steps"),
        ({"precision": "half"}, "precision must be"),
        ({"compile": "yes"}, "compile must be"),
        ({"tensors": (torch.zeros(3, 6), torch.zeros(2, 1))}, "equally long"),
    ],
)
def test_bad_options(change, match):
    options = {"epochs": 1, "batch_size": 2, "lr": 0.1, "tensors": draw()} | change
    tensors = options.pop("tensors")
    with pytest.raises(ValueError, match=match):
        train.fit(network(), noisy_loss, tensors, generator=torch.Generator(), **options)


def test_predict_keeps_flags_and_batches_do_not_matter():
    model = network().train()
    model[1].eval()
    x = draw()[0]
    got = train.predict(model, x, batch_size=7)
    assert torch.allclose(got, train.predict(model, x, batch_size=60), atol=1e-6)  # float32 rounding
    assert not got.requires_grad
    assert [m.training for m in model] == [True, False, True, True, True]
    with pytest.raises(ValueError, match="module or a method of one"):
        train.predict(torch.sin, x)
    with pytest.raises(ValueError, match="needs rows"):
        train.predict(model, x[:0])


def share_of_training(rank: int, port: int, folder: Path) -> None:
    """What one of two processes does that a launcher has started; with port 0 the only one."""
    if port:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
                       "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}  # fmt: skip
        AcceleratorState._reset_state(True)
    model, rows = network_without_batch_statistics(), []

    def loss(model, batch, generator):
        rows.append(len(batch[0]))
        return (model(batch[0]) - batch[1]).square().mean()

    history = train.fit(
        model, loss, draw(64), epochs=3, batch_size=16, lr=0.05, generator=torch.Generator().manual_seed(1)
    )
    torch.save({"weights": model.state_dict(), "rows": rows, "loss": history.loss}, folder / f"{port > 0}{rank}")
    if port:
        torch.distributed.destroy_process_group()  # threads of gloo that outlive the interpreter abort the process


def network_without_batch_statistics() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))


def test_two_processes_agree_with_one(tmp_path):
    """Started afresh: a fork of a process in which other tests have run threads may wait for a lock for ever."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    share_of_training(0, 0, tmp_path)
    started = [multiprocessing.get_context("spawn").Process(target=share_of_training, args=(rank, port, tmp_path))
               for rank in range(2)]  # fmt: skip
    for process in started:
        process.start()
    for process in started:
        process.join(120)
        assert process.exitcode == 0
    one, first, second = (torch.load(tmp_path / name, weights_only=True) for name in ("False0", "True0", "True1"))
    assert one["rows"] == [16] * 12
    assert first["rows"] == second["rows"] == [8] * 12, "each process sees half of every batch"
    assert first["loss"] == second["loss"] == pytest.approx(one["loss"], abs=1e-5)
    # 1e-5: the mean of two half-batch gradients is summed in another order, and Adam divides by small roots
    assert all(torch.allclose(value, first["weights"][name], atol=1e-5) for name, value in one["weights"].items())


@pytest.mark.gpu
def test_training_on_a_gpu_agrees_with_the_cpu():
    def loss(model, batch, generator):
        return (model(batch[0]) - batch[1]).square().mean()

    models = [network_without_batch_statistics(), network_without_batch_statistics()]
    for model, device in zip(models, ("cpu", "cuda"), strict=True):
        tensors = tuple(t.to(device) for t in draw())
        train.fit(
            model, loss, tensors, epochs=3, batch_size=16, lr=1e-2, precision="float32",
            generator=torch.Generator().manual_seed(1),
        )  # fmt: skip
    assert next(models[1].parameters()).is_cuda
    # 1e-3: sums in another order, and Adam divides by small roots
    pairs = zip(models[0].parameters(), models[1].parameters(), strict=True)
    assert all(torch.allclose(p, q.cpu(), atol=1e-3) for p, q in pairs)
