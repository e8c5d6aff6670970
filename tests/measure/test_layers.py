"""Features after every block: the last agree with the encoder's own, inner ones with a shorter encoder."""

import pytest
import torch

from lib.measure import layers, probes
from lib.models.mae import MAE
from lib.models.simmim import SimMIM


def model(kind=MAE):
    return kind(8, patch=2, width=32, depth=3, generator=torch.Generator().manual_seed(0))


def pictures(n=40):
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", [MAE, SimMIM])
def test_last_block_is_what_the_encoder_gives(kind):
    """The encoder's last norm starts with scale one and shift zero, so untrained features are equal."""
    found = layers.block_features(model(kind), pictures())
    assert found.shape == (3, 40, 32)
    assert torch.allclose(found[-1], model(kind).encode(pictures()), atol=1e-6)  # float32 rounding
    assert not torch.allclose(found[0], found[1], atol=1e-3)


def test_a_probe_does_not_see_the_learned_norm():
    changed, x, y = model(), pictures(), torch.arange(40) % 3
    with torch.no_grad():
        changed.norm.weight.uniform_(0.5, 2.0, generator=torch.Generator().manual_seed(2))
        changed.norm.bias.uniform_(-1.0, 1.0, generator=torch.Generator().manual_seed(3))
        own = changed.encode(x)
    last = layers.block_features(changed, x)[-1]
    logits = (probes.logistic(part[:30], y[:30], part[30:], classes=3) for part in (own, last))
    assert torch.allclose(*logits, atol=1e-3)  # two float32 features, one minimiser


def test_inner_blocks_do_not_depend_on_later_ones():
    short, whole = model(), model()
    short.blocks = short.blocks[:2]
    assert torch.equal(layers.block_features(short, pictures())[1], layers.block_features(whole, pictures())[1])


def test_batches_change_nothing_but_rounding():
    whole, parts = (layers.block_features(model(), pictures(), batch_size=size) for size in (40, 7))
    assert torch.allclose(whole, parts, atol=1e-6)
