import pytest
import torch

from lib.models.contrastive_pca import contrastive_axes


def rows(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_without_a_background_weight_they_are_principal_components() -> None:
    target = rows(50, 4, 0) * torch.tensor([1.0, 5.0, 2.0, 0.1])
    axes = contrastive_axes(target, rows(20, 4, 1), components=3, alpha=0.0)
    _, _, v = torch.linalg.svd(target - target.mean(0))
    torch.testing.assert_close((axes * v[:3].T).sum(0).abs(), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(axes.T @ axes, torch.eye(3, dtype=torch.float64))


def test_finds_what_varies_in_the_target_only() -> None:
    background = rows(400, 5, 0) * torch.tensor([9.0, 1.0, 1.0, 1.0, 1.0])
    target = rows(400, 5, 1) * torch.tensor([9.0, 1.0, 1.0, 3.0, 1.0])
    leading = contrastive_axes(target, background, components=1, alpha=1.5)[:, 0]
    assert int(leading.abs().argmax()) == 3 and float(leading[3]) > 0.95
    assert int(contrastive_axes(target, background, components=1, alpha=0.0)[:, 0].abs().argmax()) == 0


def test_order_of_rows_and_a_shift_do_not_matter() -> None:
    target, background = rows(30, 3, 0), rows(30, 3, 1)
    axes = contrastive_axes(target, background, components=2)
    torch.testing.assert_close(contrastive_axes(target.flip(0) + 7, background - 3, components=2), axes)


@pytest.mark.parametrize(("components", "alpha"), [(0, 1.0), (4, 1.0), (1, -0.1)])
def test_readable_errors(components: int, alpha: float) -> None:
    with pytest.raises(ValueError, match="components must be in"):
        contrastive_axes(rows(9, 3, 0), rows(9, 3, 1), components=components, alpha=alpha)
    with pytest.raises(ValueError, match="two rows or more"):
        contrastive_axes(rows(9, 3, 0), rows(9, 2, 1), components=1)
