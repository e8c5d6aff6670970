"""The benchmarks beside Quantus, `saliency` and the published loop: one job on both sides, or it is noticed."""

from __future__ import annotations

import importlib.util
import sys

import pytest
import torch
from torch import Tensor

from lib.bench import harness, judges, published, setting
from lib.bench.harness import AnotherJob, Case
from lib.explain import xrai
from lib.measure import perturbation, pic

SMALL = setting.Sizes(images=3, few=2, side=16, steps=8, picture=40)
HOW = "pip install --no-deps -r requirements-peers.txt"


def ready(case: Case) -> Case:
    if case.needs and importlib.util.find_spec(case.needs) is None:
        pytest.skip(HOW)
    return case


@pytest.mark.parametrize("case", judges.cases(SMALL), ids=lambda one: one.name)
def test_every_case_does_one_job(case):
    pair = harness.checked(ready(case))
    assert pair.ours is not pair.peer


@pytest.mark.parametrize(
    ("build", "module", "name", "words"),
    [
        (judges.curves_looped, published, "causal_curve", "curves must be equal"),
        (judges.curves_flipped, perturbation, "_follow", "deletion curves must be equal"),
        (judges.information, pic, "_curve", "areas must be equal"),
        (judges.regions, xrai, "ranked_regions", "maps must be equal"),
    ],
    ids=["looped", "flipped", "information", "regions"],
)
def test_another_result_is_refused(monkeypatch, build, module, name, words):
    case, inner = ready(build(SMALL)), getattr(module, name)

    def raised(*given, **options):
        found = inner(*given, **options)
        return pic.Curve(found.values, 1.1 * found.area, found.reasons) if module is pic else 1.1 * found

    monkeypatch.setattr(module, name, raised)
    with pytest.raises(AnotherJob, match=words):
        harness.checked(case)


def test_the_published_curve_follows_the_definition():
    """A score that counts what is left falls by the exchanged pixels' values, the highest first."""
    image = torch.arange(1.0, 10.0).view(1, 1, 3, 3)

    def score(x: Tensor) -> Tensor:  # class 1 is decided
        return torch.stack([0 * x.sum((1, 2, 3)), x.sum((1, 2, 3))], 1)

    given = score, image, torch.zeros_like(image), image[0, 0]
    assert published.causal_curve(*given, insertion=False, step=2).tolist() == [45.0, 28.0, 15.0, 6.0, 1.0, 0.0]
    assert published.causal_curve(*given, insertion=True, step=2).tolist() == [0.0, 17.0, 30.0, 39.0, 44.0, 45.0]
    assert image.sum() == 45, "the caller's image stays"


def test_quantus_needs_no_opencv_and_leaves_no_stand_in():
    ready(judges.curves_flipped(SMALL))
    metric = judges._pixel_flipping()
    assert metric.__module__.startswith("quantus.")
    assert ("cv2" in sys.modules) <= (importlib.util.find_spec("cv2") is not None)
