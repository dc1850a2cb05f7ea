"""A detector from an ONNX file, for fpnkit. Copy it and change what your file does differently.

The file is cut in two at its pyramid: the first half makes the features of an image, the second one boxes and scores of
features. In a config:

detector:
  kind: plugin
  class: onnx_detector.py:OnnxDetector
  options: {file: /home/you/detector.onnx, levels: [fpn_p2, fpn_p3, fpn_p4, fpn_p5], classes: [circle, square]}
"""

import hashlib
import tempfile
from pathlib import Path

import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from torchvision.ops import batched_nms

from fpnkit.detectors.base import Detections, ImageBatch
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid, PyramidSpec


class OnnxDetector:
    """For a file that takes one image (1, 3, height, width), RGB in [0, 1], and gives boxes and scores of classes."""

    def __init__(self, options):
        self.file, self.levels = Path(options["file"]), options["levels"]  # tensors of the file, finest first
        self.class_names = dict(enumerate(options["classes"], start=1))
        self.device = torch.device("cpu")
        self.uncut = onnxruntime.InferenceSession(self.file)
        self.image = self.uncut.get_inputs()[0].name
        self.outputs = [each.name for each in self.uncut.get_outputs()]  # boxes (1, n, 4), scores (1, n, class)
        self.canvas = tuple(self.uncut.get_inputs()[0].shape[2:])  # height, width
        self.sender, self.receiver = self._cut([self.image], self.levels), self._cut(self.levels, self.outputs)
        self.spec = PyramidSpec.from_shapes(self.canvas, [each.shape[1:] for each in self.sender.get_outputs()])

    def _cut(self, inputs, outputs):
        """The part of the file that lies between these tensors."""
        with tempfile.TemporaryDirectory() as folder:
            onnx.utils.extract_model(self.file, f"{folder}/half.onnx", inputs, outputs)
            return onnxruntime.InferenceSession(f"{folder}/half.onnx")

    def to(self, device):
        """Where fpnkit wants the features; onnxruntime itself stays on the CPU here."""
        self.device = device

    def prepare(self, images):
        """Images of any size → the size that the file takes."""
        pixels, places = zip(*map(self._letterbox, images), strict=True)
        return ImageBatch(torch.stack(pixels).to(self.device), places)

    def _letterbox(self, image):
        """Scaled to fit, in the middle of a gray canvas."""
        original = tuple(image.shape[1:])
        scale = min(canvas / side for canvas, side in zip(self.canvas, original, strict=True))
        height, width = content = tuple(max(1, round(scale * side)) for side in original)
        top, left = offset = tuple((canvas - side) // 2 for canvas, side in zip(self.canvas, content, strict=True))
        canvas = torch.full((3, *self.canvas), 0.5)
        scaled = F.interpolate(image[None].float() / 255, content, mode="bilinear", antialias=True)[0]
        canvas[:, top : top + height, left : left + width] = scaled
        return canvas, ImageGeometry(original, content, self.canvas, offset)

    def pyramid(self, batch):
        """The first half, an image at a time; then the images side by side."""
        found = [self.sender.run(None, {self.image: image[None].cpu().numpy()}) for image in batch.pixels]
        levels = [torch.cat([torch.from_numpy(level) for level in each]) for each in zip(*found, strict=True)]
        return Pyramid({name: level.to(self.device) for name, level in zip(self.spec.names, levels, strict=True)})

    def complete(self, pyramid):
        """All levels that the second half takes are transmitted."""
        return pyramid

    def detect(self, pyramid, geometry):
        """The second half, an image at a time."""
        levels = dict(zip(self.levels, (level.cpu().numpy() for level in pyramid.values()), strict=True))
        halves = [{name: level[i : i + 1] for name, level in levels.items()} for i in range(len(geometry))]
        return [
            self._found(*self.receiver.run(None, half), place) for half, place in zip(halves, geometry, strict=True)
        ]

    def _found(self, boxes, scores, place):
        """What the file gives → detections in pixels of the original image."""
        (boxes,), (scores, labels) = torch.from_numpy(boxes), torch.from_numpy(scores)[0].max(dim=1)
        sure = scores > 0.05
        boxes, scores, labels = boxes[sure], scores[sure], labels[sure]
        (top, left), (height, width) = place.offset, place.original
        scale = torch.tensor([width / place.content[1], height / place.content[0]]).repeat(2)
        boxes = (boxes - torch.tensor([left, top, left, top])) * scale
        boxes = boxes.clamp(torch.zeros(4), torch.tensor([width, height, width, height]))
        kept = batched_nms(boxes, scores, labels, 0.6)[:100]  # best first
        return Detections(boxes[kept], scores[kept], labels[kept] + 1)

    def whole(self, images):
        """The uncut file, which `fpnkit detectors check` compares with."""
        batch = self.prepare(images)
        found = [self.uncut.run(None, {self.image: image[None].cpu().numpy()}) for image in batch.pixels]
        return [self._found(*each, place) for each, place in zip(found, batch.geometry, strict=True)]

    def fingerprint(self):
        """All that features depend on: the file, the cut, and `prepare`, whose number goes up when it is changed."""
        return hashlib.sha256(self.file.read_bytes() + f"{self.levels} prepare 1".encode()).hexdigest()
