"""XRAI against a plain restatement of the published greedy addition, and the properties of its parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.morphology import dilation, disk
from torch import nn

from lib.explain import gradients, xrai

PEERS = "pip install --no-deps -r requirements-peers.txt"


def scene(seed: int, side: int = 16, scales: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """A map and overlapping label maps whose blocks differ in size; numbers may be missing."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(side, side, generator=generator, dtype=torch.float64)
    labels = []
    for scale in range(scales):
        edge = 2 + scale * 2
        row = (torch.arange(side) + scale) // edge
        labels.append(3 * (row[:, None] * side + row) + scale)
    return values, torch.stack(labels)


def masks(labels: torch.Tensor, radius: int) -> list[np.ndarray]:
    found = [plane == number for plane in labels.numpy() for number in np.unique(plane)]
    return [dilation(mask, disk(radius)) if radius else mask for mask in found]


def published(values: np.ndarray, segments: list[np.ndarray], min_new: int, order: str) -> np.ndarray:
    """The definition with one mask at a time: no running sums, no sparse matrix."""
    out, seen = np.full(values.shape, np.nan), np.zeros(values.shape, dtype=bool)

    def add(mask: np.ndarray) -> None:
        new = mask & ~seen
        out[new] = values[new].mean()
        seen[new] = True

    if order == "fast":
        for mask in sorted(segments, key=lambda mask: -values[mask].mean()):
            if (mask & ~seen).sum() >= min_new:
                add(mask)
    else:
        left = list(segments)
        while left := [mask for mask in left if (mask & ~seen).sum() >= min_new]:
            add(max(left, key=lambda mask: values[mask & ~seen].mean()))
    if not seen.all():
        out[~seen] = values[~seen].mean()
    return out


@pytest.mark.parametrize("order", ["greedy", "fast"])
@pytest.mark.parametrize(("radius", "min_new"), [(0, 1), (1, 4), (2, 9)])
def test_equals_the_published_addition(order, radius, min_new):
    for seed in range(4):
        values, labels = scene(seed)
        ours = xrai.ranked_regions(values, labels, order=order, dilation=radius, min_new=min_new)
        theirs = published(values.numpy(), masks(labels, radius), min_new, order)
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-6)


@pytest.mark.parametrize(("order", "algorithm"), [("greedy", "full"), ("fast", "fast")])
def test_equals_the_public_package(order, algorithm):
    """The same pixel attribution in, the same map out: segments, dilation and addition with the package's defaults."""
    core = pytest.importorskip("saliency.core", reason=PEERS)
    generator = torch.Generator().manual_seed(5)
    spots = torch.rand(1, 3, 6, 6, generator=generator)
    image = nn.functional.interpolate(spots, size=(60, 48), mode="bilinear")
    values = torch.randn(60, 48, generator=generator, dtype=torch.float64)
    picture, base = image[0].permute(1, 2, 0).double().numpy(), values[..., None].expand(-1, -1, 3).numpy()
    parameters = core.XRAIParameters(algorithm=algorithm)
    theirs = core.XRAI().GetMask(picture, None, base_attribution=base, extra_parameters=parameters)
    labels = xrai.segmentations(image)[0]
    ours = xrai.ranked_regions(values, labels, order=order)
    assert len(np.unique(theirs)) > 5, "several regions were added"
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-6)


def test_whole_method_equals_the_public_package_for_a_linear_model():
    """A linear score has the same integrated gradients for every quadrature, so nothing is left to differ."""
    core = pytest.importorskip("saliency.core", reason=PEERS)
    generator = torch.Generator().manual_seed(6)
    image = nn.functional.interpolate(torch.rand(1, 3, 5, 5, generator=generator), size=(32, 32), mode="bilinear")
    image = (image - image.min()) / (image.max() - image.min())  # its extremes are our baselines
    weights = torch.randn(2, 3, 32, 32, generator=generator)

    def gradients_of(batch, call_model_args=None, expected_keys=None):
        slopes = weights[1].permute(1, 2, 0).double().numpy()
        return {core.INPUT_OUTPUT_GRADIENTS: np.broadcast_to(slopes, batch.shape)}

    picture = image[0].permute(1, 2, 0).double().numpy()
    parameters = core.XRAIParameters(steps=8)
    theirs = core.XRAI().GetMask(picture, gradients_of, batch_size=8, extra_parameters=parameters)
    ours = xrai.xrai(lambda x: torch.einsum("nchw,kchw->nk", x, weights), image, torch.tensor([1]), n_steps=3)
    np.testing.assert_allclose(ours[0].numpy(), theirs, atol=1e-6)


def test_regions_are_dilated_segments():
    _, labels = scene(0)
    for radius in (0, 1, 3):
        member = xrai.regions(labels, dilation=radius).toarray().astype(bool)
        np.testing.assert_array_equal(member.T.reshape(-1, 16, 16), np.stack(masks(labels, radius)))


def test_sum_is_kept_and_more_regions_sharpen():
    values, labels = scene(3)
    whole = xrai.ranked_regions(values, torch.zeros(1, 16, 16, dtype=torch.int64), dilation=0, min_new=1)
    torch.testing.assert_close(whole, torch.full((16, 16), float(values.mean())))
    pixels = xrai.ranked_regions(values, torch.arange(256).view(1, 16, 16), dilation=0, min_new=1)
    torch.testing.assert_close(pixels, values.float())
    some = xrai.ranked_regions(values, labels, dilation=1, min_new=40)
    assert float(some.sum()) == pytest.approx(float(values.sum()), abs=1e-4)


def test_greedy_finds_the_bright_object_first():
    values = torch.zeros(12, 12)
    values[3:7, 3:7] = 1.0
    labels = torch.stack([(values > 0).long(), torch.zeros_like(values).long()])
    torch.testing.assert_close(xrai.ranked_regions(values, labels, dilation=0, min_new=1), values)


def test_base_is_the_largest_channel_of_the_mean_over_baselines():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.SiLU(), nn.Flatten(), nn.Linear(4 * 16, 3))
    images, target = torch.rand(3, 2, 6, 6), torch.tensor([0, 1, 2])
    found = xrai.base_maps(model, images, target, max_batch=5, n_steps=6)
    by_channel = []
    nodes, weights = np.polynomial.legendre.leggauss(6)
    for start in (0.0, 1.0):
        total = torch.zeros_like(images)
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            at = (start + node * (images - start)).requires_grad_(True)
            chosen = model(at).gather(1, target[:, None]).sum()
            total += float(weight) * torch.autograd.grad(chosen, at)[0]
        by_channel.append((images - start) * total)
    torch.testing.assert_close(found, torch.stack(by_channel).mean(0).amax(1), rtol=1e-4, atol=1e-6)
    grey = xrai.base_maps(lambda x: model(x.expand(-1, 2, -1, -1)), images[:, :1], target, baselines=(0.5,), n_steps=6)
    single = gradients.integrated_gradients(
        lambda x: model(x.expand(-1, 2, -1, -1)), images[:, :1], target, baseline=0.5, n_steps=6
    )
    torch.testing.assert_close(grey, single)


def test_segments_follow_the_image_at_every_scale():
    image = torch.zeros(1, 3, 40, 40)
    image[0, :, :, 20:] = 1.0
    image[0, :, :10] *= 0.4
    labels = xrai.segmentations(image, side=64, scales=(50.0, 1200.0))
    assert labels.shape == (1, 2, 40, 40)
    assert labels.dtype == torch.int64
    assert labels[0, 0, 30, 5] != labels[0, 0, 30, 35]
    assert torch.equal(labels, xrai.segmentations(0.5 * image + 0.2, side=64, scales=(50.0, 1200.0)))
    assert int(xrai.segmentations(torch.full((1, 1, 8, 8), 0.3), side=32).max()) == 0


def test_given_labels_are_used_and_equal_those_made_here():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(400, 2))
    images, target = torch.rand(2, 1, 20, 20), torch.tensor([0, 1])
    options = {"side": 48, "dilation": 1, "min_new": 3, "n_steps": 2}
    labels = xrai.segmentations(images, side=48)
    here = xrai.xrai(model, images, target, **options)
    assert torch.equal(here, xrai.xrai(model, images, target, labels=labels, **options))
    assert torch.equal(here[1:], xrai.xrai(model, images[1:], target[1:], labels=labels[1:], **options))


def test_errors():
    values, labels = scene(0)
    with pytest.raises(ValueError, match="pass one image at a time"):
        xrai.ranked_regions(values, labels[0])
    with pytest.raises(ValueError, match="order must be 'greedy' or 'fast'"):
        xrai.ranked_regions(values, labels, order="slow")
    with pytest.raises(ValueError, match="min_new at least 1 pixel, got 'greedy', 5 and 0"):
        xrai.ranked_regions(values, labels, min_new=0)
    with pytest.raises(ValueError, match="side at least 2"):
        xrai.segmentations(torch.rand(1, 1, 8, 8), side=1)
    images, target = torch.rand(2, 1, 8, 8), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="make them with segmentations"):
        xrai.xrai(nn.Flatten(), images, target, labels=labels)
    with pytest.raises(ValueError, match="baselines must hold at least one grey level"):
        xrai.base_maps(nn.Flatten(), images, target, baselines=())
