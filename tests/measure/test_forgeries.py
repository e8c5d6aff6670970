"""Collections of fakes are a function of their literals; nobody learns from what a detector sees."""

from __future__ import annotations

import pytest
import torch

from lib import data
from lib.measure import forgeries

TINY = {"n_images": 16, "rounds": 1, "n_train": 8, "n_test": 6, "width": 4}


@pytest.fixture(scope="module")
def collection():
    return forgeries.collect("digits-twin", seed=3, **TINY)


def test_what_is_in_a_collection(collection):
    assert {name for name in collection if not name.startswith("loss")} == {
        "real/train", "real/test", "identity/train", "identity/test", "gan/train",
        *(f"{kind}/test" for kind in forgeries.KINDS),
    }  # fmt: skip
    for name, part in collection.items():
        if name.startswith("loss"):
            assert part.shape == (1,)
        else:
            assert part.dtype == torch.uint8 and part.shape == (8 if name.endswith("train") else 6, 1, 28, 28)


def test_real_pictures_are_real_and_nobody_is_in_two_parts(collection):
    drawn = forgeries.as_bytes(data.images("digits-twin", n=32, seed=3).x)
    assert torch.equal(collection["real/train"], drawn[16:24])
    assert torch.equal(collection["identity/train"], drawn[24:])
    held = forgeries.as_bytes(data.images("digits-twin", split="test", n=12, seed=3).x)
    assert torch.equal(torch.cat([collection["real/test"], collection["identity/test"]]), held)


def test_a_function_of_its_literals(collection):
    assert forgeries.collect("digits-twin", seed=3, **TINY) is collection
    forgeries._collected.cache_clear()
    again = forgeries.collect("digits-twin", seed=3, **TINY)
    assert again is not collection and all(torch.equal(part, again[name]) for name, part in collection.items())
    other = forgeries.collect("digits-twin", seed=4, seen="resampling", **TINY)
    assert "resampling/train" in other and "gan/train" not in other
    assert not torch.equal(other["gan/test"], collection["gan/test"])


@pytest.mark.parametrize("kind", ["gan", "autoencoder", "diffusion"])
def test_generators_learn_to_imitate(kind):
    images = data.images("digits-twin", n=64, seed=0).x
    _, losses = forgeries.train_generator(kind, images, seed=0, epochs=8, width=8)
    assert len(losses) == 8 and losses[-1] < losses[0]
    noise = torch.Generator().manual_seed(0)
    model, _ = forgeries.train_generator(kind, images, seed=0, epochs=8, width=8)
    found = forgeries.forge(kind, model, images[:8], generator=noise)
    grey = (images[:8] - images[:8].mean()).abs().mean()
    assert (found - images[:8]).abs().mean() < grey
    assert not torch.equal(found, images[:8])


def test_bytes_and_floats_are_inverse():
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(forgeries.as_bytes(forgeries.as_floats(every)), every)


def test_errors():
    images, noise = torch.rand(2, 1, 8, 8), torch.Generator()
    with pytest.raises(ValueError, match="not trained"):
        forgeries.train_generator("resampling", images, seed=0, epochs=1)
    with pytest.raises(ValueError, match="kind must be"):
        forgeries.forge("flow", None, images, generator=noise)
    with pytest.raises(ValueError, match="train_generator"):
        forgeries.forge("gan", None, images, generator=noise)
    with pytest.raises(ValueError, match="seen must be"):
        forgeries.collect("digits-twin", seed=0, seen="flow", **TINY)
