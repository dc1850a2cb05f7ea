"""NanoDet-m, a COCO detector for edge devices (RangiLyu 2020, github.com/RangiLyu/nanodet), cut at its pyramid."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import shufflenet_v2_x1_0
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights
from torchvision.ops import batched_nms, clip_boxes_to_image

from fpnkit.config.schema import NanodetDetector
from fpnkit.detectors.base import Detections, HeadOutput, HeadOutputs, ImageBatch
from fpnkit.detectors.torchvision import hash_weights
from fpnkit.detectors.weights import find_weights, load_strictly, read_weights
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec

NAME = "nanodet_m"
_VERSION = "nanodet 1"  # part of the fingerprint; raised when `prepare` or `pyramid` give other numbers
_SIDE = 320
_STRIDES = (8, 16, 32)
_TRUNK_CHANNELS = (116, 232, 464)
_CHANNELS = 96
_BINS = 8  # of the distribution of each distance, in strides (Li et al. 2020, arXiv:2006.04388)
_MEAN = (103.53, 116.28, 123.675)  # blue, green, red
_DEVIATION = (57.375, 57.12, 58.395)
_NMS_IOU = 0.6
_DETECTIONS = 100
_UNUSED = ("head.gfl_reg.", "head.distribution_project.")  # in the published file: a second branch, the bins' numbers
# torchvision's list numbers the 80 classes as COCO does, with gaps up to 90.
_COCO_NAMES = {
    number: name
    for number, name in enumerate(FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"])
    if name not in ("__background__", "N/A")
}
_COCO_IDS = tuple(_COCO_NAMES)


def build_nanodet(settings: NanodetDetector) -> NanodetAdapter:
    """The detector with the weights of a published checkpoint."""
    file = read_weights(find_weights(settings.weights))
    state = {
        key.removeprefix("model."): tensor  # as Lightning's checkpoints name them
        for key, tensor in file.state.items()
        if not key.removeprefix("model.").startswith(_UNUSED)
    }
    module = Nanodet()
    load_strictly(module, replace(file, state=state), NAME)
    return NanodetAdapter(module, settings.score_threshold)


class NanodetAdapter:
    """Implements `Detector`; labels are COCO's category ids."""

    name = NAME
    class_names = _COCO_NAMES
    trainable = None
    spec = PyramidSpec(tuple(LevelSpec(f"p{s.bit_length() - 1}", _CHANNELS, s) for s in _STRIDES))

    def __init__(self, module: Nanodet, score_threshold: float) -> None:
        self.module = module.eval().requires_grad_(False)
        self._score_threshold = score_threshold

    def to(self, device: torch.device) -> None:
        """Move the weights."""
        self.module.to(device)

    def prepare(self, images: Sequence[Tensor]) -> ImageBatch:
        """Resize to fit 320x320, center on black, normalize, in the order blue, green, red."""
        device = next(self.module.parameters()).device
        geometry = tuple(_letterbox(image.shape[-2], image.shape[-1]) for image in images)
        pixels = torch.zeros(len(images), 3, _SIDE, _SIDE, device=device)
        for canvas, image, place in zip(pixels, images, geometry, strict=True):
            (top, left), (height, width) = place.offset, place.content
            resized = F.interpolate(
                image[None].to(device, torch.float32), place.content, mode="bilinear", antialias=True
            )
            canvas[:, top : top + height, left : left + width] = resized[0].flip(0)
        mean, deviation = (torch.tensor(values, device=device)[:, None, None] for values in (_MEAN, _DEVIATION))
        return ImageBatch((pixels - mean) / deviation, geometry)

    @torch.no_grad()
    def pyramid(self, batch: ImageBatch) -> Pyramid:
        """Trunk and both passes of the FPN."""
        levels = self.module.fpn(self.module.backbone(batch.pixels))
        return Pyramid(dict(zip(self.spec.names, levels, strict=True)))

    def complete(self, pyramid: Pyramid) -> Pyramid:
        """Nothing to add: no level can be computed from another."""
        self.spec.check(pyramid)
        return pyramid

    @torch.no_grad()
    def detect(self, pyramid: Pyramid, geometry: Sequence[ImageGeometry]) -> list[Detections]:
        """Head, decoding and class-wise NMS."""
        scores, boxes = decode(self.module.head(list(pyramid.values())))
        return [self._select(*image) for image in zip(scores, boxes, geometry, strict=True)]

    def heads(
        self, pyramid: Pyramid, geometry: Sequence[ImageGeometry], fixed: HeadOutputs | None = None
    ) -> HeadOutputs:
        """Class logits, and the bins of the distances, at each cell."""
        outputs = [output.flatten(2).transpose(1, 2) for output in self.module.head(list(pyramid.values()))]
        logits, bins = torch.split(torch.cat(outputs, dim=1), [len(_COCO_IDS), 4 * _BINS], dim=2)
        return {"dense": HeadOutput(logits, self._score_threshold, bins=bins.reshape(*bins.shape[:2], 4, _BINS))}

    def fingerprint(self) -> str:
        """Hash of weights and adapter; the preprocessing is constant."""
        digest = hashlib.sha256(_VERSION.encode())
        hash_weights(digest, self.module)
        return digest.hexdigest()

    def _select(self, scores: Tensor, boxes: Tensor, geometry: ImageGeometry) -> Detections:
        """(cells, 80) scores and (cells, 4) boxes in the canvas → detections in the original image."""
        cell, label = (scores > self._score_threshold).nonzero(as_tuple=True)
        found, found_boxes = scores[cell, label], clip_boxes_to_image(boxes, geometry.canvas)[cell]
        keep = batched_nms(found_boxes, found, label, _NMS_IOU)[:_DETECTIONS]
        return Detections(
            boxes=_to_original(found_boxes[keep], geometry),
            scores=found[keep],
            labels=torch.tensor(_COCO_IDS, device=label.device)[label[keep]],
        )


class Nanodet(nn.Module):
    """(batch, 3, 320, 320) → per level (batch, 80 + 32, height, width): class logits, distances' bins."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = _Trunk()
        self.fpn = _PathAggregation()
        self.head = _Head()

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """The network without decoding."""
        levels: list[Tensor] = self.head(self.fpn(self.backbone(pixels)))
        return levels


def decode(outputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Outputs of `Nanodet` → (batch, cells, 80) scores and (batch, cells, 4) boxes in pixels of the canvas."""
    scores, boxes = [], []
    for output, stride in zip(outputs, _STRIDES, strict=True):
        height, width = output.shape[-2:]
        cells = output.flatten(2).transpose(1, 2)
        logits, bins = cells[..., : len(_COCO_IDS)], cells[..., len(_COCO_IDS) :]
        steps = torch.arange(_BINS, dtype=output.dtype, device=output.device)
        distances = (bins.reshape(*bins.shape[:2], 4, _BINS).softmax(-1) @ steps) * stride
        y, x = torch.meshgrid(
            (torch.arange(height, device=output.device) + 0.5) * stride,
            (torch.arange(width, device=output.device) + 0.5) * stride,
            indexing="ij",
        )
        centers = torch.stack([x, y], dim=-1).flatten(0, 1)
        scores.append(logits.sigmoid())
        boxes.append(torch.cat([centers - distances[..., :2], centers + distances[..., 2:]], dim=-1))
    return torch.cat(scores, dim=1), torch.cat(boxes, dim=1)


class _Trunk(nn.Module):
    """torchvision's ShuffleNetV2 (Ma et al. 2018, arXiv:1807.11164) with LeakyReLU; features at strides 8, 16, 32."""

    def __init__(self) -> None:
        super().__init__()
        network = shufflenet_v2_x1_0(weights=None)
        _use_leaky_relu(network)
        self.conv1, self.maxpool = network.conv1, network.maxpool
        self.stage2, self.stage3, self.stage4 = network.stage2, network.stage3, network.stage4

    def forward(self, pixels: Tensor) -> list[Tensor]:
        fine: Tensor = self.stage2(self.maxpool(self.conv1(pixels)))
        middle: Tensor = self.stage3(fine)
        coarse: Tensor = self.stage4(middle)
        return [fine, middle, coarse]


class _PathAggregation(nn.Module):
    """1x1 lateral convolutions, then top-down and bottom-up passes that add the resized neighbor."""

    def __init__(self) -> None:
        super().__init__()
        self.lateral_convs = nn.ModuleList(
            nn.ModuleDict({"conv": nn.Conv2d(channels, _CHANNELS, 1)}) for channels in _TRUNK_CHANNELS
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        levels = [lateral["conv"](x) for lateral, x in zip(self.lateral_convs, features, strict=True)]  # type: ignore[index]
        for fine in (1, 0):
            levels[fine] = levels[fine] + _resized(levels[fine + 1], levels[fine])
        for coarse in (1, 2):
            levels[coarse] = levels[coarse] + _resized(levels[coarse - 1], levels[coarse])
        return levels


class _Head(nn.Module):
    """Two depthwise-separable blocks and a 1x1 convolution, separate for each level."""

    def __init__(self) -> None:
        super().__init__()
        self.cls_convs = nn.ModuleList(nn.Sequential(_Separable(), _Separable()) for _ in _STRIDES)
        self.gfl_cls = nn.ModuleList(nn.Conv2d(_CHANNELS, len(_COCO_IDS) + 4 * _BINS, 1) for _ in _STRIDES)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        parts = zip(self.cls_convs, self.gfl_cls, levels, strict=True)
        return [convolution(blocks(level)) for blocks, convolution, level in parts]


class _Separable(nn.Module):
    """3x3 depthwise, then 1x1, each with BatchNorm and LeakyReLU; attributes named as in the published file."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1, groups=_CHANNELS, bias=False)
        self.dwnorm = nn.BatchNorm2d(_CHANNELS)
        self.pointwise = nn.Conv2d(_CHANNELS, _CHANNELS, 1, bias=False)
        self.pwnorm = nn.BatchNorm2d(_CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.dwnorm(self.depthwise(x)), 0.1)
        return F.leaky_relu(self.pwnorm(self.pointwise(x)), 0.1)


def _use_leaky_relu(module: nn.Module) -> None:
    for name, part in module.named_children():
        if isinstance(part, nn.ReLU):
            setattr(module, name, nn.LeakyReLU(0.1, inplace=True))
        else:
            _use_leaky_relu(part)


def _resized(level: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(level, like.shape[-2:], mode="bilinear")


def _letterbox(height: int, width: int) -> ImageGeometry:
    scale = min(_SIDE / height, _SIDE / width)
    content = max(1, round(height * scale)), max(1, round(width * scale))
    offset = (_SIDE - content[0]) // 2, (_SIDE - content[1]) // 2
    return ImageGeometry((height, width), content, (_SIDE, _SIDE), offset)


def _to_original(boxes: Tensor, geometry: ImageGeometry) -> Tensor:
    (top, left), (height, width) = geometry.offset, geometry.content
    offset = boxes.new_tensor([left, top, left, top])
    scale = boxes.new_tensor([geometry.original[1] / width, geometry.original[0] / height]).repeat(2)
    clipped: Tensor = clip_boxes_to_image((boxes - offset) * scale, geometry.original)
    return clipped
