"""What each method does with cells: where balance makes them one, where a shortcut tells them apart."""

import pytest
import torch
from torch import nn

from lib.measure.cell_methods import METHODS, Patients, train_by
from lib.measure.mitigation import Training, scored
from lib.models.mlp import mlp

TRAINING = Training(epochs=40, lr=0.1, weight_decay=0.01)


def patients(sizes: list[int], *, seed: int) -> Patients:
    """A clear but weak cue in column 0, and the attribute in column 1; sizes of cells 0 .. 3."""
    generator = torch.Generator().manual_seed(seed)
    cell = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    y, attribute = cell % 2, cell // 2
    noise = torch.randn(len(cell), 2, generator=generator)
    return Patients(torch.stack([2.0 * y - 1, 4.0 * attribute - 2], 1) + noise, y, cell)


def start() -> nn.Module:
    torch.manual_seed(0)
    return mlp(2, 1, width=8, depth=1)


def worst(method: str, seen: Patients, held: Patients) -> float:
    test = patients([200] * 4, seed=9)
    score = scored(train_by(method, start(), seen, held, seed=0, training=TRAINING), test.x)
    right = (score > 0) == (test.y == 1)
    return min(float(right[test.cell == code].float().mean()) for code in range(4))


@pytest.mark.parametrize("method", [name for name in METHODS if name not in ("ERM", "class weights")])
def test_a_shortcut_is_given_up_by_every_method_that_knows_the_cells(method: str) -> None:
    seen, held = patients([190, 10, 10, 190], seed=1), patients([30] * 4, seed=2)
    assert worst(method, seen, held) > worst("ERM", seen, held) + 0.1


def test_class_weights_do_nothing_where_labels_are_balanced() -> None:
    seen, held = patients([190, 10, 10, 190], seed=1), patients([30] * 4, seed=2)
    nets = [train_by(name, start(), seen, held, seed=0, training=TRAINING) for name in ("ERM", "class weights")]
    torch.testing.assert_close(scored(nets[0], held.x), scored(nets[1], held.x))


def test_weights_and_subsample_keep_all_rows_of_balanced_cells() -> None:
    seen, held = patients([25] * 4, seed=1), patients([30] * 4, seed=2)
    scores = {
        name: scored(train_by(name, start(), seen, held, seed=0, training=TRAINING), held.x)
        for name in ("ERM", "group weights", "group subsampling")
    }
    torch.testing.assert_close(scores["ERM"], scores["group weights"])
    torch.testing.assert_close(
        scores["ERM"], scores["group subsampling"], atol=1e-3, rtol=1e-3
    )  # another order of sums


def test_last_layer_changes_the_last_layer_only_and_sees_no_unmet_cell():
    seen, held = patients([40, 40], seed=1), patients([30] * 4, seed=2)
    plain, again = (train_by(name, start(), seen, held, seed=0, training=TRAINING) for name in ("ERM", "last layer"))
    assert torch.equal(plain[1].weight, again[1].weight) and not torch.equal(plain[-1].weight, again[-1].weight)
    known = held.at(held.cell < 2)
    fewer = train_by("last layer", start(), seen, known, seed=0, training=TRAINING)
    assert torch.equal(again[-1].weight, fewer[-1].weight)
    assert all(parameter.requires_grad for parameter in again.parameters())


def test_the_model_that_was_given_stays_as_it_was() -> None:
    model, seen = start(), patients([20] * 4, seed=1)
    before = [parameter.clone() for parameter in model.parameters()]
    for method in METHODS:
        train_by(method, model, seen, seen, seed=0, training=Training(epochs=2))
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_errors_name_the_argument() -> None:
    seen = patients([5] * 4, seed=0)
    with pytest.raises(ValueError, match="method must be one of ERM"):
        train_by("plain", start(), seen, seen, seed=0, training=TRAINING)
    with pytest.raises(ValueError, match="model must hold an nn.Linear"):
        train_by("last layer", nn.Conv1d(1, 1, 1), seen, seen, seed=0, training=TRAINING)
