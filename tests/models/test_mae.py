"""The masked autoencoder sees what is visible and nothing else, and its parts are what their formulas say."""

from __future__ import annotations

import importlib
import math

import pytest
import torch
from torch import nn

from lib import masks
from lib.models import mae, targets, timm_parts


def small(**options) -> mae.MAE:
    options = {"patch": 4, "width": 16, "depth": 2, "heads": 2, "decoder_width": 8, "decoder_heads": 2} | options
    return mae.MAE(8, generator=torch.Generator().manual_seed(0), **options)


def images(n: int = 3, seed: int = 0, channels: int = 1) -> torch.Tensor:
    return torch.rand(n, channels, 8, 8, generator=torch.Generator().manual_seed(seed))


def half(n: int = 3) -> torch.Tensor:
    return masks.random(n, 2, ratio=0.5, generator=torch.Generator().manual_seed(1))


def test_positions_by_hand():
    table = mae.positions((2, 3), 8)
    row, column = 1, 2
    rates = [1.0, 1e4**-0.5]
    expected = [f(place * rate) for place in (row, column) for f in (math.sin, math.cos) for rate in rates]
    assert torch.allclose(table[row * 3 + column], torch.tensor(expected))
    assert len({tuple(line.tolist()) for line in table}) == 6
    with pytest.raises(ValueError, match="multiple of 4"):
        mae.positions((2, 2), 6)


def test_loss_counts_hidden_patches_only():
    predicted, target = torch.zeros(1, 3, 2), torch.tensor([[[1.0, 1.0], [5.0, 5.0], [3.0, 1.0]]])
    hidden = torch.tensor([[True, False, True]])
    assert mae.reconstruction_loss(predicted, target, hidden) == (1 + 5) / 2
    assert mae.reconstruction_loss(target, target, hidden) == 0


def test_hidden_pixels_cannot_be_seen():
    """Noise in hidden patches changes nothing that the model predicts; noise in visible ones does."""
    model, x, hidden = small(), images(), half()
    noise = mae.patches(images(seed=5), 4)
    cut = mae.patches(x, 4)
    swap = mae.images_from(torch.where(hidden[..., None], noise, cut), 4, grid=(2, 2))
    peek = mae.images_from(torch.where(hidden[..., None], cut, noise), 4, grid=(2, 2))
    with torch.no_grad():
        assert torch.equal(model(x, hidden), model(swap, hidden))
        assert not torch.allclose(model(x, hidden), model(peek, hidden))


def test_predictions_land_in_their_places():
    """Visible features are scattered to their own tokens: compare with a slow assembly, token by token."""
    model, x, hidden = small(), images(), half()
    with torch.no_grad():
        for i in range(len(x)):
            seen = [t for t in range(4) if not hidden[i, t]]
            tokens = model.embed(mae.patches(mae.centred(x[i : i + 1]), 4)[:, seen]) + model.places[seen]
            for block in model.blocks:
                tokens = block(tokens)
            features = model.decoder_embed(model.norm(tokens))[0]
            whole = torch.stack([features[seen.index(t)] if t in seen else model.mask_token[0, 0] for t in range(4)])
            whole = (whole + model.decoder_places)[None]
            for block in model.decoder_blocks:
                whole = block(whole)
            expected = model.decoder_head(model.decoder_norm(whole))[0]
            assert torch.allclose(model(x, hidden)[i], expected, atol=1e-5)  # float32, other batch sizes


def test_encoder_sees_only_visible_tokens():
    model, counts = small(), []
    model.blocks[0].register_forward_hook(lambda block, inputs, output: counts.append(inputs[0].shape[1]))
    model(images(), half())
    model.encode(images())
    assert counts == [2, 4]


def test_encode_hides_nothing_and_encoder_shares_weights():
    model, x = small(), images()
    alone = mae.Encoder(model)
    assert model.encode(x).shape == (3, 16)
    assert model.encode_tokens(x).shape == (3, 4, 16)
    assert torch.equal(model.encode_tokens(x).mean(dim=1), model.encode(x))
    assert torch.equal(alone(x), model.encode(x))
    with torch.no_grad():
        model.embed.weight.mul_(2)
    assert torch.equal(alone(x), model.encode(x))
    assert not any(name.startswith("decoder") for name, _ in alone.named_parameters())


@pytest.mark.parametrize("norm_targets", [True, False])
def test_reconstruction_keeps_visible_pixels(norm_targets):
    model, x, hidden = small(norm_targets=norm_targets), images(), half()
    with torch.no_grad():
        got = model.reconstruct(x, hidden)
    keep = mae.images_from((~hidden)[..., None].expand(-1, -1, 16).float(), 4, grid=(2, 2)).bool()
    assert torch.allclose(got[keep], x[keep], atol=1e-6)  # centring and back, in float32
    assert not torch.allclose(got[~keep], x[~keep], atol=1e-3)
    assert (mae.shown(x, hidden, 4)[~keep] == 0).all()
    assert torch.equal(mae.shown(x, hidden, 4)[keep], x[keep])


def test_weights_follow_the_generator():
    torch.manual_seed(0)
    first = small().state_dict()
    torch.manual_seed(1)
    assert all(torch.equal(value, first[name]) for name, value in small().state_dict().items())
    other = mae.MAE(8, width=16, heads=2, decoder_width=8, decoder_heads=2, depth=2,
                    generator=torch.Generator().manual_seed(1))  # fmt: skip
    assert not torch.equal(other.embed.weight, small().embed.weight)


@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_reach_every_weight(channels):
    model = small(channels=channels)
    x, hidden = images(channels=channels), half()
    mae.reconstruction_loss(model(x, hidden), model.targets(x), hidden).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    assert all(p.grad.abs().sum() > 0 for name, p in model.named_parameters())


def test_another_target_changes_the_head_alone():
    model, x, hidden = small(), images(), half()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert model.retarget(targets.hog, generator=torch.Generator().manual_seed(3)) is model
    changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    assert changed == ["decoder_head.weight", "decoder_head.bias"]
    assert model(x, hidden).shape == model.targets(x).shape == (3, 4, 4 * 9)
    assert torch.equal(model.targets(x), targets.hog(x, 4))
    with pytest.raises(ValueError, match="to be painted"):
        model.reconstruct(x, hidden)


def test_losses_by_patch_and_their_mean():
    predicted, target = torch.zeros(1, 2, 2), torch.tensor([[[1.0, 3.0], [0.0, 2.0]]])
    assert mae.patch_losses(predicted, target).tolist() == [[5, 2]]
    assert mae.over_hidden(torch.tensor([[5.0, 2.0]]), torch.tensor([[False, True]])) == 2


def test_errors():
    with pytest.raises(ValueError, match="patch must divide size"):
        mae.MAE(28, patch=5)
    with pytest.raises(ValueError, match="hidden must be bool"):
        small()(images(), half().float())
    with pytest.raises(ValueError, match="draw it for the grid"):
        small()(images(), half(2))
    with pytest.raises(ValueError, match="unequal"):
        small()(images(2), torch.tensor([[True, True, False, False], [True, False, False, False]]))
    with pytest.raises(ValueError, match="multiple of heads"):
        timm_parts.vit_block(10, 3)
    with pytest.raises(ValueError, match="must be a timm model, got 'resnet999'"):
        timm_parts.create("resnet999", classes=2)


def test_block_is_attention_plus_perceptron():
    """timm's block against torch's own attention as the oracle."""
    torch.manual_seed(0)
    block, x = timm_parts.vit_block(8, 2).eval(), torch.randn(2, 5, 8)
    oracle = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    oracle.load_state_dict(
        {
            "in_proj_weight": block.attn.qkv.weight,
            "in_proj_bias": block.attn.qkv.bias,
            "out_proj.weight": block.attn.proj.weight,
            "out_proj.bias": block.attn.proj.bias,
        }  # fmt: skip
    )
    with torch.no_grad():
        y = block.norm1(x)
        middle = x + oracle(y, y, y)[0]
        expected = middle + block.mlp.fc2(nn.functional.gelu(block.mlp.fc1(block.norm2(middle))))
        assert torch.allclose(block(x), expected, atol=1e-5)  # float32, other order of sums


def test_torchvision_and_timm_are_importable():
    """Whatever torch is installed: transforms import after mending, and mending twice declares nothing twice."""
    timm_parts.mend_torchvision()
    timm_parts.mend_torchvision.cache_clear()
    timm_parts.mend_torchvision()
    transforms = importlib.import_module("torchvision.transforms")
    assert transforms.CenterCrop(2)(torch.zeros(1, 4, 4)).shape == (1, 2, 2)
    net = timm_parts.create("resnet18", classes=2, channels=1).eval()
    assert net(torch.zeros(1, 1, 32, 32)).shape == (1, 2)
