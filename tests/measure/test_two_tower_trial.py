import numpy as np
import pytest
import torch

from lib.data.templated_reports import STYLES
from lib.measure import two_tower_trial as trials
from lib.measure.two_tower_trial import FINDINGS, FLOORS, attributes, floor_rows, two_tower_trial
from lib.models.two_tower import info_nce

SMALL = {
    "seed": 3, "n_train": 40, "n_test": 30, "size": 32, "components": 4, "epochs": 2, "prevalence": 0.4, "mention": 0.5,
    "temperature": 0.5, "penalty": 0.1,
}  # fmt: skip


@pytest.fixture(scope="module")
def found() -> dict[str, torch.Tensor]:
    return two_tower_trial(**SMALL)


def test_shapes_and_ranges(found: dict[str, torch.Tensor]) -> None:
    n, m = SMALL["n_test"], SMALL["n_train"]
    assert found["scores"].shape == (len(STYLES), len(FINDINGS), n)
    assert bool((found["scores"] < 0).all())  # log probabilities
    assert found["floors"].shape == (len(FLOORS), len(FINDINGS), n)
    assert found["head"].shape == found["positive"].shape == (len(FINDINGS), n)
    assert found["known"].shape == (n, 4)
    assert found["known train"].shape == (m, 4)
    for name, rows in (("images", n), ("images train", m)):
        torch.testing.assert_close(found[name].norm(dim=1), torch.ones(rows))
    assert 0.01 <= float(found["temperature"]) < 1


def test_the_seed_decides(found: dict[str, torch.Tensor]) -> None:
    again, other = two_tower_trial(**SMALL), two_tower_trial(**{**SMALL, "seed": 4})
    assert all(torch.equal(found[name], again[name]) for name in found)
    assert not torch.equal(found["known"], other["known"])
    assert not torch.equal(found["scores"], other["scores"])


def test_attributes_are_what_the_table_says() -> None:
    people = trials.draw_patients(60, prevalence=0.3, rng=np.random.default_rng(0))
    known = attributes(people).numpy()
    np.testing.assert_allclose(known[:, 0], people["age_years"])
    assert (known[:, 1] == (people["sex"] == "F")).all()
    assert (known[:, 2] == (people["view"] == "AP")).all()
    assert ["ABC"[int(code)] for code in known[:, 3]] == people["group"].tolist()
    seen = floor_rows(torch.tensor(known)).numpy()
    assert (seen[:, 3] == (people["group"] == "B")).all()
    assert (seen[:, 4] == (people["group"] == "C")).all()


def test_training_lowers_the_loss_and_draws_every_version() -> None:
    chance = torch.Generator().manual_seed(0)
    bits = torch.randint(0, 2, (64, 4), generator=chance)
    features = 2.0 * bits.float() - 1
    words = 1 + 2 * torch.arange(4) + bits  # (64, 4): one of two words for each bit
    tokens = torch.stack([words, words.flip(1)], 1)  # the same words in another order
    torch.manual_seed(1)
    before = torch.rand(3)
    torch.manual_seed(1)
    model = trials.train_two_towers(features, tokens, words=9, epochs=30, seed=0)
    torch.testing.assert_close(torch.rand(3), before)  # the caller's stream is left alone
    with torch.no_grad():
        kinds = torch.unique(bits, dim=0)
        rows = torch.stack([(bits == kind).all(1).nonzero()[0, 0] for kind in kinds])
        for version in range(2):
            assert float(info_nce(model(features[rows], tokens[rows, version]))) < 0.5 * np.log(len(rows))
