"""The benchmarks of attribution: every case does one job at tiny sizes, and its check notices when it does not.

No test decides by a time: how fast something is, is measured by ``make bench``.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from lib.bench import __main__ as command
from lib.bench import alike, explain, harness, judges, published, setting
from lib.bench.harness import AnotherJob, Case, Pair
from lib.explain import captum_family, gradients, surrogate
from lib.masks import designs

SMALL = setting.Sizes(
    images=3,
    few=2,
    side=16,
    masks=200,
    rows=2,
    samples=4,
    subsets=200,
    steps=8,
    rendered=((28, 6), (40, 4)),
    picture=40,
)
CASES = [case for case in explain.cases(SMALL) if not case.needs]
HOW = "pip install --no-deps -r requirements-peers.txt"


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("case", CASES, ids=lambda one: one.name)
def test_every_case_does_one_job(case):
    pair = harness.checked(case)
    assert pair.ours is not pair.peer


def test_cases_have_their_own_names_and_the_targets_that_were_set():
    full = explain.cases()
    assert len({case.name for case in full}) == len(full) == 13
    targets = {case.name: case.target for case in full}
    assert {name: target for name, target in targets.items() if "network" in name} == {
        f"{name} beside its network": 0.91 for name in ("RISE", "Sobol' indices", "HSIC")
    }
    assert (targets["RISE masks, 28 px"], targets["RISE masks, 224 px"]) == (8.0, 4.0)
    assert [targets[f"{name}, 50 points"] for name in ("integrated gradients", "SmoothGrad", "gradient SHAP")] == [
        2.0
    ] * 3
    assert (targets["KernelSHAP"], targets["information curves"], targets["XRAI, 224 px"]) == (4.0, 20.0, 3.0)
    assert targets["deletion and insertion curves, flipped"] == 1.5
    assert targets["deletion and insertion curves, image by image"] == 4.0
    assert all(case.amount > 0 and case.peer_version for case in full)


def test_both_sides_ask_the_network_as_often():
    """The amount of a case is what the network is asked, by ours and, in the loop, by the peer."""
    asked: list[int] = []

    class Counting(torch.nn.Module):
        def __init__(self, inner: torch.nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Tensor:
            asked.append(len(x))
            return self.inner(x)

    with pytest.MonkeyPatch.context() as patch:
        network = setting.network(SMALL.side)
        patch.setattr(setting, "network", lambda *_, **__: Counting(network))
        for build in (explain.rise_alone, explain.sobol_alone, explain.hsic_alone, judges.curves_looped):
            case = build(SMALL)
            pair = case.setup()
            decisions = 2 * SMALL.images if build is judges.curves_looped else 0  # the loop asks for each image's class
            for call, more in ((pair.ours, 0), (pair.peer, decisions)):
                asked.clear()
                call()
                assert sum(asked) == case.amount + more, case.name


def shifted(method):
    """The method with a result that is a tenth off."""
    return lambda *given, **options: 1.1 * method(*given, **options)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("build", "module", "name", "words"),
    [
        (explain.integrated, gradients, "integrated_gradients", "maps must be equal"),
        (explain.smooth, gradients, "smoothgrad", "maps of the same noise must be equal"),
        (explain.expected, captum_family, "gradient_shap", "maps of the same draws must be equal"),
        (explain.shapley, surrogate, "additive_fit", "values of the same subsets must be equal"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_another_result_is_refused(monkeypatch, build, module, name, words):
    monkeypatch.setattr(module, name, shifted(getattr(module, name)))
    with pytest.raises(AnotherJob, match=words):
        harness.checked(build(SMALL))


@pytest.mark.parametrize(
    ("build", "module", "name"),
    [(explain.smooth, gradients, "smoothgrad"), (explain.expected, captum_family, "gradient_shap")],
)
def test_other_draws_are_refused(monkeypatch, build, module, name):
    """Results of chance are compared draw by draw: another seed gives values of the same size and does not pass."""
    inner = getattr(module, name)
    other = torch.Generator().manual_seed(99)
    monkeypatch.setattr(module, name, lambda *given, **options: inner(*given, **options | {"generator": other}))
    with pytest.raises(AnotherJob, match="must be equal"):
        harness.checked(build(SMALL))


def test_other_questions_are_refused(monkeypatch):
    seeds = iter(range(100))
    monkeypatch.setattr(setting, "generator", lambda seed=0: torch.Generator().manual_seed(next(seeds)))
    with pytest.raises(AnotherJob, match="maps of one seed must be equal"):
        harness.checked(explain.rise_alone(SMALL))
    one, other = torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 4, 4)
    alike.same_questions([one, other], [one.clone(), other.clone()])
    for held in ([one, one], [one], [torch.cat([one, other])]):
        with pytest.raises(AnotherJob, match="asked about the same images, got 4 and"):
            alike.same_questions([one, other], held)


def test_values_are_compared_by_the_largest():
    alike.equal(torch.tensor([1000.0, 1.0]), torch.tensor([1000.0005, 1.0]), what="maps")
    for other in (torch.tensor([1000.01, 1.0]), torch.tensor([torch.nan, 1.0])):
        with pytest.raises(AnotherJob, match="maps must be equal to 1e-06"):
            alike.equal(torch.tensor([1000.0, 1.0]), other, what="maps")
    with pytest.raises(AnotherJob, match=r"one shape, got \(2,\) and \(1,\)"):
        alike.equal(torch.ones(2), torch.ones(1), what="maps")


def test_published_masks_are_ours_away_from_the_borders():
    kept, shifts = published.rise_draws(40, 30, grid=4, keep=0.3, rng=np.random.RandomState(0))
    assert kept.shape == (40, 4, 4) and abs(kept.mean() - 0.3) < 0.06  # three standard errors are .054
    assert shifts.min() == 0 and shifts.max() == math.ceil(30 / 4) - 1
    masks = torch.from_numpy(published.rise_masks(kept, shifts, 30)).float()
    design = designs.RiseDesign(torch.from_numpy(kept), torch.from_numpy(shifts), (30, 30))
    alike.same_masks(masks, design, masks)
    for other in (masks.flip(0), masks.roll(1, 2), masks[:, :, :-1]):
        with pytest.raises(AnotherJob):
            alike.same_masks(masks, design, other)
    with pytest.raises(AnotherJob, match="keep the same share"):
        alike.same_masks(torch.ones_like(masks), design, masks)


def test_a_missing_peer_leaves_its_cases_out(capsys):
    pair = Pair(list, list, lambda *_: None)
    given = {"unit": "images", "amount": 1, "target": 1.0, "peer_version": "", "setup": lambda: pair}
    cases = [Case("one", **given), *(Case(name, needs="no_such_package", **given) for name in ("two", "three"))]
    cases.append(Case("four", needs="torch", **given))
    assert [case.name for case in command.installed(cases)] == ["one", "four"]
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"left out: two, three; {HOW} gets no_such_package"]


def test_the_command_knows_the_cases():
    assert [case.name for case in command.BENCHES["explain"](False)] == [case.name for case in explain.cases()]
