"""Every setting of a run: frozen, strict, with its default, range and meaning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from fpnkit.config.codecs import (
    DEFAULT_CODEC,
    CellStride,
    CodecSettings,
    DistortionName,
    FactorizedCodec,
    FusedCodec,
    LevelWeights,
    LinearCodec,
    Loss,
    rates_of,
)
from fpnkit.config.curve import Qualities, lmbda_at
from fpnkit.config.data import Cache, CocoData, Data, FolderData, HoldoutData, ImageSource, ShapesData, ValidationSource
from fpnkit.config.detectors import (
    DetectorSettings,
    NanodetDetector,
    PluginDetector,
    ShapesDetector,
    TorchvisionDetector,
    TorchvisionModel,
    TrainableDetectorSettings,
    TransformersDetector,
)
from fpnkit.config.section import FilePath, Section, Weights

__all__ = [
    "DEFAULT_CODEC",
    "Analysis",
    "AnyConfig",
    "Cache",
    "CellStride",
    "CocoData",
    "CodecConfig",
    "CodecSettings",
    "CodecTraining",
    "Config",
    "ConfigBase",
    "Data",
    "DetectorConfig",
    "DetectorSettings",
    "DetectorTraining",
    "DistortionName",
    "FactorizedCodec",
    "FilePath",
    "FolderData",
    "FusedCodec",
    "HoldoutData",
    "ImageSource",
    "LevelWeights",
    "LinearCodec",
    "Loss",
    "NanodetDetector",
    "PluginDetector",
    "Section",
    "ShapesData",
    "ShapesDetector",
    "TorchvisionDetector",
    "TorchvisionModel",
    "TrainableDetectorSettings",
    "TrainingBase",
    "TransformersDetector",
    "ValidationSource",
    "Weights",
    "rates_of",
]


class TrainingBase(Section):
    """Settings common to training codecs and detectors."""

    epochs: Annotated[int, Field(gt=0)]
    """How often all features, or images, are seen."""
    batch_size: Annotated[int, Field(gt=0)] = 4
    """Images, or crops, a step."""
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """Learning rate."""
    schedule: Literal["constant", "cosine", "plateau"] = "plateau"
    """Of the learning rate; plateau: halve it when validation does not improve."""
    plateau_epochs: Annotated[int, Field(gt=0)] = 10
    """Without improvement before the learning rate is halved."""
    patience: Annotated[int, Field(gt=0)] | None = None
    """Epochs without improvement before an early stop; default: none."""
    log_every: Annotated[int, Field(gt=0)] = 20
    """Steps a line of metrics.jsonl."""
    save_every_seconds: Annotated[float, Field(gt=0)] = 300.0
    """Of last.pth within long epochs; it is always written at an epoch's end."""
    keep_best: Annotated[int, Field(ge=0)] = 3
    """Best checkpoints kept under names with epoch and loss."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """auto: cuda, else mps, else cpu."""
    amp: bool = False
    """Automatic mixed precision, with bfloat16."""


class CodecTraining(TrainingBase):
    """Adam for the network, and a second Adam for the quantiles of the entropy models."""

    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-4
    """Learning rate."""
    aux_lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-3
    """Learning rate of the quantiles of factorized entropy models."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest norm of the gradient."""
    crop: Annotated[int, Field(gt=0)] = 256
    """Side of a training window, in pixels of the input; larger than an image: all of it."""
    crops_per_image: Annotated[int, Field(gt=0)] = 1
    """Training windows of each image an epoch."""
    calibration_images: Annotated[int, Field(gt=0)] = 64
    """From which means, deviations and the KLT are taken."""
    flip: bool = False
    """Mirrored images as further features."""
    image_crops: Annotated[int, Field(ge=0)] = 0
    """Parts of each image as further features."""


class DetectorTraining(TrainingBase):
    """A warm-up over the first epoch, then `schedule`."""

    optimizer: Literal["sgd", "adamw"] = "sgd"
    """sgd, as in torchvision's references, to fine-tune; adamw from scratch."""
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5e-3
    """Learning rate."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Of sgd."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    """Of all weights."""
    clip: Annotated[float, Field(gt=0)] = 10.0
    """Largest norm of the gradient."""
    flip: bool = True
    """Half of the images are mirrored."""


class Analysis(Section):
    """What is written in addition to the metrics during training."""

    diagnostics_every: Annotated[int, Field(gt=0)] = 1
    """Epochs between files of diagnostics."""
    figures_every: Annotated[int, Field(gt=0)] | None = None
    """Epochs between figures, and at the end; default: none. Codecs only."""
    figures_images: Annotated[int, Field(gt=0)] = 8
    """Of the validation set, in the figures."""


class ConfigBase(Section):
    """Settings common to both tasks."""

    task: str
    data: Data
    analysis: Analysis = Analysis()
    slurm: dict[str, str | int | bool] = Field(default_factory=dict)
    """Options of sbatch for `--on slurm`, such as `partition: gpu`; `true` for one without a value."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Of everything random."""


class CodecConfig(ConfigBase):
    """Train a codec on the pyramids of a frozen detector."""

    task: Literal["fpn_compression"]
    detector: DetectorSettings
    cache: Cache = Cache()
    codec: CodecSettings = FactorizedCodec()
    loss: Loss
    training: CodecTraining

    @property
    def lambdas(self) -> tuple[float, ...]:
        """One for each rate of the codec, ascending; in geometric progression."""
        return tuple(self.lmbda_at(quality) for quality in range(rates_of(self.codec)))

    @property
    def qualities(self) -> Qualities | None:
        """Lowest and highest; None for a codec of one rate."""
        return (0.0, rates_of(self.codec) - 1.0) if rates_of(self.codec) > 1 else None

    def lmbda_at(self, quality: float | None) -> float:
        """At a quality of the codec's curve; None for a codec of one rate."""
        low, high = self.loss.lowest_lmbda, self.loss.lmbda
        highest = 1.0 if self.qualities is None else self.qualities[1]
        return high if low is None or quality is None else lmbda_at(low, high, quality / highest)

    @model_validator(mode="after")
    def _sections_that_fit(self) -> CodecConfig:
        rates, low, high = rates_of(self.codec), self.loss.lowest_lmbda, self.loss.lmbda
        lowest = "loss", "lowest_lambda"
        if low is None and rates > 1:
            raise _unfit(lowest, f"required with {rates} rates of the codec, found none")
        if low is not None and rates == 1:
            raise _unfit(lowest, f"required none for a codec of one rate, found {low:g}")
        if low is not None and low >= high:
            raise _unfit(lowest, f"required less than loss.lambda, {high:g}, found {low:g}")
        if isinstance(self.codec, LinearCodec) and self.training.epochs != 1:
            raise _unfit(("training", "epochs"), f"required 1 for the codec linear, found {self.training.epochs}")
        return self


def _unfit(key: tuple[str, str], problem: str) -> PydanticCustomError:
    """A problem of a key that other sections make one; `key` says where, since pydantic only knows the whole."""
    return PydanticCustomError("unfit", "{problem}", {"key": key, "problem": problem})


class DetectorConfig(ConfigBase):
    """Train a detector."""

    task: Literal["detection"]
    detector: TrainableDetectorSettings
    training: DetectorTraining


Config = CodecConfig | DetectorConfig
AnyConfig = Annotated[Config, Field(discriminator="task")]
