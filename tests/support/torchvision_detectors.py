"""Torchvision's detectors with random weights, small inputs and few boxes, to be quick."""

import re
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.roi_heads import RoIHeads

from fpnkit.config.schema import TorchvisionDetector
from fpnkit.detectors.torchvision import TorchvisionAdapter
from fpnkit.detectors.torchvision_models import build_torchvision

SMALL = "fasterrcnn_mobilenet_v3_large_320_fpn"


def detector(model: str = SMALL, min_size: int = 96, **settings: Any) -> TorchvisionAdapter:
    """Random weights, but features and scores that differ from cell to cell; no threshold; few boxes, to be quick."""
    adapter = build_torchvision(
        TorchvisionDetector(
            kind="torchvision",
            model=model,
            weights=None,
            min_size=min_size,
            max_size=160,
            score_threshold=0.0,
            **settings,
        )
    )
    calibrate_batch_norm(adapter.module.backbone)
    heads = getattr(adapter.module, "roi_heads", adapter.module)
    heads.detections_per_img = 20
    if isinstance(heads, RoIHeads):
        adapter.module.rpn.score_thresh = 0.0
        adapter.module.rpn._post_nms_top_n = {"testing": 50}
    for name, parameter in adapter.module.named_parameters():
        if re.search(r"(cls_logits|bbox_pred|cls_score|bbox_reg)\.weight$", name):
            torch.nn.init.normal_(parameter, std=0.1)  # torchvision begins with nearly constant outputs
    return adapter


def calibrate_batch_norm(backbone: nn.Module) -> None:
    """Statistics of noise; without them random features vanish or explode on the way up."""
    for part in backbone.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 1.0
    with torch.no_grad():
        backbone.train()(torch.randn(2, 3, 128, 128))
    backbone.eval()


def images(*sizes: tuple[int, int]) -> list[Tensor]:
    return [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for size in sizes]
