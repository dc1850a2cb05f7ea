"""What stands in for your files in `06_your_data_and_detector.ipynb`: labeled pictures, and a detector as ONNX file."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from fpnkit.config.schema import ShapesDetector
from fpnkit.data.shapes import ShapesSet
from fpnkit.detectors.shapes_fcos import build_shapes_fcos
from fpnkit.errors import UserError

try:
    import onnx
    import onnxruntime  # noqa: F401 # what `onnx_detector.py` runs the file with
    import onnxscript  # noqa: F401 # what torch writes the file with
except ModuleNotFoundError as error:
    raise UserError(f'this notebook needs {error.name}: pip install "fpnkit[onnx]"') from None

ToBox = Callable[[float, float, float, float], list[float]]

_ROWS = 160  # of a picture are kept, so that it is no square
_SIZE = 288, 240  # width and height of what is saved


@dataclass(frozen=True)
class Picture:
    """A file and what somebody has drawn in it."""

    file: str
    width: int
    height: int
    boxes: list[tuple[str, float, float, float, float]]  # name, left, top, right, bottom


def labeled_pictures(folder: Path, count: int, seed: int) -> list[Picture]:
    """Written into `folder`. Squares are called `box`, as the people who label may well do."""
    folder.mkdir(parents=True, exist_ok=True)
    images = ShapesSet(count, seed)
    return [_saved(images, index, folder / f"{index:03}.png") for index in range(count)]


def _saved(images: ShapesSet, index: int, path: Path) -> Picture:
    sample, (width, height) = images[index], _SIZE
    names = {category.id: category.name for category in images.categories} | {2: "box"}
    Image.fromarray(sample.image[:, :_ROWS].permute(1, 2, 0).numpy()).resize(_SIZE).save(path)
    boxes = sample.boxes.clamp(max=torch.tensor([float("inf"), _ROWS]).repeat(2)) * (height / _ROWS)
    seen = boxes[:, 3] - boxes[:, 1] > 4
    labels = [names[label] for label in sample.labels[seen].tolist()]
    return Picture(path.name, width, height, [(n, *box) for n, box in zip(labels, boxes[seen].tolist(), strict=True)])


def coco_file(path: Path, pictures: list[Picture], bbox: ToBox) -> None:
    """Labels in COCO format; `bbox`: left, top, right, bottom → what the file says."""
    names = sorted({name for picture in pictures for name, *_ in picture.boxes})
    images, annotations = [], []
    for number, picture in enumerate(pictures):
        size = {"width": picture.width, "height": picture.height}
        images.append({"id": number, "file_name": picture.file, **size})
        for name, *corners in picture.boxes:
            box = {"category_id": names.index(name), "bbox": bbox(*corners)}
            annotations.append({"image_id": number, **box})
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content))


def onnx_file(path: Path) -> list[str]:
    """The built-in detector for images of 192 x 192; returns the names of its classes.

    Input `image` (1, 3, 192, 192), RGB in [0, 1]. Outputs `boxes` (1, n, 4), left, top, right and bottom in pixels, and
    `scores` (1, n, class). Its pyramid are the tensors `fpn_p2` to `fpn_p5`.
    """
    detector = build_shapes_fcos(ShapesDetector(kind="shapes_fcos"))
    levels, image = [f"fpn_{name}" for name in detector.spec.names], torch.zeros(1, 3, 192, 192)
    names = {"input_names": ["image"], "output_names": [*levels, "boxes", "scores"]}
    network = _Network(detector.module)
    torch.onnx.export(network, (image,), path, dynamo=True, external_data=False, verbose=False, **names)
    model = onnx.load(path)
    del model.graph.output[: len(levels)]  # were outputs only to be given a name
    onnx.save(model, path)
    return list(detector.class_names.values())


class _Network(torch.nn.Module):
    """FCOS as one function: normalization and the decoding of boxes included, thresholds and NMS not."""

    def __init__(self, fcos: torch.nn.Module) -> None:
        super().__init__()
        self.backbone, self.head, self.coder = fcos.backbone, fcos.head, fcos.box_coder
        images, _ = fcos.transform([torch.zeros(3, 192, 192)])
        (anchors,) = fcos.anchor_generator(images, list(self.backbone(images.tensors).values()))
        self.register_buffer("anchors", anchors)
        self.eval()

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Image → levels, boxes, scores."""
        levels = list(self.backbone((image - 0.5) / 0.25).values())
        found = self.head(levels)
        sure = found["cls_logits"][..., 1:].sigmoid() * found["bbox_ctrness"].sigmoid()
        return *levels[:4], self.coder.decode(found["bbox_regression"], self.anchors[None]), sure.sqrt()
