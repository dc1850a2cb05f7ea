"""Tiny RT-DETR, RT-DETRv2 and D-FINE with random weights, in memory and as folders."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import (
    DFineConfig,
    DFineForObjectDetection,
    HGNetV2Config,
    RTDetrConfig,
    RTDetrForObjectDetection,
    RTDetrImageProcessor,
    RTDetrResNetConfig,
    RTDetrV2Config,
    RTDetrV2ForObjectDetection,
)

from fpnkit.detectors.detr import DetrAdapter
from tests.support.torchvision_detectors import calibrate_batch_norm

DETRS = ("rt_detr", "rt_detr_v2", "d_fine")
SIDE = 128  # of the network's input, in pixels
NAMES = {0: "cat", 1: "dog", 2: "horse"}

_WIDTHS = [16, 24, 32]  # of the backbone's last three stages
_RESNET = RTDetrResNetConfig(
    embedding_size=8,
    hidden_sizes=[8, *_WIDTHS],
    depths=[1, 1, 1, 1],
    layer_type="basic",
    out_features=["stage2", "stage3", "stage4"],
)
_HGNET = HGNetV2Config(
    stem_channels=[3, 8, 8],
    hidden_sizes=[16, *_WIDTHS],
    stage_in_channels=[8, 16, 16, 24],
    stage_mid_channels=[8, 8, 8, 8],
    stage_out_channels=[16, *_WIDTHS],
    stage_num_blocks=[1, 1, 1, 1],
    stage_numb_of_layers=[1, 1, 1, 1],
    out_features=["stage2", "stage3", "stage4"],
)
_CLASSES = {
    "rt_detr": (RTDetrConfig, RTDetrForObjectDetection, _RESNET),
    "rt_detr_v2": (RTDetrV2Config, RTDetrV2ForObjectDetection, _RESNET),
    "d_fine": (DFineConfig, DFineForObjectDetection, _HGNET),
}


def module(kind: str, **settings: Any) -> Any:
    """Features, scores and boxes that differ from cell to cell."""
    config_class, model_class, backbone = _CLASSES[kind]
    width = 32
    config = config_class(
        **{
            "backbone_config": backbone,
            "encoder_hidden_dim": width,
            "encoder_in_channels": _WIDTHS,
            "d_model": width,
            "decoder_in_channels": [width] * 3,
            "encoder_ffn_dim": width,
            "decoder_ffn_dim": width,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "decoder_layers": 2,
            "num_queries": 20,
            "num_denoising": 0,
            "initializer_range": 0.1,
            "id2label": NAMES,
            "label2id": {name: number for number, name in NAMES.items()},
        }
        | settings
    )
    torch.manual_seed(0)
    model = model_class(config)
    for name, parameter in model.named_parameters():
        if name.endswith("weight") and ("score_head" in name or "class_embed" in name or "bbox" in name):
            torch.nn.init.normal_(parameter, std=0.2)
        if name.endswith("bias") and ("score_head" in name or "class_embed" in name):
            torch.nn.init.zeros_(parameter)
    calibrate_batch_norm(model)
    return model.eval()


def processor(**settings: Any) -> RTDetrImageProcessor:
    return RTDetrImageProcessor(**{"size": {"height": SIDE, "width": SIDE}} | settings)


def detr(kind: str, score_threshold: float = 0.0, **settings: Any) -> DetrAdapter:
    return DetrAdapter(module(kind, **settings), processor(), kind, NAMES, score_threshold)


def folder(path: Path, kind: str, **settings: Any) -> Path:
    """As `save_pretrained` leaves it."""
    module(kind, **settings).save_pretrained(path)
    processor().save_pretrained(path)
    return path


def change(path: Path, **values: Any) -> None:
    """Other values in a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
