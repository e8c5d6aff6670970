import pytest
import torch

from lib.data.film_views import film_views


def films(n: int = 3, side: int = 12) -> torch.Tensor:
    return torch.rand(n, 1, side, side, generator=torch.Generator().manual_seed(5))


def views(x: torch.Tensor, seed: int = 0, **options: float) -> torch.Tensor:
    return film_views(x, views=4, generator=torch.Generator().manual_seed(seed), **options)


def test_no_movement_is_a_copy() -> None:
    x = films()
    still = views(x, degrees=0.0, shift=0.0, zoom=0.0)
    torch.testing.assert_close(still, x[:, None].expand(-1, 4, -1, -1, -1), atol=1e-6, rtol=0)


def test_a_shift_moves_the_film_by_at_most_its_share() -> None:
    x = torch.zeros(50, 1, 21, 21)
    x[:, :, 10, 10] = 1.0
    moved = views(x, degrees=0.0, shift=0.2, zoom=0.0)[:, :, 0]  # (50, 4, 21, 21)
    steps = torch.arange(21.0)
    for total in (moved.sum(2), moved.sum(3)):
        centre = (total * steps).sum(-1) / total.sum(-1)
        assert float((centre - 10).abs().max()) <= 0.2 * 21 + 1e-3
        assert float((centre - 10).abs().max()) > 0.15 * 21  # 400 draws come near both ends


def test_values_stay_in_range_and_views_differ() -> None:
    made = views(films(), degrees=20.0, shift=0.1, zoom=0.2)
    assert float(made.min()) >= 0 and float(made.max()) <= 1
    assert not torch.allclose(made[:, 0], made[:, 1])
    assert torch.equal(made, views(films(), degrees=20.0, shift=0.1, zoom=0.2))
    assert not torch.equal(made, views(films(), seed=1, degrees=20.0, shift=0.1, zoom=0.2))


def test_readable_errors() -> None:
    with pytest.raises(ValueError, match="films must be"):
        views(films()[0])
    with pytest.raises(ValueError, match="zoom in"):
        views(films(), zoom=1.0)
