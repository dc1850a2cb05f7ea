"""Mask R-CNN and Keypoint R-CNN with random weights, on pictures labeled with what they find themselves."""

import json
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from fpnkit.config.load import validate
from fpnkit.config.schema import CodecConfig
from fpnkit.data.segments import encode
from fpnkit.data.shapes import ShapesSet
from fpnkit.runs.results import Part
from tests.support.torchvision_detectors import detector

MODELS: dict[Part, str] = {"mask": "maskrcnn_resnet50_fpn", "keypoint": "keypointrcnn_resnet50_fpn"}
IMAGES = 3
_CALM = 0.2
_LABELED = 5  # best detections of an image


def part_config(part: Part, folder: Path) -> CodecConfig:
    """Writes weights, pictures and labels."""
    torch.manual_seed(0)
    adapter = detector(MODELS[part], classes=1)
    with torch.no_grad():  # calmer, so that a small error leaves something to be found
        for name, parameter in adapter.module.named_parameters():
            if name.endswith(("cls_logits.weight", "bbox_pred.weight", "cls_score.weight")):
                parameter.mul_(_CALM)
    torch.save(adapter.module.state_dict(), folder / "weights.pth")
    images, annotations = [], list[dict[str, Any]]()
    for number, sample in enumerate(ShapesSet(IMAGES, 8), start=1):
        Image.fromarray(sample.image.permute(1, 2, 0).numpy()).save(folder / f"{number}.png")
        height, width = sample.image.shape[1:]
        images.append({"id": number, "file_name": f"{number}.png", "height": height, "width": width})
        batch = adapter.prepare([sample.image])
        (found,) = adapter.detect(adapter.complete(adapter.pyramid(batch)), batch.geometry)
        for row in range(min(_LABELED, len(found.scores))):
            left, top, right, bottom = found.boxes[row].double().tolist()
            entry = {"id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 0}
            entry |= {"bbox": [left, top, right - left, bottom - top], "area": (right - left) * (bottom - top)}
            if found.masks is not None:
                (entry["segmentation"],) = encode((found.masks[row] > 0.5).numpy())
            if found.keypoints is not None:
                entry |= {"keypoints": found.keypoints[row].double().flatten().tolist(), "num_keypoints": 17}
            annotations.append(entry)
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "thing"}]}
    (folder / "labels.json").write_text(json.dumps(content))
    settings = {"model": MODELS[part], "weights": str(folder / "weights.pth"), "min_size": 96, "max_size": 160}
    source = {"kind": "coco", "images": str(folder), "annotations": str(folder / "labels.json")}
    config = validate(
        {
            "task": "fpn_compression",
            "detector": {"kind": "torchvision", "score_threshold": 0.2, **settings},
            "data": {"train": source, "test": source | {"annotations_check": False}},
            "codec": {"kind": "factorized"},
            "loss": {"lambda": 0.01},
            "training": {"epochs": 1},
        }
    )
    assert isinstance(config, CodecConfig)
    return config
