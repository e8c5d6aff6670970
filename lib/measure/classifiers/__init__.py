"""Small classifiers, from literals to weights: what attributions explain, trained once and shared by notebooks.

Every ``train_…`` takes literals, so that a run can find a finished training again by them, and returns the weights on
the CPU; ``classifier`` rebuilds a network of `lib.models.cnn` from them, ``…_classifier`` the chain of that name. All
of them train in the same plain way, `train_network`.

Conventions: a classifier takes float32 images (n, channels, h, w) in [0, 1] and returns logits (n, classes). ``seed``
decides first weights, which images are seen and their order.
"""

from lib.measure.classifiers.boxed import train_boxed
from lib.measure.classifiers.chains import (
    pooled_chain_classifier,
    strided_chain_classifier,
    train_pooled_chain,
    train_strided_chain,
)
from lib.measure.classifiers.cluttered import train_cluttered
from lib.measure.classifiers.training import Training, train_network, weights
from lib.measure.classifiers.whole import classifier, train_classifier

__all__ = [
    "Training",
    "classifier",
    "pooled_chain_classifier",
    "strided_chain_classifier",
    "train_boxed",
    "train_classifier",
    "train_cluttered",
    "train_network",
    "train_pooled_chain",
    "train_strided_chain",
    "weights",
]
