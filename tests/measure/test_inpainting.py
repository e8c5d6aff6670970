"""Arms of reconstruction by inpainting: what is hidden, what is assembled, what is learnt and counted."""

import pytest
import torch
from torch import nn

from lib import masks
from lib.data import defects
from lib.masks import distinct
from lib.measure import anomaly, inpainting

SIZES = dict(patch=4, sets=4, cell=4)
RUN = dict(source="digits", seed=1, n_images=32, epochs=2, width=4, batch_size=16, lr=0.01, **SIZES)

LONGER = dict(n_images=96, epochs=8, batch_size=8)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def recipe(hiding="salient", fill="mosaic"):
    return inpainting.Recipe(hiding, fill, **SIZES)


class Echo(nn.Module):
    """Gives back what it is given."""

    def forward(self, images, attenuate=None):
        return images


class Ones(nn.Module):
    def forward(self, images, attenuate=None):
        return torch.ones_like(images)


def pictures(n=6):
    return torch.rand(n, 1, 32, 32, generator=seeded(3))


def test_fills_only_what_is_hidden():
    images, hidden = pictures(), recipe().salient(pictures())
    assert (hidden.sum(1) == 16).all()
    pixels = masks.to_pixels(hidden, 8, (32, 32))[:, None]
    for fill in inpainting.FILLS:
        result = recipe(fill=fill).filled(images, hidden)
        assert torch.equal(result[~pixels], images[~pixels])
        assert not torch.equal(result[pixels], images[pixels])
    assert (recipe(fill="empty").filled(images, hidden)[pixels] == 0).all()


def test_random_arm_is_put_together_from_hidden_patches_only():
    images = pictures()
    never_seen = inpainting.restore(Echo(), images, recipe("random", "empty"), generator=seeded())
    assert (never_seen == 0).all()  # an echo of zeros everywhere: no visible pixel slips through
    assert (inpainting.restore(Ones(), images, recipe("random", "empty"), generator=seeded()) == 1).all()
    with pytest.raises(ValueError, match="generator"):
        inpainting.restore(Echo(), images, recipe("random", "empty"))


def test_passes_are_counted():
    images = pictures()
    for hiding, passes in (("nothing", 1), ("salient", 1), ("random", 4)):
        net = Echo()
        with inpainting.counting(net) as seen:
            inpainting.restore(net, images, recipe(hiding), generator=seeded())
        assert seen == [len(images)] * passes
        net(images)
        assert len(seen) == passes  # counting has ended


def test_suspicion_is_a_mean_over_the_window():
    images = torch.zeros(1, 2, 9, 9)
    restored = images.clone()
    restored[0, 0, 4, 4] = 1.0
    found = inpainting.suspicion(images, restored)
    assert found.shape == (1, 9, 9)
    assert found[0, 4, 4] == pytest.approx(0.5 / 25) and found[0, 2, 2] == pytest.approx(0.5 / 25)
    assert found[0, 1, 4] == 0


def test_coverage_counts_pixels():
    truth = torch.zeros(3, 8, 8, dtype=torch.bool)
    truth[0, :4, 2:6] = True  # two columns in each of the upper patches
    truth[2, 7, 7] = True
    hidden = torch.tensor([[True, False, False, False], [True] * 4, [False, False, False, True]])
    assert inpainting.covered(hidden, truth, (2, 2)).tolist() == [0.5, 1.0]


def test_stands_out_tells_hidden_from_visible():
    truth = torch.zeros(1, 4, 4, dtype=torch.bool)
    truth[0, :, 1:3] = True  # one column of the hidden half, one of the visible half
    maps = torch.tensor([4.0, 8.0, 3.0, 1.0]).expand(1, 4, 4)
    hidden = torch.tensor([[True, False, True, False]])
    assert inpainting.stands_out(maps, truth, hidden, (2, 2)) == {"hidden": 2.0, "visible": 3.0}


def test_saliency_map_repeats_the_saliency_of_its_patch():
    images = pictures(2)
    found, saliency = inpainting.saliency_map(images, recipe()), distinct.distinctness(images, patch=4)
    assert found.shape == (2, 32, 32)
    assert torch.equal(found[:, 5, 14], saliency[:, 1 * 8 + 3])


def test_told_mask_covers_every_defect_that_fits():
    found = defects.inspection("weave", 24, source="digits", seed=0)
    told = inpainting.told(found.x, found.masks, recipe())
    assert (told.sum(1) == 16).all()
    assert (inpainting.covered(told, found.masks, (8, 8)) == 1).all()
    normal = found.defect == 0
    assert torch.equal(told[normal], recipe().salient(found.x)[normal])


@pytest.mark.parametrize(("hiding", "fill"), [("nothing", "empty"), ("random", "empty"), ("salient", "mosaic")])
def test_training_is_deterministic_and_reloads(hiding, fill):
    torch.manual_seed(0)
    state = inpainting.train_inpainting("objects", hiding=hiding, fill=fill, **RUN)
    torch.manual_seed(1)
    again = inpainting.train_inpainting("objects", hiding=hiding, fill=fill, **RUN)
    assert state.keys() == again.keys() and all(torch.equal(state[name], again[name]) for name in state)
    net, attenuation = inpainting.loaded(state, width=4, patch=4)
    assert torch.equal(net.head.weight, state["net.head.weight"])
    assert not any(p.requires_grad for p in [*net.parameters(), *attenuation.parameters()])
    assert len(state["loss"]) == 2


def test_arms_of_a_seed_share_their_first_weights():
    one, two = (inpainting.empty(width=4, patch=4, seed=3) for _ in range(2))
    for mine, yours in zip(one, two, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine.parameters(), yours.parameters(), strict=True))


def test_attenuation_learns_what_it_is_taught_and_leaves_the_network_alone():
    net, attenuation = inpainting.empty(width=4, patch=4, seed=0)
    images = defects.training("objects", 48, source="digits", seed=0)
    before = [p.clone() for p in net.parameters()]
    inpainting.fit_attenuation(net, attenuation, images, recipe(), epochs=40, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    error = inpainting.hidden_errors(net, images, recipe(), generator=seeded(2))
    worst = error > error.quantile(1 - inpainting.MINED)
    with torch.no_grad():
        skips, _ = net.encode(recipe().filled(images, recipe().salient(images)))
        shares = attenuation.shares(0, skips[0])
    assert float(shares[worst].mean()) > 1.5 * float(shares[~worst].mean())


def test_hidden_errors_by_hand():
    images = pictures(2)
    found = inpainting.hidden_errors(Ones(), images, recipe(), generator=seeded())
    by_hand = (1 - images).unfold(2, 4, 4).unfold(3, 4, 4).mean((4, 5)).flatten(1)
    torch.testing.assert_close(found, by_hand)


def test_even_attenuation_has_the_same_mean_at_each_level():
    net, attenuation = inpainting.empty(width=4, patch=4, seed=0)
    images = pictures()
    even = inpainting.evenly(net, attenuation, images)
    with torch.no_grad():
        for level, skip in enumerate(net.encode(images)[0]):
            torch.testing.assert_close(even(level, skip), skip * (1 - attenuation.shares(level, skip).mean()))


def test_a_trained_arm_finds_planted_defects_better_than_chance():
    state = inpainting.train_inpainting("weave", hiding="random", fill="empty", **RUN | LONGER)
    net, _ = inpainting.loaded(state, width=4, patch=4)
    found = defects.inspection("weave", 48, source="digits", seed=9)
    maps = inpainting.suspicion(
        found.x, inpainting.restore(net, found.x, recipe("random", "empty"), generator=seeded())
    )
    assert anomaly.pixel_auroc(maps, found.masks) > 0.6


def test_errors_and_ties():
    with pytest.raises(ValueError, match="hiding must be one of"):
        recipe("block")
    with pytest.raises(ValueError, match="fill must be one of"):
        recipe(fill="noise")
    images = pictures()
    assert torch.equal(recipe().salient(images), masks.salient(distinct.distinctness(images, patch=4), ratio=0.25))
