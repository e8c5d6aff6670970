"""Concepts: coefficients against exhaustive search, planted dictionaries, and importance where it is known."""

from __future__ import annotations

from itertools import chain, combinations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

from lib.explain import concepts, gradients
from lib.explain.captum_family import feature_ablation
from lib.explain.features import pixels

KINDS = ("nmf", "kmeans", "pca")


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def planted(n: int = 200) -> tuple[Tensor, Tensor]:
    """Non-negative activations whose three concepts live on units of their own, most of them absent per row."""
    atoms = torch.block_diag(*[1 + drawn(1, 4, seed=index) for index in range(3)])  # (3, 12)
    return (drawn(n, 3, seed=5) * (drawn(n, 3, seed=6) < 0.5)) @ atoms, atoms / atoms.norm(dim=1, keepdim=True)


def exhaustive(row: np.ndarray, atoms: np.ndarray) -> float:
    """Smallest squared error of a non-negative combination: least squares on every subset of atoms."""
    k = len(atoms)
    best = float(row @ row)
    for kept in chain.from_iterable(combinations(range(k), size) for size in range(1, k + 1)):
        found = np.linalg.lstsq(atoms[list(kept)].T, row, rcond=None)[0]
        if found.min() >= 0:
            best = min(best, float(np.square(row - found @ atoms[list(kept)]).sum()))
    return best


@pytest.mark.parametrize("d", [3, 9])
def test_non_negative_coefficients_are_the_best_there_are(d):
    atoms, rows = drawn(4, d, seed=1), drawn(20, d, seed=2) - 0.3  # below zero too: not every row is in the cone
    dictionary = concepts.Dictionary("nmf", atoms, torch.zeros(d))
    found = dictionary.encode(rows)
    assert found.min() >= 0
    assert (found == 0).any() and (found > 0).any()
    error = (rows - dictionary.decode(found)).square().sum(1)
    wanted = [exhaustive(row, atoms.double().numpy()) for row in rows.double().numpy()]
    torch.testing.assert_close(error.double(), torch.tensor(wanted, dtype=torch.float64), rtol=1e-5, atol=1e-6)


def test_a_planted_dictionary_is_found_again():
    rows, atoms = planted()
    found = concepts.learn(rows, kind="nmf", n_concepts=3, seed=0)
    alike = found.atoms @ atoms.T
    assert sorted(alike.argmax(1).tolist()) == [0, 1, 2]
    assert alike.amax(1).min() > 0.99
    torch.testing.assert_close(found.atoms.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(found.decode(found.encode(rows)), rows, rtol=0, atol=0.05)


def test_k_means_names_the_nearest_centre():
    centres = torch.tensor([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]])
    which = torch.arange(90) % 3
    rows = centres[which] + 0.1 * drawn(90, 2)
    found = concepts.learn(rows, kind="kmeans", n_concepts=3, seed=1)
    codes = found.encode(rows)
    assert torch.equal(codes.sum(1), torch.ones(90)) and torch.equal(codes.amax(1), torch.ones(90))
    means = torch.stack([rows[which == index].mean(0) for index in range(3)])
    torch.testing.assert_close(found.decode(codes), means[which])


def test_principal_components_are_scikit_learns():
    rows = drawn(30, 6)
    found = concepts.learn(rows, kind="pca", n_concepts=2, seed=0)
    peer = PCA(2).fit(rows.numpy())
    new = drawn(5, 6, seed=3)
    wanted = torch.from_numpy(peer.inverse_transform(peer.transform(new.numpy()))).float()
    torch.testing.assert_close(found.decode(found.encode(new)), wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_keeps_its_coefficients_in_other_company(kind):
    rows, _ = planted()
    found = concepts.learn(rows, kind=kind, n_concepts=3, seed=0)
    together = found.encode(rows[:10])
    alone = torch.cat([found.encode(row[None]) for row in rows[:10]])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
    assert together.dtype == torch.float32 and together.shape == (10, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_give_equal_dictionaries(kind):
    rows = drawn(60, 8)
    one, two = (concepts.learn(rows, kind=kind, n_concepts=4, seed=3).atoms for _ in range(2))
    assert torch.equal(one, two)


def test_another_seed_is_another_start():
    one, two = (concepts.learn(drawn(60, 8), kind="kmeans", n_concepts=6, seed=seed).atoms for seed in (0, 1))
    assert not torch.equal(one, two)


def explained(head: nn.Module) -> tuple[Tensor, dict[str, Tensor], concepts.Dictionary, Tensor]:
    """Coefficients, the three importances, the dictionary and the targets of ten rows."""
    dictionary = concepts.Dictionary("nmf", drawn(4, 6, seed=7), torch.zeros(6))
    codes, target = drawn(10, 4, seed=8), torch.arange(10) % 3
    asked = concepts.ConceptHead(dictionary, head), codes[:, None, None], target
    maps = {
        "gradient": gradients.input_x_gradient(*asked),
        "path": gradients.integrated_gradients(*asked),
        "ablation": feature_ablation(*asked, features=pixels((1, 4))),
    }
    return codes, {name: found[:, 0] for name, found in maps.items()}, dictionary, target


def test_three_importances_are_one_before_a_linear_layer():
    torch.manual_seed(0)
    head = nn.Linear(6, 3)
    codes, maps, dictionary, target = explained(head)
    wanted = codes * (dictionary.atoms @ head.weight.T)[:, target].T.detach()  # u_i times the weight of concept i
    for found in maps.values():
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


def test_three_importances_part_before_a_relu():
    torch.manual_seed(0)
    _, maps, _, _ = explained(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)))
    for one, two in combinations(maps.values(), 2):
        assert (one - two).abs().max() > 1e-3


def test_errors_say_what_to_do():
    rows = drawn(5, 3)
    with pytest.raises(ValueError, match="after a ReLU"):
        concepts.learn(rows - 1, kind="nmf", n_concepts=2, seed=0)
    with pytest.raises(ValueError, match="between 1 and 3"):
        concepts.learn(rows, kind="pca", n_concepts=4, seed=0)
    with pytest.raises(ValueError, match="kind must be one of"):
        concepts.learn(rows, kind="sae", n_concepts=2, seed=0)
    with pytest.raises(ValueError, match=r"float \(n, 3\)"):
        concepts.learn(rows, kind="pca", n_concepts=2, seed=0).encode(rows[:, :2])
    with pytest.raises(ValueError, match="flatten"):
        concepts.learn(rows[None], kind="pca", n_concepts=2, seed=0)
