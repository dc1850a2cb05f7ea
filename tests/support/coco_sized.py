"""A generated labeled set of the size of COCO val2017, with detections: for speed and memory."""

import numpy as np
import torch

from fpnkit.detectors.base import Detections
from fpnkit.metrics.coco_format import GroundTruth

CLASSES = 80
_OBJECTS = 7.3  # of an image on average, most images fewer
_MOST_OBJECTS = 60
_CROWDS = 0.012
_CANDIDATES = 3  # detections near an object
_SIDE = 640.0


def coco_sized(images: int = 5000, found: int = 100, seed: int = 0) -> tuple[list[GroundTruth], list[Detections]]:
    """A third of the objects are of one class, the others of a long tail; `found` detections in each image."""
    draw = np.random.default_rng(seed)
    share = 1 / np.arange(1, CLASSES + 1) ** 0.9
    share[0] = share[1:].sum() / 2
    share /= share.sum()
    truth, detections = [], []
    for number in range(images):
        count = min(_MOST_OBJECTS, draw.geometric(1 / _OBJECTS))
        kinds = draw.choice(CLASSES, size=draw.integers(1, 5), p=share)  # few in an image
        labels = draw.choice(kinds, size=count) + 1
        boxes = _boxes(draw, count)
        truth.append(GroundTruth(number + 1, _tensor(boxes), torch.from_numpy(labels), _crowd(draw, count)))
        near = boxes.repeat(_CANDIDATES, axis=0)
        size = np.tile(near[:, 2:] - near[:, :2], 2)
        spread = np.tile([0.1, 0.3, 0.8], count)[:, None]
        near = near + size * spread * (draw.random(near.shape) - 0.5)
        rest = max(0, found - len(near))
        kinds = np.concatenate([kinds, draw.choice(CLASSES, size=8, p=share)])
        scores = np.concatenate([draw.beta(2, 2, len(near)), draw.beta(1, 8, rest)]).astype(np.float32)
        best = np.argsort(-scores)[:found]
        boxes = np.concatenate([near, _boxes(draw, rest)])[best]
        labels = np.concatenate([labels.repeat(_CANDIDATES), draw.choice(kinds, size=rest) + 1])[best]
        detections.append(Detections(_tensor(boxes), torch.from_numpy(scores[best]), torch.from_numpy(labels)))
    return truth, detections


def _boxes(draw: np.random.Generator, count: int) -> np.ndarray:
    corners = draw.random((count, 2)) * _SIDE
    return np.concatenate([corners, corners + 8 + draw.random((count, 2)) ** 3 * _SIDE / 2], axis=1)


def _tensor(boxes: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(boxes.astype(np.float32))


def _crowd(draw: np.random.Generator, count: int) -> torch.Tensor:
    return torch.from_numpy(draw.random(count) < _CROWDS)
