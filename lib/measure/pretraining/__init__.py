"""Pretraining runs by masking, from literals to weights, so that notebooks can share them.

Every ``pretrain_…`` takes literals, so that a run can be named by them, and returns the weights on the CPU together
with the mean loss of each epoch under "loss"; ``loaded`` puts them into the network of the ``empty_…`` beside it.

Conventions: ``seed`` decides which images are seen, the initial weights, the order of the images and the masks, and
runs of one seed share these whatever else differs. Its neighbours serve one purpose each: seed the weights of the
network, seed + 1 order and masks, seed + 2 the weights of an added head, seed + 3 speckle, seed + 4 the blocks of
another decoder.

Differences from the papers: any size; no augmentation; the learning rate is not scaled by the batch size.
"""

from lib.measure.pretraining.autoencoder import pretrain_mae
from lib.measure.pretraining.features import empty_features, pretrain_features, redecoded
from lib.measure.pretraining.guided import GUIDES, blocks_asked, empty_guided, guided_loss, hide_by, pretrain_guided
from lib.measure.pretraining.images import seen, speckled
from lib.measure.pretraining.loop import loaded, masked_loss
from lib.measure.pretraining.mining import STRATEGIES, choose, empty_hpm, hpm_loss, pretrain_hpm
from lib.measure.pretraining.samplers import sampler
from lib.measure.pretraining.simmim import empty_simmim, pretrain_simmim
from lib.measure.pretraining.untrained import empty_mae

__all__ = [
    "GUIDES",
    "STRATEGIES",
    "blocks_asked",
    "choose",
    "empty_features",
    "empty_guided",
    "empty_hpm",
    "empty_mae",
    "empty_simmim",
    "guided_loss",
    "hide_by",
    "hpm_loss",
    "loaded",
    "masked_loss",
    "pretrain_features",
    "pretrain_guided",
    "pretrain_hpm",
    "pretrain_mae",
    "pretrain_simmim",
    "redecoded",
    "sampler",
    "seen",
    "speckled",
]
