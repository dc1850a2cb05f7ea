"""torchvision's detectors, cut at their feature pyramid."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection import FCOS, RetinaNet
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool, LastLevelP6P7

from fpnkit.data.coco_parts import COCO_KEYPOINTS
from fpnkit.data.images import Category
from fpnkit.detectors.base import Detections, HeadOutputs, ImageBatch
from fpnkit.detectors.torchvision_heads import dense_head, two_stage_heads
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid, PyramidSpec
from fpnkit.runs.results import Part

TorchvisionModule: TypeAlias = GeneralizedRCNN | RetinaNet | FCOS

_VERSION = "torchvision 1"  # part of the fingerprint; raised when `prepare` or `pyramid` give other numbers


class TorchvisionAdapter:
    """Implements `Detector` for all modules built like torchvision's: `transform`, `backbone` with an FPN, heads.

    Shares `module`, which is put in evaluation mode. Without `categories` the module's label is the category id, as
    in torchvision's COCO weights; with them label k is `categories[k - 1].id`.
    """

    def __init__(self, module: TorchvisionModule, name: str, categories: Sequence[Category] = ()) -> None:
        self.name = name
        self.module = module.eval()
        self.class_names = {category.id: category.name for category in categories}
        self._category_ids = torch.tensor([0, *(category.id for category in categories)]) if categories else None
        self._extra = module.backbone.fpn.extra_blocks
        canvas = 128, 128  # one cell at the coarsest stride of all, P7
        with torch.no_grad():
            levels = module.backbone(torch.zeros(1, 3, *canvas, device=self._device))
        shapes = [tuple(level.shape[1:]) for level in levels.values()]
        self._keys = tuple(levels)  # torchvision's names, which its RoI pooling selects levels by
        self._names = PyramidSpec.from_shapes(canvas, shapes).names
        self.spec = PyramidSpec.from_shapes(canvas, shapes[: len(shapes) - self._derived_levels])

    @property
    def also_finds(self) -> tuple[Part, ...]:
        """`mask` and `keypoint`, where the module has these heads; other keypoints than COCO's are not scored."""
        heads = getattr(self.module, "roi_heads", None)
        if heads is None:
            return ()
        points = heads.keypoint_predictor.kps_score_lowres.out_channels if heads.has_keypoint() else 0
        found: tuple[tuple[Part, bool], ...] = (("mask", heads.has_mask()), ("keypoint", points == COCO_KEYPOINTS))
        return tuple(part for part, there in found if there)

    @property
    def trainable(self) -> nn.Module:
        """torchvision's own module."""
        module: nn.Module = self.module
        return module

    def to(self, device: torch.device) -> None:
        """Move the weights."""
        self.module.to(device)

    def prepare(self, images: Sequence[Tensor]) -> ImageBatch:
        """Scale, normalize and pad as the detector itself does."""
        batch, _ = self.module.transform([image.to(self._device, torch.float32) / 255 for image in images])
        canvas = _size(batch.tensors)
        return ImageBatch(
            batch.tensors,
            tuple(
                ImageGeometry(original=_size(image), content=(height, width), canvas=canvas)
                for image, (height, width) in zip(images, batch.image_sizes, strict=True)
            ),
        )

    @torch.no_grad()
    def pyramid(self, batch: ImageBatch) -> Pyramid:
        """Backbone and FPN, without the levels that `complete` regenerates."""
        levels = self.module.backbone(batch.pixels).values()
        return Pyramid(dict(zip(self.spec.names, levels, strict=False)))

    @torch.no_grad()
    def complete(self, pyramid: Pyramid) -> Pyramid:
        """Add the levels that the FPN's extra block computes from the coarsest transmitted one."""
        return self._completed(pyramid)

    @torch.no_grad()
    def detect(self, pyramid: Pyramid, geometry: Sequence[ImageGeometry]) -> list[Detections]:
        """Heads and post-processing; all images of a batch lie in canvases of one size."""
        images, features = self._inputs(pyramid, geometry)
        heads = self._roi_heads if hasattr(self.module, "roi_heads") else self._dense
        found = heads(images, features)
        found = self.module.transform.postprocess(found, images.image_sizes, [image.original for image in geometry])
        return [self._detections(image) for image in found]

    def heads(
        self, pyramid: Pyramid, geometry: Sequence[ImageGeometry], fixed: HeadOutputs | None = None
    ) -> HeadOutputs:
        """`dense`; or `anchors` and `proposals`, and `masks` and `keypoints` at the detections."""
        images, features = self._inputs(self._completed(pyramid), geometry)
        if hasattr(self.module, "roi_heads"):
            self._forget_scales()
            return two_stage_heads(self.module, images, features, fixed)
        return {"dense": dense_head(self.module, list(features.values()))}

    def fingerprint(self) -> str:
        """Hash of weights, normalization constants, preprocessing and this adapter."""
        transform = self.module.transform
        digest = hashlib.sha256(f"{_VERSION} {self.name} {self.spec}".encode())
        for key in ("min_size", "max_size", "image_mean", "image_std", "size_divisible", "fixed_size"):
            digest.update(f" {key} {getattr(transform, key)}".encode())
        hash_weights(digest, self.module)
        return digest.hexdigest()

    @property
    def _device(self) -> torch.device:
        device: torch.device = next(self.module.parameters()).device
        return device

    @property
    def _derived_levels(self) -> int:
        if isinstance(self._extra, LastLevelP6P7):
            return 2 if self._extra.use_P5 else 1  # else P6 comes from the backbone's C5, which is not transmitted
        return 1 if isinstance(self._extra, LastLevelMaxPool) else 0

    def _completed(self, pyramid: Pyramid) -> Pyramid:
        self.spec.check(pyramid)
        levels = list(pyramid.values())
        if isinstance(self._extra, LastLevelP6P7) and not self._extra.use_P5:
            levels.append(self._extra.p7(F.relu(levels[-1])))
        elif self._derived_levels:
            levels, _ = self._extra(levels, levels, [])
        return Pyramid(dict(zip(self._names, levels, strict=True)))

    def _inputs(
        self, completed: Pyramid, geometry: Sequence[ImageGeometry]
    ) -> tuple[ImageList, OrderedDict[str, Tensor]]:
        features = OrderedDict(zip(self._keys, completed.values(), strict=True))
        # The heads only ask the image list for sizes, so a single expanded zero stands in for the pixels.
        pixels = torch.zeros((), device=self._device).expand(len(geometry), 3, *geometry[0].canvas)
        return ImageList(pixels, [image.content for image in geometry]), features

    def _forget_scales(self) -> None:
        for part in self.module.modules():
            if isinstance(part, MultiScaleRoIAlign):
                part.scales = part.map_levels = None  # else taken from the first images that were ever seen

    def _roi_heads(self, images: ImageList, features: OrderedDict[str, Tensor]) -> list[dict[str, Tensor]]:
        self._forget_scales()
        proposals, _ = self.module.rpn(images, features)
        found, _ = self.module.roi_heads(features, proposals, images.image_sizes)
        return list(found)

    def _dense(self, images: ImageList, features: OrderedDict[str, Tensor]) -> list[dict[str, Tensor]]:
        levels = list(features.values())
        outputs = self.module.head(levels)
        anchors = self.module.anchor_generator(images, levels)
        per_cell = self.module.anchor_generator.num_anchors_per_location()
        counts = [level.shape[-2] * level.shape[-1] * n for level, n in zip(levels, per_cell, strict=True)]
        return list(
            self.module.postprocess_detections(
                {key: list(value.split(counts, dim=1)) for key, value in outputs.items()},
                [list(image.split(counts)) for image in anchors],
                images.image_sizes,
            )
        )

    def _detections(self, found: dict[str, Tensor]) -> Detections:
        labels = found["labels"]
        if self._category_ids is not None:
            labels = self._category_ids.to(labels.device)[labels]
        return Detections(
            boxes=found["boxes"],
            scores=found["scores"],
            labels=labels,
            masks=found.get("masks"),
            keypoints=found.get("keypoints"),
            keypoint_scores=found.get("keypoints_scores"),
        )


def hash_weights(digest: hashlib._Hash, module: nn.Module) -> None:
    """Hash all tensors of `module`, and the epsilons of its normalization layers, which are not in the state dict."""
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f" {name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy())
    for name, part in module.named_modules():
        if hasattr(part, "eps"):
            digest.update(f" {name} eps {part.eps}".encode())


def _size(tensor: Tensor) -> tuple[int, int]:
    return tensor.shape[-2], tensor.shape[-1]
