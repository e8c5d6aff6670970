import pytest
import torch

from lib.models.filters import line_features, line_kernels


def test_kernels_ignore_flat_grey_and_have_unit_size() -> None:
    kernels = line_kernels(scales=(1.0, 2.0), orientations=6)
    assert kernels.shape[:2] == (12, 1)
    torch.testing.assert_close(kernels.sum((1, 2, 3)), torch.zeros(12), atol=1e-6, rtol=0)  # float32 sums
    torch.testing.assert_close(kernels.abs().sum((1, 2, 3)), torch.ones(12))


@pytest.mark.parametrize("direction", range(4))
def test_the_kernel_along_the_line_answers_most(direction: int) -> None:
    x = torch.zeros(1, 1, 33, 33)
    steps = torch.arange(33)
    rows, columns = [(steps, 0 * steps + 16), (steps, 32 - steps), (0 * steps + 16, steps), (steps, steps)][direction]
    x[0, 0, rows, columns] = 1.0
    light = line_features(x, scales=(1.0,), orientations=4, grid=1)[0, :4]
    assert light.argmax() == direction


def test_window_and_exposure_do_not_matter() -> None:
    x = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(line_features(0.3 * x + 0.5), line_features(x), atol=1e-4, rtol=1e-4)  # float32 scaling


def test_features_do_not_depend_on_the_batch_and_see_a_line() -> None:
    x = torch.rand(70, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    whole = line_features(x)
    assert whole.shape == (70, 3 * 16 * 16)
    torch.testing.assert_close(whole[-1:], line_features(x[-1:]), atol=1e-5, rtol=1e-4)  # other convolution order
    x[0, 0, :, 5] = 3.0
    assert not torch.allclose(line_features(x)[0], whole[0])


def test_refuses_colour_small_images_and_no_scale() -> None:
    with pytest.raises(ValueError, match="resize"):
        line_features(torch.rand(2, 3, 32, 32))
    with pytest.raises(ValueError, match="resize"):
        line_features(torch.rand(2, 1, 5, 32))
    with pytest.raises(ValueError, match="positive"):
        line_kernels(scales=(0.0,))
