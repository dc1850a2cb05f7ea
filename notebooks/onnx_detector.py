"""A detector from an ONNX file, for fpnkit. Copy it and change what your file does differently.

The file is cut in two at its pyramid: the first half makes the features of an image,
the second half makes boxes and scores of features. In a config:

detector:
  kind: plugin
  class: onnx_detector.py:OnnxDetector
  options:
    file: /home/you/detector.onnx
    levels: [fpn_p2, fpn_p3, fpn_p4, fpn_p5]   # tensors of the file, finest first
    classes: [circle, square, triangle]
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
    """Takes one RGB image in [0, 1], (1, 3, height, width); gives boxes and scores of classes."""

    def __init__(self, options):
        self.file, self.levels = Path(options["file"]), options["levels"]
        self.class_names = dict(enumerate(options["classes"], start=1))
        self.device = torch.device("cpu")
        self.uncut = onnxruntime.InferenceSession(self.file)
        self.image = self.uncut.get_inputs()[0].name
        self.canvas = tuple(self.uncut.get_inputs()[0].shape[2:])  # height, width
        outputs = [each.name for each in self.uncut.get_outputs()]  # boxes, scores
        self.sender = self._cut([self.image], self.levels)
        self.receiver = self._cut(self.levels, outputs)
        shapes = [each.shape[1:] for each in self.sender.get_outputs()]
        self.spec = PyramidSpec.from_shapes(self.canvas, shapes)

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
        original = image.shape[1], image.shape[2]
        scale = min(self.canvas[0] / original[0], self.canvas[1] / original[1])
        height, width = (max(1, round(scale * side)) for side in original)
        top, left = (self.canvas[0] - height) // 2, (self.canvas[1] - width) // 2
        scaled = F.interpolate(image[None] / 255, (height, width), mode="bilinear", antialias=True)
        canvas = torch.full((3, *self.canvas), 0.5)
        canvas[:, top : top + height, left : left + width] = scaled[0]
        return canvas, ImageGeometry(original, (height, width), self.canvas, (top, left))

    def pyramid(self, batch):
        """The first half, an image at a time; then the images side by side."""
        found = [self.sender.run(None, self._input(image)) for image in batch.pixels]
        levels = {}
        for name, each in zip(self.spec.names, zip(*found, strict=True), strict=True):
            levels[name] = torch.cat([torch.from_numpy(level) for level in each]).to(self.device)
        return Pyramid(levels)

    def _input(self, image):
        return {self.image: image[None].cpu().numpy()}

    def complete(self, pyramid):
        """All levels that the second half takes are transmitted."""
        return pyramid

    def detect(self, pyramid, geometry):
        """The second half, an image at a time."""
        found = []
        for index, place in enumerate(geometry):
            levels = [level[index : index + 1].cpu().numpy() for level in pyramid.values()]
            half = self.receiver.run(None, dict(zip(self.levels, levels, strict=True)))
            found.append(self._found(*half, place))
        return found

    def _found(self, boxes, scores, place):
        """(1, n, 4) and (1, n, class) on the canvas → detections in pixels of the image."""
        boxes, (scores, labels) = torch.from_numpy(boxes)[0], torch.from_numpy(scores)[0].max(dim=1)
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
        found = [self.uncut.run(None, self._input(image)) for image in batch.pixels]
        return [self._found(*each, g) for each, g in zip(found, batch.geometry, strict=True)]

    def fingerprint(self):
        """Of all that features depend on: the file, the cut, and `prepare`: raise its number."""
        settings = f"{self.levels} prepare 1".encode()
        return hashlib.sha256(self.file.read_bytes() + settings).hexdigest()
