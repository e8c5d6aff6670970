import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lib.models.sepclr import (
    TERMS,
    SepCLR,
    alignment,
    entropy,
    information,
    joint_entropy,
    projector,
    sepclr_loss,
    sepclr_terms,
    supervised_contrastive,
    uniformity,
)


def rows(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def outputs(n: int = 8, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    common, salient = rows(n, 3, seed), rows(n, 2, seed + 50)
    return common, nn.functional.normalize(common, dim=1), salient, 0.7 * salient


def sorted_by(parts: tuple[Tensor, Tensor, Tensor, Tensor], order: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return parts[0][order], parts[1][order], parts[2][order], parts[3][order]


TARGET = torch.tensor([True, False, True, True, False, False, True, False])


def kernel(a: Tensor, b: Tensor, temperature: float) -> float:
    return math.exp(-float(((a - b) ** 2).sum()) / (2 * temperature))


def test_alignment_and_uniformity_by_brute_force() -> None:
    x, y = rows(6, 3), rows(6, 3, 1)
    expected = np.mean([float(((a - b) ** 2).sum()) / 0.6 for a, b in zip(x, y, strict=True)])
    assert float(alignment(x, y, temperature=0.3)) == pytest.approx(expected, rel=1e-12)
    pairs = [kernel(x[i], x[j], 0.3) for i in range(6) for j in range(i)]
    assert float(uniformity(x, temperature=0.3)) == pytest.approx(
        math.log(np.mean(pairs)), rel=1e-6
    )  # log n in float32


def test_entropies_by_brute_force() -> None:
    c, s = rows(7, 3), rows(7, 2, 1)
    joint = [np.mean([kernel(c[i], c[j], 0.4) * kernel(s[i], s[j], 0.4) for j in range(7)]) for i in range(7)]
    assert float(joint_entropy(c, s, temperature=0.4)) == pytest.approx(-np.mean(np.log(joint)), rel=1e-6)
    alone = [np.mean([kernel(c[i], c[j], 0.4) for j in range(7)]) for i in range(7)]
    assert float(entropy(c, temperature=0.4)) == pytest.approx(-np.mean(np.log(alone)), rel=1e-6)


def test_ends_of_the_entropy_and_of_the_information() -> None:
    far, same = 50 * torch.eye(6), torch.ones(6, 4)
    assert float(entropy(far)) == pytest.approx(math.log(6), rel=1e-6)
    assert float(entropy(same)) == pytest.approx(0, abs=1e-6)
    assert float(uniformity(same)) == pytest.approx(0, abs=1e-6)
    assert float(information(rows(9, 3), torch.zeros(9, 2))) == pytest.approx(0, abs=1e-6)  # a constant tells nothing
    assert float(information(far, far)) == pytest.approx(math.log(6), rel=1e-6)  # a copy tells all


def test_a_copy_shares_more_information_than_a_stranger() -> None:
    c = rows(60, 2)
    assert float(information(c, c)) > float(information(c, rows(60, 2, 1))) + 0.3
    assert float(joint_entropy(c, c)) < float(joint_entropy(c, rows(60, 2, 1)))


def test_losses_do_not_mind_the_order_of_patients_or_of_views() -> None:
    first, second, order = outputs(), outputs(seed=1), torch.randperm(8, generator=torch.Generator().manual_seed(3))
    one = sepclr_loss(first, second, TARGET)
    other = sepclr_loss(sorted_by(first, order), sorted_by(second, order), TARGET[order])
    assert float(other) == pytest.approx(float(one), rel=1e-6)
    assert float(sepclr_loss(second, first, TARGET)) == pytest.approx(float(one), rel=1e-6)
    mixed = sepclr_loss(first, sorted_by(second, order), TARGET)
    assert float(mixed) != pytest.approx(float(one), rel=1e-3)  # but pairs belong together


def test_terms_add_up_with_their_weights() -> None:
    terms = sepclr_terms(outputs(), outputs(seed=1), TARGET)
    assert tuple(terms) == TERMS
    found = sepclr_loss(outputs(), outputs(seed=1), TARGET, constant=3.0, independence=0.5)
    expected = terms["common"] + terms["salient"] + 3 * terms["constant"] + 0.5 * terms["joint"]
    assert float(found) == pytest.approx(float(expected), rel=1e-12)


def test_the_background_moves_only_its_constant_among_the_salient_terms() -> None:
    first, second = outputs(), outputs(seed=1)
    moved = first[3].clone()
    moved[~TARGET] += 2.0
    before, after = sepclr_terms(first, second, TARGET), sepclr_terms((*first[:3], moved), second, TARGET)
    for name in ("common", "salient", "joint"):
        assert float(after[name]) == pytest.approx(float(before[name]), rel=1e-12)
    moved[~TARGET] = 0.0
    gone = [(*view[:3], view[3] * TARGET[:, None]) for view in (first, second)]
    assert float(sepclr_terms(gone[0], gone[1], TARGET)["constant"]) == 0.0
    pushed = second[3][~TARGET].square().sum(1).mean() / 2  # temperature 0.5, and the mean over two views
    assert float(sepclr_terms(gone[0], second, TARGET)["constant"]) == pytest.approx(float(pushed), rel=1e-12)


def test_training_pulls_the_background_to_the_origin_and_keeps_the_target_apart() -> None:
    torch.manual_seed(0)
    x = torch.randn(40, 5)
    target = x[:, 0] > 0
    model = SepCLR(nn.Linear(5, 3), nn.Linear(5, 3), dimensions=3)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(80):
        optimiser.zero_grad()
        sepclr_loss(model(x), model(x + 0.05 * torch.randn_like(x)), target).backward()
        optimiser.step()
    with torch.no_grad():
        lengths = model(x)[3].norm(dim=1)
    assert float(lengths[~target].mean()) < 0.5 * float(lengths[target].mean())
    assert model.spaces(x).shape == (40, 6)
    torch.testing.assert_close(model(x)[1].norm(dim=1), torch.ones(40))


def test_supervised_contrastive_by_brute_force() -> None:
    x, labels = rows(7, 3), torch.tensor([0, 1, 0, 1, 2, 0, 1])
    unit = (x / x.norm(dim=1, keepdim=True)).numpy()
    losses = []
    for i in range(7):
        friends = [j for j in range(7) if j != i and labels[j] == labels[i]]
        total = sum(math.exp(unit[i] @ unit[j] / 0.2) for j in range(7) if j != i)
        if friends:  # the only row of class 2 has none
            losses.append(-np.mean([unit[i] @ unit[j] / 0.2 - math.log(total) for j in friends]))
    assert float(supervised_contrastive(x, labels, temperature=0.2)) == pytest.approx(np.mean(losses), rel=1e-10)
    assert float(supervised_contrastive(torch.ones(6, 2), labels[:6])) == pytest.approx(math.log(5), rel=1e-5)


def test_readable_errors() -> None:
    with pytest.raises(ValueError, match="two views"):
        alignment(rows(3, 2), rows(4, 2))
    with pytest.raises(ValueError, match="two rows or more"):
        uniformity(rows(1, 2))
    with pytest.raises(ValueError, match="temperature > 0"):
        entropy(rows(3, 2), temperature=0)
    with pytest.raises(ValueError, match="equally many rows"):
        joint_entropy(rows(3, 2), rows(4, 2))
    with pytest.raises(ValueError, match="target must be bool"):
        sepclr_terms(outputs(), outputs(), TARGET.long())
    with pytest.raises(ValueError, match="must be >= 0"):
        sepclr_loss(outputs(), outputs(), TARGET, independence=-1)
    with pytest.raises(ValueError, match="two rows"):
        supervised_contrastive(rows(3, 2), torch.tensor([0, 1, 2]))
    with pytest.raises(ValueError, match="labels"):
        supervised_contrastive(rows(3, 2), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="at least 1"):
        projector(0)
