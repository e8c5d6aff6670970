"""The detectors that D-RISE explains: trained once, rebuilt on demand, and judged by average precision.

Papers: Everingham et al. 2010, The PASCAL Visual Object Classes Challenge (IJCV 88): a detection is right if it
overlaps an object of its class, that no better detection has taken, by at least one half; Petsiuk et al. 2021
(arXiv:2006.03204): insertion and deletion follow the similarity to the explained detection.

Differences: the area under precision and recall is exact, every recall counted, as in that challenge from 2010 on.

Conventions: pictures are `lib.data.scenes.Scenes`; boxes as in `lib.explain.drise`. The arguments of `train_detector`
are literals, so that a run can find a finished training again by them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from lib.data.scenes import scenes
from lib.explain import Score
from lib.explain.drise import Detections, Detector, overlaps, similarity
from lib.models.detector import GridDetector, decode, detection_loss, survivors
from lib.train import fit

SHAPE = "shape"  # name of the sizes among the weights


def scene_loss(model: nn.Module, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
    """`lib.models.detector.detection_loss` of pictures, boxes and labels; ``generator`` is not used."""
    return detection_loss(model(batch[0]), batch[1], batch[2])


def train_detector(
    *,
    dataset: str,
    n_images: int,
    epochs: int,
    seed: int,
    width: int = 8,
    side: int = 56,
    object_px: int = 20,
    n_objects: int = 3,
    batch_size: int = 32,
    lr: float = 5e-3,
    device: str = "cpu",
) -> dict[str, Tensor]:
    """Train a small detector on scenes of several objects.

    Parameters
    ----------
    dataset : str
        Identifier understood by `lib.data.scenes`.
    n_images, epochs, batch_size : int
        Size of the training.
    seed : int
        First weights, choice, places and order of pictures.
    width : int
        As `lib.models.detector.GridDetector`.
    side, object_px, n_objects : int
        As `lib.data.scenes.scenes`.
    lr : float
        Peak learning rate.
    device : str

    Returns
    -------
    dict of Tensor
        Weights and sizes on the CPU, for `detector`.

    Raises
    ------
    ValueError
        If the data set is unknown or a size is out of range.
    """
    data = scenes(dataset, n=n_images, seed=seed, side=side, object_px=object_px, n_objects=n_objects)
    shape = [data.x.shape[1], len(data.classes), width]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _build(shape).to(device)
    fit(
        model,
        scene_loss,
        (data.x.to(device), data.boxes.to(device), data.y.to(device)),
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        warmup=0.1,
        generator=torch.Generator().manual_seed(seed),
        label=f"detector, seed {seed}",
    )
    state = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
    return state | {SHAPE: torch.tensor(shape)}


def detector(state: dict[str, Tensor], *, seed: int | None = None, device: torch.device | str = "cpu") -> nn.Module:
    """Rebuild a detector in evaluation mode, frozen.

    Parameters
    ----------
    state : dict of Tensor
        From `train_detector`.
    seed : int, optional
        With a seed the weights are drawn anew instead: the untrained control of the same sizes.

    Returns
    -------
    nn.Module
        `lib.models.detector.GridDetector`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0 if seed is None else seed)
        model = _build(state[SHAPE].tolist())
    if seed is None:
        model.load_state_dict({name: value for name, value in state.items() if name != SHAPE})
    return model.requires_grad_(False).eval().to(device)


def _build(shape: list[int]) -> nn.Module:
    channels, classes, width = shape
    return GridDetector(channels, classes, width=width)


def detecting(model: nn.Module, *, least: float = 0.05, overlap: float = 0.5) -> Detector:
    """A function from images to what the detector finds in each, best first as far as ties allow.

    Parameters
    ----------
    model : nn.Module
        From `detector`.
    least : float, [0, 1)
        Detections of less objectness are dropped.
    overlap : float, (0, 1]
        As `lib.models.detector.survivors`; each box competes under its most probable class.

    Returns
    -------
    callable
        Images float32 (m, c, h, w) to a list of m `Detections`, whose certainty is objectness times probability.

    Raises
    ------
    ValueError
        If a threshold is out of range.
    """
    if not 0 <= least < 1:
        raise ValueError(f"least must be in [0, 1), got {least}; it is the objectness below which nothing is reported")

    @torch.no_grad()
    def detect(images: Tensor) -> list[Detections]:
        found = decode(model(images))
        surest, label = found.scores.max(2)
        kept = (found.objectness >= least) & survivors(found.boxes, surest * found.objectness, label, overlap=overlap)
        counts = kept.sum(1).tolist()
        parts = zip(*(value[kept].split(counts) for value in found), strict=True)
        return [Detections(boxes, scores, objectness) for boxes, scores, objectness in parts]

    return detect


def annotated(boxes: Tensor, labels: Tensor, *, classes: int) -> list[Detections]:
    """The annotation of one object per picture as the detection to explain: box (n, 4), label int64 (n,).

    Examples
    --------
    >>> annotated(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([1]), classes=3)[0].scores
    tensor([[0., 1., 0.]])
    """
    wanted = one_hot(labels, classes).float()
    return [Detections(box[None], one[None]) for box, one in zip(boxes, wanted, strict=True)]


def similarity_score(detect: Detector, wanted: Detections) -> Score:
    """A score whose columns are the wanted detections: images (m, c, h, w) to similarities (m, wanted), [0, 1].

    Source
    ------
    Petsiuk et al. 2021, arXiv:2006.03204: what insertion and deletion of a detection follow.
    """
    return lambda images: torch.stack([similarity(wanted, found) for found in detect(images)])


def class_score(detect: Detector, *, classes: int) -> Score:
    """A score that knows no place: for each class the surest detection anywhere, images to (m, classes), [0, 1].

    Objectness times class probability; 0 where nothing is found. RISE on it is the control without boxes.
    """

    def surest(found: Detections) -> Tensor:
        if not len(found.boxes):
            return torch.zeros(classes, device=found.boxes.device)
        sure = found.scores if found.objectness is None else found.scores * found.objectness[:, None]
        return sure.amax(0)

    return lambda images: torch.stack([surest(found) for found in detect(images)])


def centre_prior(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """A map that knows the box and no network: 1 in its middle, falling with the distance in units of its sides.

    Parameters
    ----------
    boxes : Tensor, float (n, 4), px
    size : (int, int), px
        Height and width.

    Returns
    -------
    Tensor, float32 (n, h, w), (0, 1]
        Gaussian with a standard deviation of a quarter of each side.

    Examples
    --------
    >>> centre_prior(torch.tensor([[0.0, 0.0, 4.0, 4.0]]), (4, 4))[0, 1, 1] > 0.7
    tensor(True)
    """
    low, high = boxes[:, None, None, :2], boxes[:, None, None, 2:]
    row, column = (torch.arange(edge, device=boxes.device) + 0.5 for edge in size)
    place = torch.stack(torch.broadcast_tensors(column[None, :], row[:, None]), 2)  # (h, w, 2)
    away = (place - (low + high) / 2) / ((high - low) / 4)
    return (-0.5 * away.square().sum(3)).exp().float()


def average_precision(found: Sequence[Detections], boxes: Tensor, labels: Tensor, *, overlap: float = 0.5) -> Tensor:
    """Area under precision over recall for each class.

    Parameters
    ----------
    found : sequence of n Detections
        A detection counts for its most probable class, ranked by that probability times objectness; those of one
        picture in the order given, among equals.
    boxes : Tensor, float (n, objects, 4), px
    labels : Tensor, int64 (n, objects)
        Class, or -1 where there is no object.
    overlap : float
        Least intersection over union of a right detection; each object is found once.

    Returns
    -------
    Tensor, float64 (classes,), [0, 1]
        1 = every object is found before any false alarm, 0 = none is found, NaN = the class has no object. The mean
        over classes is the usual mAP.

    Raises
    ------
    ValueError
        If there are no pictures, or not as many as annotations.

    Source
    ------
    Everingham et al. 2010, IJCV 88, section 4.2; precision is made monotone as in that challenge from 2010 on.
    """
    if not found or len(found) != len(boxes) or boxes.shape != (*labels.shape, 4):
        raise ValueError(
            f"found, boxes and labels must describe the same pictures, got {len(found)}, {tuple(boxes.shape)} and "
            f"{tuple(labels.shape)}; boxes are (n, objects, 4)"
        )
    rows = [_judged(one, truth, label, overlap) for one, truth, label in zip(found, boxes, labels, strict=True)]
    sure, named, right = (torch.cat(part) for part in zip(*rows, strict=True))
    order = sure.argsort(descending=True, stable=True)
    named, right = named[order], right[order]
    values = []
    for label in range(found[0].scores.shape[1]):
        objects = int((labels == label).sum())
        hits = right[named == label].double()
        precision = hits.cumsum(0) / torch.arange(1, len(hits) + 1)
        best_later = precision.flip(0).cummax(0).values.flip(0) if len(hits) else precision
        values.append((best_later * hits).sum() / objects if objects else torch.tensor(torch.nan, dtype=torch.float64))
    return torch.stack(values)


def _judged(found: Detections, boxes: Tensor, labels: Tensor, overlap: float) -> tuple[Tensor, Tensor, Tensor]:
    """Of one picture, surest first: certainty, class, and whether the detection is right."""
    sure, named = found.scores.cpu().max(1) if len(found.boxes) else (torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    sure = sure if found.objectness is None else sure * found.objectness.cpu()
    order = sure.argsort(descending=True, stable=True)
    sure, named = sure[order], named[order]
    shared = overlaps(found.boxes.cpu()[order], boxes.cpu())
    shared = torch.where(named[:, None] == labels.cpu()[None], shared, -1.0)  # (found, objects)
    right, taken = torch.zeros(len(sure), dtype=torch.bool), set()
    for index, row in enumerate(shared):
        best = int(row.argmax())
        if float(row[best]) >= overlap and best not in taken:
            right[index] = True
            taken.add(best)
    return sure, named, right
