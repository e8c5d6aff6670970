"""The recogniser: what hidden patches can and cannot change, and where its parts come from."""

import pytest
import torch

from lib.models.recogniser import Recogniser


def built(seed=0, **sizes):
    return Recogniser(12, classes=3, patch=4, width=16, depth=2, generator=torch.Generator().manual_seed(seed), **sizes)


def pictures(n=4, channels=1):
    return torch.rand(n, channels, 12, 12, generator=torch.Generator().manual_seed(5))


def test_nothing_hidden_is_the_encoder_of_whole_images():
    model, x = built(), pictures()
    logits, tokens = model(x, torch.zeros(4, 9, dtype=torch.bool))
    torch.testing.assert_close(tokens, model.encode_tokens(x))
    torch.testing.assert_close(logits, model.head(model.encode(x)))


def test_hidden_patches_are_mid_grey_and_have_no_say():
    model, x = built(channels=3), pictures(channels=3)
    hidden = torch.zeros(4, 9, dtype=torch.bool)
    hidden[:, [0, 4]] = True  # first patch and the middle one
    other, grey = x.clone(), x.clone()
    for part in (slice(0, 4), slice(4, 8)):
        other[:, :, part, part] = torch.rand(4, 3, 4, 4)
        grey[:, :, part, part] = 0.5
    torch.testing.assert_close(model(x, hidden)[1], model(other, hidden)[1])
    torch.testing.assert_close(model(x, hidden)[1], model.encode_tokens(grey))
    assert not torch.allclose(model(x, hidden)[1], model.encode_tokens(x), atol=1e-3)


def test_rows_are_hidden_apart():
    model, x = built(), pictures()
    hidden = torch.zeros(4, 9, dtype=torch.bool)
    hidden[1, :5] = True
    whole = model.encode_tokens(x)
    moved = (model(x, hidden)[1] - whole).abs().amax((1, 2))
    assert moved[1] > 1e-3 and moved[[0, 2, 3]].max() < 1e-5  # float32 rounding


def test_weights_follow_the_generator():
    assert all(torch.equal(a, b) for a, b in zip(built().parameters(), built().parameters(), strict=True))
    assert not torch.equal(built().head.weight, built(1).head.weight)


def test_a_mask_of_another_grid_is_refused():
    with pytest.raises(ValueError, match=r"hidden must be bool \(4, 9\)"):
        built()(pictures(), torch.zeros(4, 16, dtype=torch.bool))
