"""Every setting of a run: frozen, strict, with its default, range and meaning."""

from __future__ import annotations

import os
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from fpnkit.config.curve import Qualities, lmbda_at


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, nothing is converted silently."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True, populate_by_name=True)


def _expanded(text: str) -> str:
    """`~` and `$NAME` replaced by what they stand for."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in os.environ:
            raise ValueError(f'the environment variable {name} is not set, found "{text}"')
        return os.environ[name]

    return os.path.expanduser(re.sub(r"\$(?:(\w+)|\{(\w+)\})", value, text))


def _path(text: str) -> str:
    return os.path.abspath(_expanded(text))


def _weights(text: str) -> str:
    """Make a file an absolute path; keep the name of a run or of torchvision weights."""
    text = _expanded(text)
    return os.path.abspath(text) if "/" in text or text.endswith((".pth", ".pt", ".safetensors")) else text


def _code(text: str | None) -> str | None:
    if text is None:
        return None
    where, colon, name = text.rpartition(":")
    if (
        not colon
        or not name.isidentifier()
        or not (where.endswith(".py") or all(map(str.isidentifier, where.split("."))))
    ):
        raise ValueError(f'required module:Name or file.py:Name, such as lab_detectors:Yolox, found "{text}"')
    return f"{_path(where)}:{name}" if where.endswith(".py") else text


# Absolute once loaded, so that a run's config finds its data from any working directory.
FilePath = Annotated[str, AfterValidator(_path)]
Weights = Annotated[str, AfterValidator(_weights)]


# --- data ---------------------------------------------------------------------------------------------------------


class ShapesData(Section):
    """Procedural images of shapes with boxes; the same seed gives the same images everywhere."""

    kind: Literal["shapes"]
    images: Annotated[int, Field(gt=0, le=10_000_000)]
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


class CocoData(Section):
    """Images with annotations in COCO format."""

    kind: Literal["coco"]
    images: FilePath  # folder
    annotations: FilePath  # JSON file
    limit: Annotated[int, Field(gt=0)] | None = None  # first n images
    annotations_check: bool = True  # refuses labels that can hardly be right


class FolderData(Section):
    """All images below a folder, in the order of their names; no boxes."""

    kind: Literal["folder"]
    images: FilePath
    limit: Annotated[int, Field(gt=0)] | None = None


class HoldoutData(Section):
    """A part of the training set, drawn with the run's seed and removed from it."""

    kind: Literal["holdout"] = "holdout"
    images: Annotated[int, Field(gt=0)] | None = None  # default: a tenth


ImageSource = Annotated[ShapesData | CocoData | FolderData, Field(discriminator="kind")]
ValidationSource = Annotated[ShapesData | CocoData | FolderData | HoldoutData, Field(discriminator="kind")]


class Data(Section):
    """`test` is for final evaluation only; training never opens it, `--dry-run` does."""

    train: ImageSource
    val: ValidationSource = HoldoutData()
    test: ImageSource | None = None
    labels: dict[str, str | None] = {}  # category of the test set → the detector's name for it; null leaves it out


# --- detectors ----------------------------------------------------------------------------------------------------

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
    weights: Weights | None = "builtin"  # "builtin", a file, a run, or null: untrained


class TorchvisionDetector(Section):
    """A torchvision detector."""

    kind: Literal["torchvision"]
    model: TorchvisionModel
    weights: Weights | None = "DEFAULT"  # torchvision's name, a file (.pth, .safetensors), a run, or null: untrained
    backbone_weights: Weights | None = None  # for training: torchvision's name or a file
    classes: Annotated[int, Field(gt=0)] | None = None  # without background; default: what the weights have
    min_size: Annotated[int, Field(gt=0)] | None = None  # shorter side of the input; default: the run's, torchvision's
    max_size: Annotated[int, Field(gt=0)] | None = None
    score_threshold: Annotated[float, Field(ge=0, lt=1)] = 0.05


class NanodetDetector(Section):
    """NanoDet-m, a COCO detector for edge devices."""

    kind: Literal["nanodet_m"]
    weights: Weights
    score_threshold: Annotated[float, Field(ge=0, lt=1)] = 0.05


class PluginDetector(Section):
    """A detector of yours: a class, or what a package registers under the entry point group `fpnkit.detectors`."""

    kind: Literal["plugin"]
    name: str | None = None  # of the entry point; with a class, what tables call it (default: the class's name)
    code: Annotated[str | None, Field(alias="class"), AfterValidator(_code)] = None  # module:Name or file.py:Name
    options: dict[str, JsonValue] = {}

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
    ShapesDetector | TorchvisionDetector | NanodetDetector | PluginDetector, Field(discriminator="kind")
]
TrainableDetectorSettings = Annotated[
    ShapesDetector | TorchvisionDetector | PluginDetector, Field(discriminator="kind")
]


class Cache(Section):
    """Pyramids of the frozen detector, kept on disk as float16."""

    directory: FilePath | None = None  # default: the user's cache directory
    budget_gb: Annotated[float, Field(ge=0)] = 20.0  # of all pyramids in the directory; 0: none are kept


# --- codec and loss -----------------------------------------------------------------------------------------------


class FactorizedCodec(Section):
    """One analysis and synthesis transform with a factorized prior per level."""

    kind: Literal["factorized"] = "factorized"
    channels: Annotated[int, Field(gt=0, le=4096)] = 64  # between the convolutions
    latent_channels: Annotated[int, Field(gt=0, le=4096)] = 64
    halvings: dict[str, Annotated[int, Field(ge=1, le=6)]] | None = None  # per level; default: latents at 1/32, 1/64


CellStride = Annotated[int, Field(gt=0, le=1024)] | None  # of cells in pixels; none: the coarsest level's, at most 32


class FusedCodec(Section):
    """Levels as one grid of cells, coded together."""

    kind: Literal["fused"]
    latent_channels: Annotated[int, Field(gt=0, le=2048)] = 256  # at most the values of a cell
    components: Annotated[int, Field(gt=0, le=4096)] = 512  # of the KLT, that the encoder sees
    channels: Annotated[int, Field(gt=0, le=4096)] = 256  # of the networks beside the KLT
    blocks: Annotated[int, Field(ge=0, le=16)] = 2
    context_channels: Annotated[int, Field(gt=0, le=4096)] = 384  # of the entropy model's networks
    context_blocks: Annotated[int, Field(ge=0, le=16)] = 1
    slices: Annotated[int, Field(gt=0, le=16)] = 5  # of channels, each coded with those before it as context
    checkerboard: bool = True  # each slice in two passes, the second with its neighbors as context
    rates: Annotated[int, Field(gt=0, le=64)] = 8  # quality runs from 0 at loss.lowest_lambda to rates - 1
    head_metric: bool = True  # the KLT weighs errors as the distortion does
    levels: Annotated[list[str], Field(min_length=1)] | None = None  # that are sent, the others follow from them
    apart: bool = False  # each level coded alone, with its own payload
    stride: CellStride = None


class LinearCodec(Section):
    """A linear map of each cell of all levels with counted tables: trained in seconds, without gradients."""

    kind: Literal["linear"]
    components: Annotated[int, Field(gt=0, le=4096)] = 512  # of the KLT, all of them coded
    context_components: Annotated[int, Field(ge=0, le=1024)] = 128  # of a cell and its neighbors, that means follow
    rates: Annotated[int, Field(gt=0, le=64)] = 8  # quality runs from 0 at loss.lowest_lambda to rates - 1
    stride: CellStride = None


DEFAULT_CODEC = "factorized"  # of configs that name none


def _with_kind(settings: Any) -> Any:
    return {"kind": DEFAULT_CODEC, **settings} if isinstance(settings, dict) and "kind" not in settings else settings


CodecSettings = Annotated[
    FactorizedCodec | FusedCodec | LinearCodec, Field(discriminator="kind"), BeforeValidator(_with_kind)
]


def rates_of(codec: CodecSettings) -> int:
    """How many rates a codec learns at once: 1 unless its section says otherwise."""
    rates: int = getattr(codec, "rates", 1)
    return rates


def _not_all_zero(weights: dict[str, float]) -> dict[str, float]:
    if not any(weights.values()):
        raise ValueError("required at least one weight above 0, found none")
    return weights


LevelWeights = Annotated[dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]], AfterValidator(_not_all_zero)]


DistortionName = Literal["mse", "head", "sensitivity"]


class Loss(Section):
    """`lambda * distortion + bpp`.

    The distortion is a weighted sum of `mse`, `distortion_scale * sum_l weight_l * MSE_l` on standardized levels;
    `head`, what the detector's heads notice, in nats a pixel; and `sensitivity`, squared errors that weigh what `head`
    was measured to give for errors of each channel, in nats a pixel as well.
    """

    lmbda: Annotated[float, Field(gt=0, alias="lambda", allow_inf_nan=False)]  # with lowest_lambda: the largest
    lowest_lmbda: Annotated[float | None, Field(gt=0, alias="lowest_lambda", allow_inf_nan=False)] = None
    distortion: Annotated[
        dict[DistortionName, Annotated[float, Field(gt=0, allow_inf_nan=False)]], Field(min_length=1)
    ] = {"mse": 1.0}
    distortion_scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 65025.0  # 255², the convention of images
    weights: LevelWeights | None = None  # default: 1/L each


# --- training -----------------------------------------------------------------------------------------------------


class TrainingBase(Section):
    """Settings common to training codecs and detectors."""

    epochs: Annotated[int, Field(gt=0)]
    batch_size: Annotated[int, Field(gt=0)] = 4
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    schedule: Literal["constant", "cosine", "plateau"] = "plateau"  # plateau: halve when val does not improve
    plateau_epochs: Annotated[int, Field(gt=0)] = 10
    patience: Annotated[int, Field(gt=0)] | None = None  # epochs without improvement before an early stop
    log_every: Annotated[int, Field(gt=0)] = 20  # steps a line of metrics.jsonl
    save_every_seconds: Annotated[float, Field(gt=0)] = 300.0  # last.pth within long epochs; always at an epoch's end
    keep_best: Annotated[int, Field(ge=0)] = 3
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    amp: bool = False  # bfloat16 autocast


class CodecTraining(TrainingBase):
    """Adam for the network, and a second Adam for the quantiles of the entropy models."""

    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-4
    aux_lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-3
    clip: Annotated[float, Field(gt=0)] = 1.0  # of the gradient's norm
    crop: Annotated[int, Field(gt=0)] = 256  # pixels of the network input; larger than an image: all of it
    crops_per_image: Annotated[int, Field(gt=0)] = 1  # an epoch
    calibration_images: Annotated[int, Field(gt=0)] = 64
    flip: bool = False  # mirrored images as further features
    image_crops: Annotated[int, Field(ge=0)] = 0  # parts of each image as further features


class DetectorTraining(TrainingBase):
    """A warm-up over the first epoch, then `schedule`."""

    optimizer: Literal["sgd", "adamw"] = "sgd"  # sgd as torchvision's references to fine-tune, adamw from scratch
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5e-3
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9  # of sgd
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    clip: Annotated[float, Field(gt=0)] = 10.0
    flip: bool = True  # half of the images mirrored


class Analysis(Section):
    """What is written in addition to the metrics during training."""

    diagnostics_every: Annotated[int, Field(gt=0)] = 1  # epochs
    figures_every: Annotated[int, Field(gt=0)] | None = None  # epochs, and at the end; null: none. Codecs only
    figures_images: Annotated[int, Field(gt=0)] = 8  # of the validation set


class ConfigBase(Section):
    """Settings common to both tasks."""

    task: str
    data: Data
    analysis: Analysis = Analysis()
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


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
