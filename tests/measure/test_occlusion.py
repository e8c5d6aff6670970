"""Training with a second, masked look: its loss by hand, what arms share, and the answers against brute force."""

import pytest
import torch
from torch.nn import functional

from lib import data, masks
from lib.masks import describe
from lib.measure import occlusion

SIZES = {"patch": 7, "width": 32, "depth": 1}
RUN = SIZES | {"seed": 3, "ratio": 0.4, "weight": 1.0, "n_images": 40, "epochs": 2, "batch_size": 20}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def built(seed=0):
    return occlusion.empty_recogniser("digits", seed=seed, **SIZES)


@pytest.fixture(scope="module")
def clear():
    return data.images("digits", split="test", n=60, seed=1)


def trained(hiding, **changes):
    return occlusion.train_recogniser("digits", hiding=hiding, **(RUN | changes))


def test_the_rim_is_what_a_cox_process_leaves():
    hidden = occlusion.rim(2000, 6, ratio=0.25, generator=seeded())
    assert (hidden.sum(1) == 9).all()
    assert torch.equal(~hidden, masks.cox_process(2000, 6, ratio=0.75, generator=seeded()))
    share, border = describe.coverage(hidden), describe.border(6)
    assert share[border].mean() > 0.25 + 0.03 > 0.25 - 0.03 > share[~border].mean()


@pytest.mark.parametrize("name", ["uniform", "cox"])
def test_the_loss_is_cross_entropy_and_the_weighted_distance_of_features(name, clear):
    model, x, y = built(), clear.x[:8], clear.y[:8]
    sampler = occlusion.SAMPLERS[name]
    value = occlusion.occlusion_loss(model, sampler, ratio=0.4, weight=3.0)(model, (x, y), seeded(7))
    hidden = sampler(8, 4, ratio=0.4, generator=seeded(7))
    whole = torch.zeros_like(hidden)
    (logits, tokens), (_, masked) = model(x, whole), model(x, hidden)
    want = functional.cross_entropy(logits, y) + 3 * functional.mse_loss(masked, tokens)
    torch.testing.assert_close(value, want)
    alone = occlusion.occlusion_loss(model, None, ratio=0.4, weight=3.0)(model, (x, y), seeded(7))
    torch.testing.assert_close(alone, functional.cross_entropy(logits, y))


def felt(state):
    """All but biases of keys: they shift a query's scores alike, so their gradient is rounding, blown up by Adam."""
    width = SIZES["width"]
    return {
        name: torch.cat([value[:width], value[2 * width :]]) if name.endswith("attn.qkv.bias") else value
        for name, value in state.items()
    }


def test_arms_of_a_seed_share_all_but_the_mask():
    """With weight 0 the second look has no say, so every arm is the one without masks."""
    none = felt(trained("none"))
    for hiding in ("uniform", "cox", "rim"):
        same = felt(trained(hiding, weight=0.0))
        assert all(torch.allclose(none[key], same[key], atol=1e-5) for key in none)  # batches of two sizes round apart
    assert not torch.allclose(none["head.weight"], trained("uniform")["head.weight"], atol=1e-4)


def test_training_is_repeatable_and_loads():
    first, again, other = trained("cox"), trained("cox"), trained("cox", seed=4)
    assert first.keys() == again.keys() and all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])
    assert first["loss"].shape == (2,)
    model = occlusion.load_recogniser(first, "digits", **SIZES)
    assert not model.training and torch.equal(model.head.weight, first["head.weight"])


def test_the_term_draws_features_together(clear):
    settings = {"epochs": 12, "n_images": 80}
    hidden, moved = masks.random(60, 4, ratio=0.4, generator=seeded()), {}
    for name in ("none", "uniform"):
        model = occlusion.load_recogniser(trained(name, **settings), "digits", **SIZES)
        with torch.no_grad():
            whole, masked = occlusion.features(model, clear.x), model(clear.x, hidden)[1]
        spread = (whole - whole.mean(0)).square().mean()
        moved[name] = float((masked - whole).square().mean() / spread)
    assert moved["uniform"] < 0.8 * moved["none"]


@pytest.mark.parametrize("kind", occlusion.KINDS)
def test_covered_pictures_keep_what_is_not_covered(kind, clear):
    call = {"kind": kind, "place": "centre", "side": 0.5}
    pictures = occlusion.covered(clear, **call, generator=seeded())
    changed = (pictures != clear.x).any(1)
    assert pictures.shape == clear.x.shape and 0 < int(changed.sum((1, 2)).max()) <= 14**2
    assert not changed[:, :3].any() and not changed[:, :, :3].any()
    assert torch.equal(pictures, occlusion.covered(clear, **call, generator=seeded()))
    assert not torch.equal(pictures, occlusion.covered(clear, **call, generator=seeded(1)))


def test_answers_are_those_of_a_loop_over_pictures(clear):
    model = built()
    pictures = occlusion.covered(clear, kind="blob", place="centre", side=0.5, generator=seeded())
    templates = occlusion.features(model, clear.x)
    found = occlusion.ask(model, pictures, clear.y, templates=templates)
    tokens, spread = model.encode_tokens(pictures).detach(), float((templates - templates.mean(0)).square().sum()) / 60
    for i in range(0, 60, 7):
        likeness = [float(functional.cosine_similarity(tokens[i], other, dim=1).mean()) for other in templates]
        assert bool(found.matched[i]) == (likeness.index(max(likeness)) == i)
        assert bool(found.correct[i]) == (int(model.head(tokens[i].mean(0)).argmax()) == int(clear.y[i]))
        assert float(found.moved[i]) == pytest.approx(
            float((tokens[i] - templates[i]).square().sum()) / spread, rel=1e-3
        )


def test_uncovered_pictures_are_their_own_templates(clear):
    templates = occlusion.features(built(), clear.x)
    found = occlusion.ask(built(), clear.x, clear.y, templates=templates)
    assert found.matched.all() and float(found.moved.max()) == 0.0


def test_a_survey_asks_every_cover(clear):
    model, shown = built(), dict(occlusion.covers(clear, sides=(0.3, 0.5), seed=2))
    found = occlusion.survey(model, clear, sides=(0.3, 0.5), seed=2)
    assert list(found) == list(shown) and len(found) == 1 + 2 * 2 * 2
    assert torch.equal(shown[occlusion.CLEAR], clear.x)
    spot = ("blob", "corner", 0.5)
    want = occlusion.ask(model, shown[spot], clear.y, templates=occlusion.features(model, clear.x))
    assert torch.equal(found[spot].correct, want.correct) and torch.equal(found[spot].moved, want.moved)
    again, other = (dict(occlusion.covers(clear, sides=(0.3,), seed=seed)) for seed in (2, 3))
    small = ("square", "corner", 0.3)
    assert torch.equal(again[small], shown[small]) and not torch.equal(other[small], shown[small])


def test_errors_say_what_to_do(clear):
    with pytest.raises(ValueError, match="hiding must be one of none, uniform, cox, rim"):
        trained("gaussian")
    with pytest.raises(ValueError, match="weight must not be negative"):
        trained("cox", weight=-1.0)
    with pytest.raises(ValueError, match="templates must be those of the 60 pictures"):
        occlusion.ask(built(), clear.x, clear.y, templates=occlusion.features(built(), clear.x[:5]))
    with pytest.raises(ValueError, match="shape must be square or blob"):
        occlusion.covered(clear, kind="disc", place="centre", side=0.5, generator=seeded())
