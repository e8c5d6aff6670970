"""Performance information curves against a plain restatement of the definition, one image and channel at a time."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.interpolate import griddata, interp1d
from torch import nn

from lib.measure import pic

SIDE = 14


class Double(nn.Module):
    """A network in float64: in float32 one image and a batch differ by more than the tolerance once scaled."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(channels, 6, 5), nn.ReLU(), nn.Flatten(), nn.Linear(600, 3)).double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x.double())


def network(channels: int = 3) -> nn.Module:
    torch.manual_seed(4)
    return Double(channels)


def scene(n: int = 6, channels: int = 3) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(2)
    coarse = torch.rand(n, channels, 5, 5, generator=generator)
    images = nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="nearest")
    images = ((images + 0.1 * torch.rand(images.shape, generator=generator)).clamp(0, 1) * 255).round() / 255
    maps = torch.rand(n, SIDE, SIDE, generator=generator)
    maps[: n // 2] = (maps[: n // 2] * 6).round()  # regions tie
    known = pic.random_pixels(n, (SIDE, SIDE), generator=generator, share=0.03)
    return images, network(channels)(images).argmax(1), maps, known


def file_size(image: np.ndarray) -> int:
    stream = io.BytesIO()
    Image.fromarray(np.squeeze(image)).save(stream, "webp", lossless=True, quality=100)
    return len(stream.getvalue())


def interpolated(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    known = known.copy()
    for row in (0, -1):
        for column in (0, -1):
            known[row, column] = True
    out = image.astype(np.float32)
    for channel in range(image.shape[2]):
        plane = image[:, :, channel]
        found = griddata(np.argwhere(known), plane[known], np.argwhere(~known), "linear", fill_value=plane.mean())
        out[~known, channel] = found
    return np.round(out).astype(np.uint8)


def definition(model, image, label, values, known, protocol, kind):
    """Curve and area of one image, or None where it is skipped."""

    def ask(picture: np.ndarray) -> float:
        with torch.no_grad():
            logits = model(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255)[0]
        return float(logits.softmax(0)[label]) if kind == "sic" else float(logits.argmax() == label)

    start = interpolated(image, known)
    low, high, first, last = file_size(start), file_size(image), ask(start), ask(image)
    if last < protocol.min_score or low >= high or first >= last:
        return None
    best, x, y = 0.0, [], []
    for threshold in protocol.thresholds:
        shown = interpolated(image, known | (values >= np.quantile(values, 1 - threshold)))
        best = max(best, min(1.0, max(0.0, (ask(shown) - first) / (last - first))))
        x.append(min(1.0, max(0.0, (file_size(shown) - low) / (high - low))))
        y.append(best)
    line = interp1d([*x, 0.0, 1.0], [*y, 0.0, 1.0])
    at = np.arange(protocol.points + 1) / protocol.points
    curve = np.array([float(line(point)) for point in at[:-1]] + [1.0])
    return curve, float(((curve[1:] + curve[:-1]) / 2 * np.diff(at)).sum())


@pytest.mark.parametrize("kind", ["sic", "aic"])
@pytest.mark.parametrize("channels", [1, 3])
def test_equals_the_definition(kind, channels):
    images, target, maps, known = scene(channels=channels)
    protocol = pic.Protocol(min_score=0.36, points=200)
    found = getattr(pic.measure(network(channels), images, target, maps, known, protocol=protocol), kind)
    used = 0
    for index in range(len(images)):
        picture = (images[index].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        wanted = definition(
            network(channels), picture, int(target[index]), maps[index].double().numpy(), known[index].numpy(),
            protocol, kind,
        )  # fmt: skip
        assert (wanted is None) == bool(found.reasons[index])
        if wanted is None:
            assert found.values[index].isnan().all() and found.area[index].isnan()
        else:
            used += 1
            np.testing.assert_allclose(found.values[index].numpy(), wanted[0], atol=1e-6)
            assert float(found.area[index]) == pytest.approx(wanted[1], abs=1e-6)
    assert used >= 1


@pytest.mark.parametrize("kind", ["sic", "aic"])
@pytest.mark.parametrize("channels", [1, 3])
def test_equals_the_public_package(monkeypatch, kind, channels):
    theirs = pytest.importorskip("saliency.metrics.pic", reason="pip install --no-deps -r requirements-peers.txt")
    monkeypatch.setattr(np, "trapz", np.trapezoid, raising=False)  # the package asks numpy for its old name
    images, target, maps, known = scene(n=12, channels=channels)
    model = network(channels)
    found = getattr(pic.measure(model, images, target, maps, known, protocol=pic.Protocol(min_score=0.36)), kind)
    used = 0
    for index in range(len(images)):
        picture = (images[index].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)

        @torch.no_grad()
        def ask(pictures: np.ndarray, label: int = int(target[index])) -> np.ndarray:
            x = torch.from_numpy(pictures if pictures.ndim == 4 else pictures[..., None]).permute(0, 3, 1, 2)
            logits = model(x.float() / 255)
            return ((logits.argmax(1) == label) if kind == "aic" else logits.softmax(1)[:, label]).double().numpy()

        given = np.squeeze(picture), maps[index].double().numpy(), known[index].numpy(), ask, pic.THRESHOLDS
        try:
            wanted = theirs.compute_pic_metric(*given, min_pred_value=0.36)
        except theirs.ComputePicMetricError:
            assert found.reasons[index] and found.area[index].isnan()
            continue
        used += 1
        assert not found.reasons[index]
        np.testing.assert_allclose(found.values[index].numpy(), wanted.curve_y, atol=1e-6)
        assert float(found.area[index]) == pytest.approx(wanted.auc, abs=1e-6)
    assert used >= 2


def test_batch_and_pieces_do_not_matter():
    images, target, maps, known = scene()
    given = {"protocol": pic.Protocol(min_score=0.0, points=50)}
    whole = pic.measure(network(), images, target, maps, known, **given)
    small = pic.measure(network(), images, target, maps, known, max_batch=4, **given)
    one = pic.measure(network(), images[3:4], target[3:4], maps[3:4], known[3:4], **given)
    torch.testing.assert_close(small.sic.area, whole.sic.area, equal_nan=True, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(one.sic.area, whole.sic.area[3:4], equal_nan=True, rtol=1e-5, atol=1e-6)
    assert torch.equal(one.bytes, whole.bytes[3:4])
    assert whole.bytes.shape == whole.probability.shape == whole.hit.shape == (6, len(pic.THRESHOLDS) + 2)
    assert whole.sic.values.shape == (6, 51)
    assert whole.protocol.points == 50


def test_no_call_exceeds_max_batch():
    images, target, maps, known = scene()
    seen = []

    def score(x: torch.Tensor) -> torch.Tensor:
        seen.append(len(x))
        return network()(x)

    pic.measure(score, images, target, maps, known, max_batch=5)
    assert max(seen) <= 5


def test_every_reason_is_counted():
    images, target, maps, known = scene(3)
    images[1] = 0.5  # nothing is lost by interpolating it
    sure = torch.tensor([[50.0, 0.0, 0.0]])

    def score(x: torch.Tensor) -> torch.Tensor:  # never moves: interpolation costs no score
        return sure.expand(len(x), 3)

    found = pic.measure(score, images, torch.tensor([0, 0, 1]), maps, known)
    assert found.sic.reasons == (pic.NO_LESS_SCORE, pic.NO_LESS_INFORMATION, pic.UNSURE)
    assert found.aic.skipped == {pic.NO_LESS_SCORE: 1, pic.NO_LESS_INFORMATION: 1, pic.UNSURE: 1}
    assert not found.sic.used.any()
    with pytest.raises(ValueError, match="at least one used image, got 3 skipped"):
        found.sic.median()


def test_median_of_the_used_curves():
    values = torch.tensor([[0.0, 0.2, 1.0], [0.0, 0.6, 1.0], [0.0, 1.0, 1.0], [torch.nan] * 3], dtype=torch.float64)
    curve = pic.Curve(values, torch.trapezoid(values, dx=0.5), ("", "", "", pic.UNSURE))
    middle, area = curve.median()
    assert middle.tolist() == [0.0, 0.6, 1.0]
    assert area == pytest.approx(0.55)
    assert curve.skipped == {pic.UNSURE: 1}


def test_right_pixels_first_is_better():
    """A model that reads one square: a map of that square gives a higher curve than its opposite."""
    generator = torch.Generator().manual_seed(0)
    images = (torch.rand(4, 1, SIDE, SIDE, generator=generator) * 100).round() / 255
    images[:, :, 5:8, 5:8] = 1.0
    square = torch.zeros(4, SIDE, SIDE)
    square[:, 5:8, 5:8] = 1.0
    known = pic.random_pixels(4, (SIDE, SIDE), generator=generator, share=0.0)

    def score(x: torch.Tensor) -> torch.Tensor:
        seen = 20 * x[:, 0, 5:8, 5:8].mean((1, 2)) - 12
        return torch.stack([seen, torch.zeros_like(seen)], 1)

    target = torch.zeros(4, dtype=torch.int64)
    good, bad = (pic.measure(score, images, target, each, known) for each in (square, -square))
    assert (good.sic.area > bad.sic.area + 0.2).all()
    assert (good.aic.area > bad.aic.area).all()


def test_random_pixels_and_coders():
    drawn = pic.random_pixels(5, (20, 30), generator=torch.Generator().manual_seed(1))
    assert drawn.sum((1, 2)).tolist() == [6] * 5
    assert not torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn, pic.random_pixels(5, (20, 30), generator=torch.Generator().manual_seed(1)))
    assert not torch.equal(drawn, pic.random_pixels(5, (20, 30), generator=torch.Generator().manual_seed(2)))
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    for coder in ("webp", "png"):
        assert pic.coded_bytes(noise, coder=coder) > 16 * 16 * 3 > pic.coded_bytes(0 * noise, coder=coder)


def test_interpolation_is_exact_for_planes_and_known_pixels():
    row, column = np.mgrid[:9, :9]
    plane = (10 * row + 4 * column)[..., None].astype(np.uint8)
    known = np.zeros((9, 9), dtype=bool)
    known[4, 2] = True
    np.testing.assert_array_equal(pic.rebuilt(plane, known), plane)
    np.testing.assert_array_equal(pic.rebuilt(plane, np.ones((9, 9), dtype=bool)), plane)


def test_errors():
    images, target, maps, known = scene()
    with pytest.raises(ValueError, match="draw known with random_pixels"):
        pic.measure(network(), images, target, maps, known.float())
    with pytest.raises(ValueError, match="merge the channels of the maps first"):
        pic.measure(network(), images, target, maps[:, None], known)
    with pytest.raises(ValueError, match="thresholds must ascend"):
        pic.Protocol(thresholds=(0.5, 0.1))
    with pytest.raises(ValueError, match="coder 'webp' or 'png'"):
        pic.Protocol(coder="gif")
    with pytest.raises(ValueError, match=r"share must be in \[0, 1\], got 2"):
        pic.random_pixels(1, (4, 4), generator=torch.Generator(), share=2)
