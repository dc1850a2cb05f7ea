"""Coders simple enough that what an evaluation must give is known, and a config to evaluate them with."""

import io
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from fpnkit.codecs.coder import CodedImage, CoderInput, ReceivedDetections, ReceivedFeatures, ReceivedImage
from fpnkit.config.load import validate
from fpnkit.config.schema import CodecConfig
from fpnkit.detectors.base import Detections
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid


class FeatureCoder:
    """The pyramid as it is, or changed."""

    suffix = ".pt"

    def __init__(self, change: Callable[[str, Tensor], Tensor] = lambda name, level: level, name: str = "raw") -> None:
        self.name, self._change = name, change
        self.encoded = 0  # images

    def encode(self, source: CoderInput) -> CodedImage:
        self.encoded += 1
        levels = {name: self._change(name, level) for name, level in source.pyramid.items()}
        buffer = io.BytesIO()
        torch.save({"levels": levels, "geometry": vars(source.geometry)}, buffer)
        return CodedImage(buffer.getvalue())

    def decode(self, data: bytes) -> ReceivedFeatures:
        content = torch.load(io.BytesIO(data))
        return ReceivedFeatures(Pyramid(content["levels"]), ImageGeometry(**content["geometry"]))


class ImageCoder:
    """The image as it is, or each pixel repeated in both directions."""

    name, suffix = "image", ".pt"

    def __init__(self, repeats: int = 1) -> None:
        self._repeats = repeats

    def encode(self, source: CoderInput) -> CodedImage:
        buffer = io.BytesIO()
        torch.save(source.image, buffer)
        return CodedImage(buffer.getvalue())

    def decode(self, data: bytes) -> ReceivedImage:
        image = torch.load(io.BytesIO(data))
        larger = image.repeat_interleave(self._repeats, 1).repeat_interleave(self._repeats, 2)
        return ReceivedImage(larger, (image.shape[1], image.shape[2]))


class DetectionCoder:
    """What was found on the uncompressed features, as it is."""

    name, suffix = "detections", ".pt"

    def encode(self, source: CoderInput) -> CodedImage:
        assert source.detections is not None
        buffer = io.BytesIO()
        torch.save(vars(source.detections), buffer)
        return CodedImage(buffer.getvalue())

    def decode(self, data: bytes) -> ReceivedDetections:
        return ReceivedDetections(Detections(**torch.load(io.BytesIO(data))))


class Promising(FeatureCoder):
    """Its entropy model says what it is told to say."""

    def __init__(self, bits: Mapping[str, int], estimated: Mapping[str, float]) -> None:
        super().__init__()
        self._bits, self._estimated = bits, estimated

    def encode(self, source: CoderInput) -> CodedImage:
        return CodedImage(super().encode(source).data, self._bits, self._estimated)


def config(**test: object) -> CodecConfig:
    settings = {
        "task": "fpn_compression",
        "detector": {"kind": "shapes_fcos"},
        "data": {"train": {"kind": "shapes", "images": 4}, "test": {"kind": "shapes", "images": 6, "seed": 5, **test}},
        "codec": {"kind": "factorized"},
        "loss": {"lambda": 0.01},
        "training": {"epochs": 1},
    }
    result = validate(settings)
    assert isinstance(result, CodecConfig)
    return result
