"""What is analyzed has the detector's labels, whatever ids and names the data set has for them."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from fpnkit.analysis.subject import CachedBench, build_bench
from fpnkit.config.load import validate
from fpnkit.config.schema import CodecConfig
from fpnkit.data.shapes import ShapesSet

IDS = {"circle": 40, "box": 1, "hedgehog": 2}  # 1 and 2 are the detector's circle and square


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    """One image with a circle, a square, which is called box here, and something unknown."""
    (tmp_path / "images").mkdir()
    Image.fromarray(ShapesSet(1, 0)[0].image.permute(1, 2, 0).numpy()).save(tmp_path / "images" / "a.png")
    boxes = {"circle": [10, 10, 20, 20], "box": [50, 50, 30, 30], "hedgehog": [90, 90, 9, 9]}
    file = tmp_path / "labels.json"
    file.write_text(
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "a.png", "width": 192, "height": 192}],
                "annotations": [
                    {"id": number, "image_id": 1, "category_id": IDS[name], "bbox": box}
                    for number, (name, box) in enumerate(boxes.items())
                ],
                "categories": [{"id": number, "name": name} for name, number in IDS.items()],
            }
        )
    )
    return file


def bench(annotations: Path, **labels: str | None) -> CachedBench:
    source = {"kind": "coco", "images": str(annotations.parent / "images"), "annotations": str(annotations)}
    settings = {
        "task": "fpn_compression",
        "detector": {"kind": "shapes_fcos"},
        "data": {"train": {"kind": "shapes", "images": 4}, "val": source, "labels": labels},
        "cache": {"directory": str(annotations.parent / "features")},
        "loss": {"lambda": 1e-3},
        "training": {"epochs": 1},
    }
    config = validate(settings)
    assert isinstance(config, CodecConfig)
    return build_bench(config, "val", 1)


def test_boxes_are_named_as_the_detector_names_them(annotations: Path) -> None:
    found = bench(annotations, box="square", of_the_test_set="star")
    sample = found.images[0]
    classes = {name: number for number, name in found.detector.class_names.items()}
    assert sample.labels.tolist() == [classes["circle"], classes["square"]]
    assert torch.equal(sample.boxes, torch.tensor([[10.0, 10, 30, 30], [50, 50, 80, 80]]))
    assert found.categories == found.detector.class_names


def test_numbers_of_other_labels_are_not_taken_for_these(annotations: Path) -> None:
    assert bench(annotations).images_id != bench(annotations, box="square").images_id
