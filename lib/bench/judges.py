"""The cases of what judges or sums up attributions: curves beside Quantus and a loop, PIC and XRAI beside `saliency`.

Both sides ask the same network as often, and before timing their results must be the same to 1e-6. Two stand-ins let
the peers run at all: Quantus imports OpenCV, whose blurs are not used here, and `saliency` calls ``numpy.trapz``, which
numpy 2.4 no longer has.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from importlib import util
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lib.bench import alike, published, setting
from lib.bench.harness import Case, Pair
from lib.bench.setting import BATCH, Sizes
from lib.explain import Score, xrai
from lib.measure import perturbation, pic

RISE_PUBLIC = "eclique/RISE d91ea00, stated anew"


def cases(sizes: Sizes) -> list[Case]:
    """All cases, in the order of the table."""
    return [curves_flipped(sizes), curves_looped(sizes), information(sizes), regions(sizes)]


def curves_flipped(sizes: Sizes) -> Case:
    """Deletion and insertion, beside Quantus' pixel flipping of the map and of its negative.

    Flipping the least important first is insertion read backwards, so both sides make both curves with as many passes.
    """

    def setup() -> Pair:
        flipping = _pixel_flipping()
        model, images, target = setting.prepared(sizes)
        maps, step = setting.maps(sizes.images, sizes.side), -(-(sizes.side**2) // sizes.steps)
        protocols = [
            perturbation.Protocol(way, baseline="darkest", step_units=step, with_start=False, area="summed")
            for way in ("deletion", "insertion")
        ]
        metric = flipping(features_in_step=step, disable_warnings=True, display_progressbar=False)
        pictures, labels, ranked = images.numpy(), target.numpy(), maps[:, None].numpy()

        def ours() -> Tensor:
            found = [
                perturbation.measure(model, images, target, maps, protocol=protocol, max_batch=BATCH)
                for protocol in protocols
            ]
            return torch.stack([one.curve for one in found])  # (2, n, steps)

        def peer() -> Tensor:
            both = [metric(model, pictures, labels, sign * ranked) for sign in (1, -1)]
            return torch.tensor(np.array(both))

        def agree(one: Tensor, other: Tensor) -> None:
            alike.same_shape(one, other)
            alike.equal(one[0], other[0], what="deletion curves")
            alike.equal(one[1, :, :-1], other[1, :, :-1].flip(1), what="insertion curves")

        return Pair(ours, peer, agree)

    name, evaluations = "deletion and insertion curves, flipped", 2 * sizes.images * sizes.steps
    return Case(name, "evaluations", evaluations, 1.5, setting.version("quantus"), setup, needs="quantus")


def curves_looped(sizes: Sizes) -> Case:
    """Deletion and insertion, beside a loop over images and steps that asks one image at a time."""

    def setup() -> Pair:
        model, images, _ = setting.prepared(sizes)
        with torch.no_grad():
            target = model(images).argmax(1)
        maps, step = setting.maps(sizes.images, sizes.side), -(-(sizes.side**2) // sizes.steps)
        protocols = [
            perturbation.Protocol("deletion", baseline="black", step_units=step),
            perturbation.Protocol("insertion", baseline="blur", step_units=step),
        ]

        def ours() -> Tensor:
            found = [
                perturbation.measure(model, images, target, maps, protocol=protocol, max_batch=BATCH)
                for protocol in protocols
            ]
            return torch.stack([one.curve for one in found])

        def shown(x: Tensor) -> Tensor:
            return model(x).softmax(1)

        @torch.no_grad()
        def peer() -> Tensor:
            both = []
            for protocol in protocols:
                inserted = protocol.direction == "insertion"
                for image, values in zip(images.split(1), maps, strict=True):
                    empty = perturbation.replacement(image, protocol=protocol)
                    both.append(published.causal_curve(shown, image, empty, values, insertion=inserted, step=step))
            return torch.from_numpy(np.stack(both)).view(2, len(images), -1).float()

        return Pair(ours, peer, partial(alike.equal, what="curves"))

    name, evaluations = "deletion and insertion curves, image by image", 2 * sizes.images * (sizes.steps + 1)
    return Case(name, "evaluations", evaluations, 4.0, RISE_PUBLIC, setup)


def information(sizes: Sizes) -> Case:
    """Both information curves of images that neither skips; the peer makes one at a time. float64, for 1e-6 to hold."""

    def setup() -> Pair:
        from saliency.metrics import pic as theirs

        inner, n = setting.network(sizes.side).double(), 8 * sizes.few
        images = (setting.images(n, sizes.side, coarse=7) * 255).round() / 255
        maps, known = (
            setting.maps(n, sizes.side),
            pic.random_pixels(n, (sizes.side, sizes.side), generator=setting.generator()),
        )
        protocol = pic.Protocol(min_score=0.0)

        with torch.no_grad():
            usual = inner(images.double()).mean(0)  # an untrained network hardly looks at the image

        def score(x: Tensor) -> Tensor:
            return inner(x.double()) - usual

        with torch.no_grad():
            target = score(images).argmax(1)
        tried = pic.measure(score, images, target, maps, known, protocol=protocol)
        chosen = (tried.sic.used & tried.aic.used).nonzero()[: sizes.few, 0]
        images, maps, known, target = (part[chosen] for part in (images, maps, known, target))

        def ours() -> Tensor:
            found = pic.measure(score, images, target, maps, known, protocol=protocol, max_batch=BATCH)
            return torch.stack([found.sic.area, found.aic.area])

        def peer() -> Tensor:
            areas = [
                theirs.compute_pic_metric(
                    (image[0].numpy() * 255).round().astype(np.uint8), values.double().numpy(), seen.numpy(),
                    partial(_asked_in_bytes, score, int(label), hit), protocol.thresholds, min_pred_value=0.0,
                ).auc
                for hit in (False, True)
                for image, label, values, seen in zip(images, target, maps, known, strict=True)
            ]  # fmt: skip
            return torch.tensor(areas, dtype=torch.float64).view(2, -1)

        return Pair(ours, _with_trapz(peer), partial(alike.equal, what="areas"))

    return Case("information curves", "images", sizes.few, 20.0, setting.version("saliency"), setup, needs="saliency")


def regions(sizes: Sizes) -> Case:
    """XRAI of one picture from the same pixel attribution: segments, dilation and greedy addition."""

    def setup() -> Pair:
        from saliency.core import XRAI

        image = setting.images(1, sizes.picture, channels=3, coarse=12)
        values = F.interpolate(setting.maps(1, 14)[None], size=(sizes.picture, sizes.picture), mode="bilinear")[0, 0]
        picture = image[0].permute(1, 2, 0).double().numpy()  # (h, w, 3)
        beside = np.repeat(values.double().numpy()[..., None], 3, axis=2)
        return Pair(
            lambda: xrai.ranked_regions(values, xrai.segmentations(image)[0]),
            lambda: torch.from_numpy(XRAI().GetMask(picture, None, base_attribution=beside)).float(),
            partial(alike.equal, what="maps"),
        )

    return Case(f"XRAI, {sizes.picture} px", "images", 1, 3.0, setting.version("saliency"), setup, needs="saliency")


def _asked_in_bytes(score: Score, label: int, hit: bool, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What `saliency` asks: pictures uint8 (b, h, w) to the probability of the class, or whether it is the decision."""
    with torch.no_grad():
        logits = score(torch.from_numpy(pictures)[:, None].float() / 255)
    found = (logits.argmax(1) == label) if hit else logits.softmax(1)[:, label]
    return found.double().numpy()


def _with_trapz(call: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """The same call in a numpy that still has ``trapz``."""

    def patched() -> Tensor:
        with mock.patch.object(np, "trapz", np.trapezoid, create=True):
            return call()

    return patched


def _pixel_flipping() -> Any:
    """Quantus' metric; a stand-in serves its import of OpenCV, where there is none, and goes again."""
    absent = util.find_spec("cv2") is None
    if absent:
        sys.modules["cv2"] = ModuleType("cv2")
    try:
        from quantus.metrics.faithfulness.pixel_flipping import PixelFlipping
    finally:
        if absent:
            del sys.modules["cv2"]
    return PixelFlipping
