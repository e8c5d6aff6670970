"""The cases of attribution: black boxes beside the network alone, gradients and KernelSHAP beside captum; `judges`.

Targets are those set before anything was timed. Where the network is the cost, the peer is the network alone, on the
very images that ours asks about: nothing faster is claimed, only how little is added. Everywhere else both sides ask
the same network as often, and before timing their results must be the same.

What is fair here: captum runs as it does by default, all samples in one batch and KernelSHAP one query at a time, ours
with `lib.bench.setting.BATCH` images per call. Networks and images are prepared for neither.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lib.bench import alike, judges, published, setting
from lib.bench.harness import AnotherJob, Case, Pair
from lib.bench.setting import BATCH, Sizes
from lib.explain import Score, captum_family, gradients, hsic, rise, sobol, surrogate
from lib.explain.features import cells
from lib.masks.designs import RiseDesign, rise_design

ALONE = "its own network, forward"
NOISE = 0.15
KINKS = 0.01  # points that differ in the last digit send a ReLU or a maximum the other way now and then


def cases(sizes: Sizes | None = None) -> list[Case]:
    """All cases, in the order of the table; also those whose peer is not installed, see `Case.needs`."""
    sizes = sizes or Sizes()
    found = [rise_alone(sizes), sobol_alone(sizes), hsic_alone(sizes)]
    found += [rise_masks(side, n) for side, n in sizes.rendered]
    found += [integrated(sizes), smooth(sizes), expected(sizes), shapley(sizes)]
    return found + judges.cases(sizes)


def rise_alone(sizes: Sizes) -> Case:
    """RISE beside the forward passes of its masked images; 1 / 1.1 allows a tenth for masks and sums."""
    method = partial(rise.rise, n_masks=sizes.masks)
    return _beside_network("RISE", method, sizes, sizes.masks)


def sobol_alone(sizes: Sizes) -> Case:
    """Total Sobol' indices of 8 x 8 cells beside the forward passes."""
    return _beside_network("Sobol' indices", partial(sobol.sobol, n_design=sizes.rows), sizes, sizes.rows * (64 + 2))


def hsic_alone(sizes: Sizes) -> Case:
    """HSIC of 7 x 7 cells beside the forward passes."""
    method = partial(hsic.hsic, n_masks=sizes.masks // 2, grid=7)
    return _beside_network("HSIC", method, sizes, sizes.masks // 2)


def rise_masks(side: int, n: int) -> Case:
    """Masks alone, beside one call of scikit-image for each; away from the borders they must be the same masks."""

    def setup() -> Pair:
        draw = partial(published.rise_draws, n, side, grid=7, keep=0.5)
        rng = np.random.RandomState(0)
        generator = setting.generator()

        def ours() -> Tensor:
            return rise_design(n, (side, side), generator=generator).render(0, n)

        def agree(one: Tensor, _: NDArray[np.float64]) -> None:
            kept, shifts = draw(rng=np.random.RandomState(1))
            design = RiseDesign(torch.from_numpy(kept).float(), torch.from_numpy(shifts), (side, side))
            other = published.rise_masks(kept, shifts, side)
            alike.same_masks(one, design, torch.from_numpy(other).float())

        return Pair(ours, lambda: published.rise_masks(*draw(rng=rng), side), agree)

    return Case(f"RISE masks, {side} px", "masks", n, 8.0 if side < 100 else 4.0, judges.RISE_PUBLIC, setup)


def integrated(sizes: Sizes) -> Case:
    """Integrated gradients with captum's default of 50 steps, which it sends through the network at once."""

    def setup() -> Pair:
        from captum.attr import IntegratedGradients

        model, images, target = setting.prepared(sizes)
        peer = IntegratedGradients(model)
        return Pair(
            lambda: gradients.integrated_gradients(model, images, target, n_steps=sizes.samples, max_batch=BATCH),
            lambda: peer.attribute(images, target=target, n_steps=sizes.samples)[:, 0].float(),
            partial(alike.equal, what="maps", tolerance=1e-5),
        )

    return _captum("integrated gradients", sizes, 2.0, setup)


def smooth(sizes: Sizes) -> Case:
    """SmoothGrad with the 50 samples of its paper; with the same seed one image gets the same noise from both."""

    def setup() -> Pair:
        from captum.attr import NoiseTunnel, Saliency

        model, images, target = setting.prepared(sizes)
        tunnel, generator = NoiseTunnel(Saliency(model)), setting.generator()
        options = {"nt_type": "smoothgrad", "nt_samples": sizes.samples, "stdevs": NOISE, "abs": False}

        def ours(part: slice = slice(None), generator: torch.Generator = generator) -> Tensor:
            return gradients.smoothgrad(
                model, images[part], target[part], generator=generator, n_samples=sizes.samples, noise=NOISE,
                max_batch=BATCH,
            )  # fmt: skip

        def peer(part: slice = slice(None)) -> Tensor:
            return tunnel.attribute(images[part], target=target[part], **options)[:, 0].detach()

        def agree(one: Tensor, other: Tensor) -> None:
            alike.same_shape(one, other)
            with torch.random.fork_rng(devices=[]):
                for index in range(sizes.few):
                    torch.manual_seed(index)
                    alone = slice(index, index + 1)
                    found = ours(alone, setting.generator(index))
                    alike.equal(found, peer(alone), what="maps of the same noise", tolerance=KINKS)

        return Pair(ours, peer, agree)

    return _captum("SmoothGrad", sizes, 2.0, setup)


def expected(sizes: Sizes) -> Case:
    """Gradient SHAP with 16 references; the check hands our draws of references and points to captum."""

    def setup() -> Pair:
        from captum.attr import GradientShap

        model, images, target = setting.prepared(sizes)
        pool, generator, shap = setting.images(16, sizes.side, seed=1), setting.generator(), GradientShap(model)

        def ours(generator: torch.Generator = generator) -> Tensor:
            return captum_family.gradient_shap(
                model, images, target, generator=generator, baselines=pool, n_samples=sizes.samples, max_batch=BATCH
            )

        def peer() -> Tensor:
            found = shap.attribute(images, pool, n_samples=sizes.samples, target=target)
            return found[:, 0].detach().float()

        def agree(one: Tensor, other: Tensor) -> None:
            alike.same_shape(one, other)
            chance, draws = setting.generator(7), []
            for _ in range(sizes.samples):
                chosen = torch.randint(len(pool), (len(images),), generator=chance)
                draws.append((chosen, torch.rand(len(images), generator=chance)))
            references, points = (torch.stack(part, 1).flatten().numpy() for part in zip(*draws, strict=True))
            with (  # captum counts the samples within an image
                mock.patch.object(np.random, "choice", return_value=references),
                mock.patch.object(np.random, "uniform", return_value=points),
            ):
                replayed = peer()
            alike.equal(ours(setting.generator(7)), replayed, what="maps of the same draws", tolerance=KINKS)

        return Pair(ours, peer, agree)

    return _captum("gradient SHAP", sizes, 2.0, setup)


def shapley(sizes: Sizes) -> Case:
    """KernelSHAP of 7 x 7 cells; the check gives ours the subsets that captum drew."""

    def setup() -> Pair:
        from captum.attr import KernelShap

        model, images, target = setting.prepared(sizes, few=True)
        images = images.clamp_min(0.01)  # what is hidden is 0, nothing else
        features, generator = cells((sizes.side, sizes.side), 7), setting.generator()
        first = torch.stack([(features.flatten() == g).nonzero()[0, 0] for g in range(49)])  # a pixel of each feature

        def ours(generator: torch.Generator = generator) -> Tensor:
            return surrogate.kernel_shap(
                model, images, target, generator=generator, features=features, n_samples=sizes.subsets, max_batch=BATCH
            )

        def peer(score: Score = model, part: slice = slice(None)) -> Tensor:
            asked = {"feature_mask": features[None, None], "n_samples": sizes.subsets + 2}  # with both ends
            method = KernelShap(score)
            return torch.cat([
                method.attribute(image[None], target=label, **asked)[:, 0]
                for image, label in zip(images[part], target[part].tolist(), strict=True)
            ])  # fmt: skip

        def agree(one: Tensor, other: Tensor) -> None:
            alike.same_shape(one, other)
            seen: list[Tensor] = []
            theirs = peer(_recording(model, seen), slice(0, 1))
            gates = (torch.cat(seen)[-sizes.subsets :].flatten(1)[:, first] > 0).float()  # the ends come first
            drawn = surrogate.Subsets(gates, torch.ones(len(gates), dtype=torch.float64))
            with mock.patch.object(surrogate, "shapley_subsets", return_value=drawn):
                same = ours()[:1]
            alike.equal(same, theirs, what="values of the same subsets", tolerance=0.01)  # captum's ends are soft

        return Pair(ours, peer, agree)

    return Case("KernelSHAP", "images", sizes.few, 4.0, setting.version("captum"), setup)


def _beside_network(name: str, method: Callable[..., Tensor], sizes: Sizes, queries: int) -> Case:
    """A black-box method beside nothing but the network, on the masked images that the method asks about."""

    def setup() -> Pair:
        model, images, target = setting.prepared(sizes, few=True)
        held: list[Tensor] = []

        def score(x: Tensor) -> Tensor:
            return model(x).softmax(1)

        def ours(score: Score = score) -> Tensor:
            return method(score, images, target, generator=setting.generator(), max_batch=BATCH)

        @torch.no_grad()
        def peer() -> Tensor:
            return torch.cat([score(piece) for piece in held])

        def agree(maps: Tensor, scores: Tensor) -> None:
            seen: list[Tensor] = []
            alike.equal(ours(_recording(score, seen)), maps, what="maps of one seed")
            alike.same_questions(seen, held)
            if len(scores) != sizes.few * queries:
                raise AnotherJob(f"{sizes.few * queries} images must be asked, got {len(scores)}")

        ours(_recording(score, held))
        return Pair(ours, peer, agree)

    target = round(1 / 1.1, 2)
    return Case(f"{name} beside its network", "masked images", sizes.few * queries, target, ALONE, setup)


def _recording(score: Score, seen: list[Tensor]) -> Score:
    def asked(x: Tensor) -> Tensor:
        seen.append(x.detach().clone())
        return score(x)

    return asked


def _captum(name: str, sizes: Sizes, target: float, setup: Callable[[], Pair]) -> Case:
    return Case(f"{name}, {sizes.samples} points", "images", sizes.images, target, setting.version("captum"), setup)
