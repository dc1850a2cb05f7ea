"""Raw outputs of the heads of torchvision's detectors, with gradients with respect to the pyramid."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torchvision.models.detection import FCOS, RetinaNet
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import concat_box_prediction_layers

from fpnkit.detectors.base import HeadOutput, HeadOutputs, Places

_PROPOSALS = (
    150  # the likeliest of an image: half as many again as become detections; the other 850 take most of the time
)
_SMALLEST_BOX = 0.1  # of an anchor; keeps the relative error of a box without extent finite
_LARGEST_LOG_SCORE = -1e-6  # keeps the logit of a certain score, and its gradient, finite


def dense_head(module: FCOS | RetinaNet, levels: Sequence[Tensor]) -> HeadOutput:
    """Of all levels, each (batch, channel, height, width); places are their anchors."""
    raw = module.head(list(levels))
    logits, offsets = raw["cls_logits"], raw["bbox_regression"]
    if isinstance(module, FCOS):
        logits = logits_of_mean(logits, raw["bbox_ctrness"])
        return HeadOutput(logits, module.score_thresh, offsets=offsets, tenth=_tenth_of_distances(offsets))
    return HeadOutput(logits, module.score_thresh, offsets=offsets, tenth=_tenth_of_deltas(module.box_coder, offsets))


def two_stage_heads(
    module: GeneralizedRCNN, images: ImageList, features: OrderedDict[str, Tensor], fixed: HeadOutputs | None
) -> HeadOutputs:
    """The RPN at all anchors, classes and boxes at the original's proposals, masks and keypoints at its detections."""
    rpn, roi = module.rpn, module.roi_heads
    objectness, moves = (
        values.unflatten(0, (len(images.image_sizes), -1))
        for values in concat_box_prediction_layers(*rpn.head(list(features.values())))
    )
    tenth = _tenth_of_deltas(rpn.box_coder, moves)
    outputs = {"anchors": HeadOutput(objectness, rpn.score_thresh, offsets=moves, tenth=tenth)}
    if fixed is None:
        with torch.no_grad():
            boxes: Sequence[Tensor] = [each[:_PROPOSALS] for each in rpn(images, features)[0]]
    else:
        boxes = _places(fixed, "proposals").boxes
    # RoI pooling infers the levels' strides from sizes; the content of a window may be far smaller than its canvas.
    canvas = [tuple(images.tensors.shape[-2:])] * len(boxes)
    logits, deltas = roi.box_predictor(roi.box_head(roi.box_roi_pool(features, list(boxes), canvas)))
    places = _likeliest(logits.detach(), boxes) if fixed is None else _places(fixed, "proposals")
    offsets = _of_label(deltas.reshape(len(deltas), deltas.shape[1] // 4, 4), places)
    outputs["proposals"] = HeadOutput(
        _padded(logits, places),
        exclusive=True,
        offsets=_padded(offsets, places),
        tenth=_tenth_of_deltas(roi.box_coder, offsets),
        weight=_weight(places),
        places=places,
    )
    if not (roi.has_mask() or roi.has_keypoint()):
        return outputs
    if fixed is None:
        with torch.no_grad():
            found, scores, labels = roi.postprocess_detections(logits, deltas, boxes, images.image_sizes)
        places = Places(found, labels, scores)
    else:
        places = _places(fixed, "masks" if roi.has_mask() else "keypoints")
    weight = _weight(places)
    if roi.has_mask():
        masks = roi.mask_predictor(roi.mask_head(roi.mask_roi_pool(features, list(places.boxes), canvas)))
        maps = _padded(_of_label(masks, places).flatten(1), places)
        outputs["masks"] = HeadOutput(maps=maps, weight=weight, places=places)
    if roi.has_keypoint():
        pooled = roi.keypoint_roi_pool(features, list(places.boxes), canvas)
        maps = _padded(roi.keypoint_predictor(roi.keypoint_head(pooled)).flatten(2), places)
        points = maps.shape[2]
        each = weight.repeat_interleave(points, dim=1) / points  # all points of a detection count as one mask does
        outputs["keypoints"] = HeadOutput(maps=maps.flatten(1, 2), peaks=True, weight=each, places=places)
    return outputs


def logits_of_mean(a: Tensor, b: Tensor) -> Tensor:
    """The logits of FCOS's score sqrt(sigmoid(a) * sigmoid(b)), also where it is too close to 0 or 1 for a float."""
    log_score = ((F.logsigmoid(a) + F.logsigmoid(b)) / 2).clamp(max=_LARGEST_LOG_SCORE)
    return log_score - torch.log(-torch.expm1(log_score))


def _likeliest(logits: Tensor, boxes: Sequence[Tensor]) -> Places:
    """Proposals with the class each most likely shows, if it is not background; logits (n of all images, class)."""
    labels = torch.split(logits[:, 1:].argmax(1) + 1, [len(each) for each in boxes])
    return Places(boxes, labels, [logits.new_ones(len(each)) for each in boxes])


def _of_label(values: Tensor, places: Places) -> Tensor:
    """(n of all images, class, ...) → (n, ...)."""
    return values[torch.arange(len(values), device=values.device), torch.cat(list(places.labels))]


def _padded(values: Tensor, places: Places) -> Tensor:
    """(n of all images, ...) → (batch, most of an image, ...), with zeros."""
    parts = torch.split(values, [len(boxes) for boxes in places.boxes])
    return pad_sequence(list(parts), batch_first=True)


def _weight(places: Places) -> Tensor:
    return pad_sequence(list(places.weights), batch_first=True)


def _places(outputs: HeadOutputs, name: str) -> Places:
    places = outputs[name].places
    assert places is not None
    return places


def _tenth_of_deltas(coder: BoxCoder, deltas: Tensor) -> Tensor:
    """(4,) for deltas of center and logarithm of size, relative to an anchor or proposal."""
    return deltas.new_tensor(coder.weights) / 10


def _tenth_of_distances(distances: Tensor) -> Tensor:
    """(..., 4) left, top, right, bottom of a place → a tenth of width, height, width, height, without a gradient."""
    sides = distances.detach()
    return (sides[..., :2] + sides[..., 2:]).clamp(min=_SMALLEST_BOX).repeat(1, 1, 2) / 10
