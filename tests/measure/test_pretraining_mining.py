"""HPM's training follows its schedule, resumes where it was, and each strategy hides what its name says."""

from __future__ import annotations

import pytest
import torch

from lib.measure import pretraining
from lib.models import hpm, mae

SIZES = {"patch": 7, "width": 32, "depth": 1}
TINY = {"n_images": 64, "epochs": 2, "ratio": 0.5, "batch_size": 32} | SIZES


def test_pretraining_is_a_function_of_its_literals():
    runs = [
        pretraining.pretrain_hpm("digits-twin", seed=seed, strategy=strategy, decay_start=0.5, decay_end=0.5, **TINY)
        for seed, strategy in ((0, "easy-to-hard"), (0, "easy-to-hard"), (1, "easy-to-hard"), (0, "hardest"))
    ]
    name = "student.mae.embed.weight"
    assert all(torch.equal(value, runs[1][key]) for key, value in runs[0].items())
    assert not torch.equal(runs[0][name], runs[2][name])
    assert not torch.equal(runs[0][name], runs[3][name])
    assert runs[0]["loss"].shape == (2,)
    assert int(runs[0]["steps"]) == 4
    assert not torch.equal(runs[0][name], runs[0][name.replace("student", "teacher")])
    model = pretraining.loaded(pretraining.empty_hpm("digits-twin", seed=9, **SIZES), runs[0])
    assert torch.equal(model.mae.embed.weight, runs[0][name])


def test_the_two_losses_of_the_predictor_differ():
    pairs, scores = (
        pretraining.pretrain_hpm("digits-twin", seed=0, strategy="random", relative=relative, **TINY)
        for relative in (True, False)
    )
    assert not torch.equal(pairs["student.guess_head.weight"], scores["student.guess_head.weight"])


def test_it_starts_from_the_plain_autoencoder_of_its_seed():
    model = pretraining.empty_hpm("digits-twin", seed=3, norm_targets=False, **SIZES)
    plain = pretraining.empty_mae("digits-twin", seed=3, **SIZES).state_dict()
    assert all(torch.equal(value, plain[name]) for name, value in model.mae.state_dict().items())
    other = pretraining.empty_hpm("digits-twin", seed=4, **SIZES)
    assert not torch.equal(model.student.guess_head.weight, other.student.guess_head.weight)


def test_loss_is_the_sum_of_both_on_hidden_patches():
    model = pretraining.empty_hpm("digits-twin", seed=0, **SIZES)
    x = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    expected = torch.rand(3, 16, generator=torch.Generator().manual_seed(1))
    hidden = pretraining.choose("hardest", expected, ratio=0.5, epoch=0, epochs=1, generator=torch.Generator())
    with torch.no_grad():
        predicted, guessed = model(x, hidden)
        want = model.mae.targets(x)
        for relative, learn in ((True, hpm.relative_loss), (False, hpm.absolute_loss)):
            rows = []
            for i in range(3):
                at = [t for t in range(16) if hidden[i, t]]
                rows.append((guessed[i, at], (predicted[i, at] - want[i, at]).square().mean(-1)))
            slow = learn(*(torch.stack(part) for part in zip(*rows, strict=True)))
            value = pretraining.hpm_loss(model, model, x, hidden, relative=relative)
            assert torch.allclose(value, mae.reconstruction_loss(predicted, want, hidden) + slow, atol=1e-6)  # float32


def test_strategies_hide_what_they_say():
    expected = torch.rand(50, 16, generator=torch.Generator().manual_seed(0))
    ranks = expected.argsort(dim=1).argsort(dim=1).float()  # 0 = easiest

    def mean_rank(strategy: str, epoch: int = 0) -> float:
        hidden = pretraining.choose(
            strategy, expected, ratio=0.5, epoch=epoch, epochs=4, generator=torch.Generator().manual_seed(1)
        )
        assert (hidden.sum(dim=1) == 8).all()
        return float(ranks[hidden].mean())

    assert mean_rank("hardest") == 11.5
    assert mean_rank("easiest") == 3.5
    assert mean_rank("random") == pytest.approx(7.5, abs=0.4)  # 50 masks: deviation of the mean below 0.2
    rising = [mean_rank("easy-to-hard", epoch) for epoch in range(4)]
    assert rising == sorted(rising)
    assert rising[-1] > rising[0] + 1
    assert mean_rank("hard-to-easy", 3) < mean_rank("hard-to-easy", 0)
    with pytest.raises(ValueError, match="strategy must be one of random, easy-to-hard"):
        pretraining.choose("harder", expected, ratio=0.5, epoch=0, epochs=1, generator=torch.Generator())


def test_a_training_that_is_cut_off_goes_on_as_if_it_was_not(tmp_path, monkeypatch):
    """The teacher and its step count lie in the checkpoint with the rest."""
    options = {"seed": 0, "strategy": "easy-to-hard", "decay_start": 0.5, "decay_end": 0.9, "decay_epochs": 2} | TINY
    whole = pretraining.pretrain_hpm("digits-twin", **options)
    path, follow, calls = str(tmp_path / "half.pt"), hpm.HPM.follow, []

    def cut_off(self: hpm.HPM, decay: float) -> None:
        calls.append(decay)
        if len(calls) == 4:
            raise KeyboardInterrupt
        follow(self, decay)

    monkeypatch.setattr("lib.train.CHECKPOINT_EVERY_S", 0.0)
    monkeypatch.setattr(hpm.HPM, "follow", cut_off)
    with pytest.raises(KeyboardInterrupt):
        pretraining.pretrain_hpm("digits-twin", checkpoint=path, **options)
    monkeypatch.setattr(hpm.HPM, "follow", follow)
    resumed = pretraining.pretrain_hpm("digits-twin", checkpoint=path, **options)
    assert calls == pytest.approx([0.5, 0.5, 0.7, 0.7])
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_errors():
    with pytest.raises(ValueError, match="strategy must be one of random, easy-to-hard"):
        pretraining.pretrain_hpm("digits-twin", seed=0, strategy="harder", **TINY)
    with pytest.raises(ValueError, match="start and end must be in"):
        pretraining.pretrain_hpm("digits-twin", seed=0, strategy="random", decay_start=2.0, **TINY)
