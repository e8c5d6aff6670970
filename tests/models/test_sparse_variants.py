"""The overwritten network forgets its weights, the dense one is a plain dense network."""

import numpy as np
import pytest

from lib.models.sparse_autoencoder import SparseAutoencoder, train_epoch
from lib.models.sparse_layer import SparseLayer
from lib.models.sparse_variants import VARIANTS, DenseLayer, OverwrittenLayer, autoencoder


def made(variant: str, seed: int = 0, **options: object) -> SparseAutoencoder:
    small = {"hidden": 7, "epsilon": 2.0, "dropout": 0.0} | options
    return autoencoder(9, variant=variant, generator=np.random.default_rng(seed), **small)  # type: ignore[arg-type]


def batch(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((9, 5)).astype(np.float32), rng.standard_normal((9, 5)).astype(np.float32)


def test_sparse_and_overwritten_start_from_the_same_weights() -> None:
    sparse, overwritten = made("sparse"), made("overwritten")
    np.testing.assert_array_equal(sparse.encoder.dense(), overwritten.encoder.dense())
    np.testing.assert_array_equal(sparse.decoder.dense(), overwritten.decoder.dense())
    assert isinstance(overwritten.encoder, OverwrittenLayer)
    assert not isinstance(sparse.encoder, OverwrittenLayer)


def test_the_gradient_lands_in_the_weights_before_the_error_goes_back() -> None:
    sparse, overwritten = made("sparse"), made("overwritten")
    noisy, clean = batch()
    right, wrong = sparse.gradients(noisy, clean), overwritten.gradients(noisy, clean)
    np.testing.assert_array_equal(right.decoder[0], wrong.decoder[0])  # the last layer's gradient is still right
    np.testing.assert_array_equal(overwritten.decoder.weights, right.decoder[0])
    np.testing.assert_array_equal(overwritten.encoder.weights, wrong.encoder[0])

    hidden = 1 / (1 + np.exp(-sparse.encoder.forward(noisy)))  # by hand: back through the decoder's gradient
    delta = (sparse.decoder.forward(hidden) - clean) / 5
    spoilt = np.where(sparse.decoder.dense() != 0, delta @ hidden.T, 0)
    inner = (spoilt.T @ delta) * hidden * (1 - hidden)
    expected = np.where(sparse.encoder.dense() != 0, inner @ noisy.T, 0)
    np.testing.assert_allclose(overwritten.encoder.dense(), expected, atol=1e-6)  # float32


def test_overwritten_weights_have_no_memory() -> None:
    first, second = made("overwritten"), made("overwritten")
    second.encoder.weights *= 0.5  # seen by the forward pass only
    noisy, clean = batch()
    for network in (first, second):
        slopes = network.gradients(noisy, clean)
        network.update(slopes, learning_rate=0.0, momentum=0.9, weight_decay=0.0)
        np.testing.assert_array_equal(network.encoder.weights, slopes.encoder[0])  # a step of length 0 changed them
    kept = made("sparse")
    before = kept.encoder.weights.copy()
    kept.update(kept.gradients(noisy, clean), learning_rate=0.0, momentum=0.9, weight_decay=0.0)
    np.testing.assert_array_equal(kept.encoder.weights, before)


def test_rewiring_goes_on_in_an_overwritten_network() -> None:
    network = made("overwritten")
    n_weights = network.n_weights
    X = np.random.default_rng(2).standard_normal((30, 9)).astype(np.float32)
    train_epoch(network, X, generator=np.random.default_rng(3), batch_size=10)
    assert network.rewire(0.5, np.random.default_rng(4)) > 0
    assert network.n_weights == n_weights
    noisy, clean = batch()
    slopes = network.gradients(noisy, clean)
    np.testing.assert_array_equal(network.encoder.weights, slopes.encoder[0])


def test_dense_layer_equals_a_sparse_layer_with_all_edges() -> None:
    dense = DenseLayer(6, 4, generator=np.random.default_rng(0))
    full = SparseLayer(6, 4, epsilon=24, generator=np.random.default_rng(0))
    np.testing.assert_array_equal(dense.dense(), full.dense())
    assert (dense.dense() != 0).all()
    rng = np.random.default_rng(1)
    x, delta = rng.standard_normal((6, 3)).astype(np.float32), rng.standard_normal((4, 3)).astype(np.float32)
    pairs = [
        (dense.forward(x), full.forward(x)),
        (dense.backward(delta), full.backward(delta)),
        (dense.weight_gradient(delta, x), full.weight_gradient(delta, x)),
    ]
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)  # float32, another order of sums


def test_dense_network_learns_and_reads_its_strength() -> None:
    network = made("dense")
    X = np.random.default_rng(5).standard_normal((40, 1)).astype(np.float32) * np.ones(9, dtype=np.float32)
    errors = [train_epoch(network, X, generator=np.random.default_rng(6), batch_size=10) for _ in range(30)]
    assert errors[-1] < 0.7 * errors[0]
    np.testing.assert_allclose(network.strength(), np.abs(network.encoder.dense()).sum(axis=0), rtol=1e-6)


def test_unknown_variant() -> None:
    with pytest.raises(ValueError, match="variant must be one of .* got 'thin'"):
        made("thin")
    assert VARIANTS == ("sparse", "overwritten", "dense")
