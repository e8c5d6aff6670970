"""SimMIM sees every place, but in hidden ones only the mask token, and is judged there alone."""

from __future__ import annotations

import pytest
import torch

from lib import masks
from lib.models import mae, targets
from lib.models.simmim import SimMIM, l1_loss


def small(seed: int = 0, **options) -> SimMIM:
    options = {"patch": 4, "width": 16, "depth": 2, "heads": 2} | options
    return SimMIM(8, generator=torch.Generator().manual_seed(seed), **options)


def images(n: int = 3, seed: int = 0, channels: int = 1) -> torch.Tensor:
    return torch.rand(n, channels, 8, 8, generator=torch.Generator().manual_seed(seed))


def half(n: int = 3) -> torch.Tensor:
    return masks.random(n, 2, ratio=0.5, generator=torch.Generator().manual_seed(1))


def test_predictions_by_hand():
    """Token by token: mask tokens at hidden places, then every place through blocks, norm and head."""
    model, x, hidden = small(), images(), half()
    with torch.no_grad():
        for i in range(len(x)):
            cut = targets.patches(targets.centred(x[i : i + 1]), 4)[0]
            rows = [model.mask_token[0, 0] if hidden[i, t] else model.embed(cut[t]) for t in range(4)]
            tokens = (torch.stack(rows) + model.places)[None]
            for block in model.blocks:
                tokens = block(tokens)
            assert torch.allclose(model(x, hidden)[i], model.head(model.norm(tokens))[0], atol=1e-5)  # float32


def test_hidden_pixels_cannot_be_seen():
    model, x, hidden = small(), images(), half()
    cut, noise = targets.patches(x, 4), targets.patches(images(seed=5), 4)
    swap = targets.images_from(torch.where(hidden[..., None], noise, cut), 4, grid=(2, 2))
    peek = targets.images_from(torch.where(hidden[..., None], cut, noise), 4, grid=(2, 2))
    with torch.no_grad():
        assert torch.equal(model(x, hidden), model(swap, hidden))
        assert not torch.allclose(model(x, hidden), model(peek, hidden))


def test_the_encoder_sees_all_places():
    model, counts = small(), []
    model.blocks[0].register_forward_hook(lambda block, inputs, output: counts.append(inputs[0].shape[1]))
    model(images(), half())
    model.encode(images())
    assert counts == [4, 4]


def test_rows_may_hide_different_counts():
    hidden = torch.tensor([[True, False, False, False], [True, True, True, False]])
    assert small()(images(2), hidden).shape == (2, 4, 16)


def test_loss_is_the_papers_on_pixels():
    """Sum over hidden pixels of all channels, by the number of hidden pixels, by the channels."""
    x, hidden = images(channels=3), half()
    predicted = torch.rand(3, 4, 48, generator=torch.Generator().manual_seed(2))
    want, got = (targets.images_from(rows, 4, grid=(2, 2)) for rows in (targets.pixels(x, 4), predicted))
    area = targets.images_from(hidden[..., None].expand(-1, -1, 16).float(), 4, grid=(2, 2))  # (n, 1, h, w)
    paper = ((want - got).abs() * area).sum() / area.sum() / 3
    assert torch.allclose(l1_loss(predicted, targets.pixels(x, 4), hidden), paper, atol=1e-6)  # float32 sums
    assert l1_loss(predicted, predicted, hidden) == 0


def test_visible_tokens_are_not_in_the_loss():
    model, x, hidden = small(), images(), half()
    predicted = model(x, hidden).detach().requires_grad_()
    l1_loss(predicted, model.targets(x), hidden).backward()
    assert (predicted.grad[~hidden] == 0).all()
    assert (predicted.grad[hidden] != 0).all()


def test_probes_get_features_as_from_a_masked_autoencoder():
    model, x = small(), images()
    assert model.encode(x).shape == (3, 16)
    assert torch.equal(model.encode_tokens(x).mean(dim=1), model.encode(x))
    alone = mae.Encoder(model)
    assert torch.equal(alone(x), model.encode(x))
    assert not any(name.startswith(("head", "mask_token")) for name, _ in alone.named_parameters())
    with torch.no_grad():
        model.mask_token.add_(1.0)
    assert torch.equal(alone(x), model.encode(x)), "nothing is hidden from whole images"


@pytest.mark.parametrize("target", [targets.pixels, targets.normalised_pixels])
def test_reconstruction_keeps_visible_pixels(target):
    model, x, hidden = small(target=target), images(), half()
    with torch.no_grad():
        got = model.reconstruct(x, hidden)
    keep = targets.images_from((~hidden)[..., None].expand(-1, -1, 16).float(), 4, grid=(2, 2)).bool()
    assert torch.allclose(got[keep], x[keep], atol=1e-6)  # centring and back, in float32
    assert not torch.allclose(got[~keep], x[~keep], atol=1e-3)


@pytest.mark.parametrize(("kind", "channels"), [("pixels", 1), ("hog", 3)])
def test_gradients_reach_every_weight(kind, channels):
    model = small(channels=channels, target=targets.named(kind))
    x, hidden = images(channels=channels), half()
    l1_loss(model(x, hidden), model.targets(x), hidden).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())


def test_models_of_one_seed_differ_in_the_head_alone():
    torch.manual_seed(0)
    pixel, again = small().state_dict(), small().state_dict()
    hog, other = small(target=targets.hog).state_dict(), small(seed=1).state_dict()
    assert all(torch.equal(pixel[name], again[name]) for name in pixel)
    assert all(torch.equal(pixel[name], hog[name]) for name in pixel if not name.startswith("head"))
    assert hog["head.weight"].shape == (36, 16)
    assert not torch.equal(pixel["embed.weight"], other["embed.weight"])
    assert not torch.equal(pixel["mask_token"], other["mask_token"])
    assert pixel["mask_token"].abs().max() <= 0.02, "one deviation at most, as in the public code"


def test_errors():
    with pytest.raises(ValueError, match="patch must divide size"):
        SimMIM(28, patch=5)
    with pytest.raises(ValueError, match="hidden must be bool"):
        small()(images(), half().float())
    with pytest.raises(ValueError, match="draw it for the grid"):
        small()(images(), half(2))
    with pytest.raises(ValueError, match="to be painted"):
        small(target=targets.hog).reconstruct(images(), half())
