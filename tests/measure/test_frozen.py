"""One call asks what the probes ask one by one."""

from __future__ import annotations

import torch

from lib import data, train
from lib.data.objects import object_labels
from lib.measure import dense, frozen, pretraining, probes

SIZES = {"patch": 4, "width": 32, "depth": 1}


def test_images_and_patches_are_asked_as_by_hand():
    model = pretraining.empty_mae("digits", seed=0, norm_targets=True, **SIZES)
    seen, test = data.images("digits", n=60), data.images("digits", split="test", n=40)
    found = frozen.of_images(model, seen, test)
    a, b = (train.predict(model.encode, part.x) for part in (seen, test))
    assert torch.equal(found["linear"].bool(), probes.linear(a, seen.y, b, test.y).correct)
    assert torch.equal(found["neighbours"].bool(), probes.knn(a, seen.y, b, test.y).correct)
    both, parts = frozen.of_patches(model, seen, test, patch=4, n_seen=40, n_test=20)
    assert all(torch.equal(both[name], values) for name, values in found.items())
    assert torch.equal(both["dense"], parts.iou)
    tokens = [train.predict(model.encode_tokens, part.x) for part in (seen, test)]
    labels = [object_labels(part) for part in (seen, test)]
    want = dense.segment(tokens[0][:40], labels[0][:40], tokens[1][:20], labels[1][:20], patch=4)
    assert torch.allclose(parts.iou, want.iou)
    assert parts.iou.shape == (20,)


def test_places_alone_know_less_than_the_truth_allows():
    model = pretraining.empty_mae("digits", seed=0, norm_targets=True, **SIZES)
    seen, test = data.images("digits", n=60), data.images("digits", split="test", n=40)
    iou = frozen.chance_of_place(model.places, seen, test, patch=4, n_seen=60, n_test=40)
    _, whole = frozen.of_patches(model, seen, test, patch=4, n_seen=60, n_test=40)
    assert iou.shape == (40,)
    assert iou.mean() < whole.ceiling.mean()
    assert frozen.percent(torch.tensor([True, False])) == 50.0
