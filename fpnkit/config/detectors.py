"""Sections about detectors."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, model_validator

from fpnkit.config.section import Section, Weights, absolute_code, hub_name

TorchvisionModel = Literal[
    "fasterrcnn_resnet50_fpn",
    "fasterrcnn_resnet50_fpn_v2",
    "fasterrcnn_mobilenet_v3_large_fpn",
    "fasterrcnn_mobilenet_v3_large_320_fpn",
    "fasterrcnn_mobilenet_v2_fpn",
    "retinanet_resnet50_fpn",
    "retinanet_resnet50_fpn_v2",
    "fcos_resnet50_fpn",
    "maskrcnn_resnet50_fpn",
    "maskrcnn_resnet50_fpn_v2",
    "keypointrcnn_resnet50_fpn",
]


class ShapesDetector(Section):
    """The small FCOS with P2..P6 for the built-in shapes."""

    kind: Literal["shapes_fcos"]
    weights: Weights | None = "builtin"
    """`builtin`, a file, a run, or null: untrained."""


class TorchvisionDetector(Section):
    """A torchvision detector."""

    kind: Literal["torchvision"]
    model: TorchvisionModel
    """Torchvision's name."""
    weights: Weights | None = "DEFAULT"
    """Torchvision's name, a file (.pth, .safetensors), a run, or null: untrained."""
    backbone_weights: Weights | None = None
    """To train from: torchvision's name or a file."""
    classes: Annotated[int, Field(gt=0)] | None = None
    """Without background; default: what the weights have."""
    min_size: Annotated[int, Field(gt=0)] | None = None
    """Shorter side of the input; default: the run's, else torchvision's."""
    max_size: Annotated[int, Field(gt=0)] | None = None
    """Longer side of the input; default: the run's, else torchvision's."""
    score_threshold: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Detections below it are dropped."""


class NanodetDetector(Section):
    """NanoDet-m, a COCO detector for edge devices."""

    kind: Literal["nanodet_m"]
    weights: Weights
    """A file of the original weights."""
    score_threshold: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Detections below it are dropped."""


class TransformersDetector(Section):
    """RT-DETR, RT-DETRv2 or D-FINE of Hugging Face's transformers."""

    kind: Literal["transformers"]
    model: Annotated[str, AfterValidator(hub_name)]
    """A name on the Hub, such as `PekingU/rtdetr_v2_r18vd`, or a folder; only safetensors are read."""
    revision: str | None = None
    """Of a model on the Hub: a branch, tag or commit."""
    score_threshold: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Detections below it are dropped; published results keep all."""

    @model_validator(mode="after")
    def _one_place(self) -> TransformersDetector:
        if self.revision is not None and self.model.startswith("/"):
            raise ValueError(f"revision: required null for a folder, found {self.revision}")
        return self

    @property
    def title(self) -> str:
        """Its name in logs and tables."""
        return self.model.rstrip("/").rpartition("/")[2]


class PluginDetector(Section):
    """A detector of yours: a class, or what a package registers under the entry point group `fpnkit.detectors`."""

    kind: Literal["plugin"]
    name: str | None = None
    """Of the entry point; with a class, what tables call it (default: the class's name)."""
    code: Annotated[str | None, Field(alias="class"), AfterValidator(absolute_code)] = None
    """`module:Name` or `file.py:Name`, found beside the config or on Python's path."""
    options: dict[str, JsonValue] = Field({})
    """What the class or the entry point is called with."""

    @model_validator(mode="after")
    def _known(self) -> PluginDetector:
        if self.name is None and self.code is None:
            raise ValueError(
                "required `class`, such as lab_detectors:Yolox, or the name of an entry point; found neither"
            )
        return self

    @property
    def title(self) -> str:
        """Its name in logs and tables."""
        return self.name or (self.code or "").rpartition(":")[2]


DetectorSettings = Annotated[
    ShapesDetector | TorchvisionDetector | NanodetDetector | TransformersDetector | PluginDetector,
    Field(discriminator="kind"),
]
TrainableDetectorSettings = Annotated[
    ShapesDetector | TorchvisionDetector | PluginDetector, Field(discriminator="kind")
]
