"""What a frozen encoder knows about images and about their patches: the probes of the house in one call.

`lib.measure.probes` says how images are classified, `lib.measure.dense` how patches are, `lib.data.objects` what the
classes of pixels are; this module only asks one encoder all of it, with nothing hidden.

Conventions: one value per test image in [0, 1], by probe; the statistics are made elsewhere.
"""

import torch
from torch import Tensor

from lib import train
from lib.data import Images
from lib.data.objects import object_labels
from lib.measure import dense, probes
from lib.models.hpm import HPM
from lib.models.mae import MaskedModel

Model = MaskedModel | HPM


def of_images(model: Model, seen: Images, test: Images) -> dict[str, Tensor]:
    """Classify images from the mean of their patch features.

    Parameters
    ----------
    model : MaskedModel or HPM
        Stays as it is.
    seen, test : Images
        Labelled ones, and ones to be classified.

    Returns
    -------
    dict of str to float64 Tensor (m,)
        "linear" and "neighbours": 1 = right, 0 = wrong.
    """
    held, asked = (train.predict(model.encode, part.x) for part in (seen, test))
    return _classified(held, asked, seen, test)


def of_patches(
    model: Model, seen: Images, test: Images, *, patch: int, n_seen: int, n_test: int
) -> tuple[dict[str, Tensor], dense.Dense]:
    """Classify images as `of_images`, and segment them from single patch features: background, or the object's class.

    Parameters
    ----------
    model, seen, test
        As in `of_images`.
    patch : int
        Side of a patch in px.
    n_seen, n_test : int
        The first so many of either are segmented; a patch is a row, so fewer images do than for classification.

    Returns
    -------
    dict of str to float64 Tensor
        As `of_images`, and "dense": the ``iou`` of each segmented test image, (n_test,).
    lib.measure.dense.Dense
        All that the segmentation found.
    """
    held, asked = (train.predict(model.encode_tokens, part.x) for part in (seen, test))  # (n, tokens, d)
    truth = [object_labels(part)[:n] for part, n in ((seen, n_seen), (test, n_test))]
    parts = dense.segment(held[:n_seen], truth[0], asked[:n_test], truth[1], patch=patch)
    return _classified(held.mean(dim=1), asked.mean(dim=1), seen, test) | {"dense": parts.iou}, parts


def _classified(held: Tensor, asked: Tensor, seen: Images, test: Images) -> dict[str, Tensor]:
    known = (held, seen.y, asked, test.y)
    return {"linear": probes.linear(*known).correct.double(), "neighbours": probes.knn(*known).correct.double()}


def chance_of_place(places: Tensor, seen: Images, test: Images, *, patch: int, n_seen: int, n_test: int) -> Tensor:
    """The ``iou`` (n_test,) of a probe that knows the place of a patch, ``places`` (tokens, d), and nothing else."""
    truth = [object_labels(found)[:n] for found, n in ((seen, n_seen), (test, n_test))]
    rows = [places.expand(len(part), -1, -1) for part in truth]
    return dense.segment(rows[0], truth[0], rows[1], truth[1], patch=patch).iou


def percent(values: Tensor) -> float:
    """Mean of values in [0, 1], in percent."""
    return 100 * float(torch.as_tensor(values).double().mean())
