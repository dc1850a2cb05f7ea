"""Building torchvision's detectors: the module, its classes, its weights, its frozen layers."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from torchvision.models import get_model, get_model_weights
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.backbone_utils import mobilenet_backbone
from torchvision.ops.misc import FrozenBatchNorm2d

from fpnkit.config.schema import TorchvisionDetector
from fpnkit.data.images import Category
from fpnkit.detectors.torchvision import TorchvisionAdapter, TorchvisionModule
from fpnkit.detectors.weights import WeightFile, find_weights, load_strictly, read_weights
from fpnkit.errors import WeightsError

# torchvision knows every model except this one by name.
_MOBILENET_V2 = "fasterrcnn_mobilenet_v2_fpn"
# Their COCO_V1 weights were trained with the epsilon of BatchNorm at 0, and torchvision runs them so.
_COCO_WITHOUT_EPS = (
    "fasterrcnn_resnet50_fpn",
    "maskrcnn_resnet50_fpn",
    "keypointrcnn_resnet50_fpn",
    "retinanet_resnet50_fpn",
)
_LAYERS_TO_STRIDE_4 = ("conv1", "bn1", "layer1", "0", "1", "2", "3")  # children of a ResNet's or MobileNet's body
_CLASS_LAYERS = ("box_predictor.", "mask_predictor.mask_fcn_logits.", "classification_head.cls_logits.")


def build_torchvision(settings: TorchvisionDetector) -> TorchvisionAdapter:
    """The detector in evaluation mode, with its weights, or untrained if they are null.

    If the settings do not give the input size, it is the one the checkpoint was trained with.
    """
    if settings.backbone_weights is not None:
        raise WeightsError(
            f"{settings.model}: `backbone_weights` are for training a detector; required null, "
            f"found `{settings.backbone_weights}`"
        )
    if settings.weights is None:
        return TorchvisionAdapter(_module(settings, settings.classes), settings.model)
    file = read_weights(_find(settings.weights, settings.model))
    trained = {key: file.trained_as[key] for key in ("min_size", "max_size") if key in file.trained_as}
    given = settings.model_dump(include={"min_size", "max_size"}, exclude_none=True)
    settings = settings.model_copy(update=trained | given)
    module = _module(settings, settings.classes or _classes(file, settings.model))
    _load(module, file, settings.model)
    return TorchvisionAdapter(module, settings.model, file.categories or _published(settings))


def build_trainable_torchvision(settings: TorchvisionDetector, categories: tuple[Category, ...]) -> TorchvisionModule:
    """The module in training mode for these categories, label k for `categories[k - 1]`.

    It starts from `weights` (without layers for other classes), from `backbone_weights`, or untrained if both are null.
    Starting from weights freezes the backbone's BatchNorm and its layers up to stride 4.
    """
    if settings.classes not in (None, len(categories)):
        raise WeightsError(
            f"{settings.model}: `classes`: required null or {len(categories)}, the categories of the training set; "
            f"found {settings.classes}"
        )
    if settings.weights is not None and settings.backbone_weights is not None:
        raise WeightsError(
            f"{settings.model}: required one source of initial weights, found two: `weights: {settings.weights}` and "
            f"`backbone_weights: {settings.backbone_weights}`; set one of them to null"
        )
    module = _module(settings, len(categories))
    if settings.weights is not None:
        file = read_weights(_find(settings.weights, settings.model))
        _load(module, without_other_classes(file, module), settings.model)
    elif settings.backbone_weights is not None:
        _load_body(module, settings.backbone_weights, settings.model)
    else:
        return module.train()
    _freeze_batch_norm(module.backbone.body)
    for name, layer in module.backbone.body.named_children():
        if name in _LAYERS_TO_STRIDE_4:
            layer.requires_grad_(False)
    return module.train()


def without_other_classes(file: WeightFile, module: TorchvisionModule) -> WeightFile:
    """`file` with class-dependent layers replaced by those of `module` if their shapes differ."""
    own = module.state_dict()
    new = {
        key: own[key]
        for key, value in file.state.items()
        if key in own and own[key].shape != value.shape and any(layer in key for layer in _CLASS_LAYERS)
    }
    return replace(file, state=file.state | new)


def _module(settings: TorchvisionDetector, classes: int | None) -> TorchvisionModule:
    options = settings.model_dump(include={"min_size", "max_size"}, exclude_none=True)
    if classes is not None:
        options["num_classes"] = classes + 1  # torchvision counts the background in all of its detectors
    if settings.model == _MOBILENET_V2:
        module = _fasterrcnn_mobilenet_v2_fpn(**options)
    else:
        module = get_model(settings.model, weights=None, weights_backbone=None, **options)
    heads = module.roi_heads if hasattr(module, "roi_heads") else module
    heads.score_thresh = settings.score_threshold
    return module


def _fasterrcnn_mobilenet_v2_fpn(num_classes: int = 91, **options: int) -> FasterRCNN:
    """Four levels, the two coarsest with the same stride, and a pooled one; torchvision's default anchors fit."""
    backbone = mobilenet_backbone(
        backbone_name="mobilenet_v2",
        weights=None,
        fpn=True,
        norm_layer=nn.BatchNorm2d,
        trainable_layers=6,
        returned_layers=[2, 3, 4, 5],
    )
    return FasterRCNN(backbone, num_classes, **options)


def _find(weights: str, model: str) -> Path:
    """Path of the weights; torchvision's own are downloaded if missing."""
    named = named_weights(model)
    return _download(named[weights], model) if weights in named else find_weights(weights, named)


def _published(settings: TorchvisionDetector) -> tuple[Category, ...]:
    """Class names of torchvision's own weights; none for other files. Label and category id are the same."""
    if settings.weights not in named_weights(settings.model):
        return ()
    names = get_model_weights(settings.model)[settings.weights].meta["categories"]
    return tuple(Category(number, name) for number, name in enumerate(names) if number > 0)


def named_weights(model: str) -> dict[str, str]:
    """torchvision's names for the weights of a model → their addresses."""
    if model == _MOBILENET_V2:
        return {}
    return {name: weights.url for name, weights in get_model_weights(model).__members__.items()}


def _download(url: str, model: str) -> Path:
    path = Path(torch.hub.get_dir()) / "checkpoints" / _file_name(url)
    if path.is_file():
        return path
    checksum = re.search(r"-([0-9a-f]{8,})\.", path.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=checksum and checksum[1])
    except (OSError, RuntimeError) as error:  # no connection, no space; RuntimeError: another checksum
        raise WeightsError(
            f"{model}: cannot download {url}: {getattr(error, 'reason', error)}; required a connection, or the file "
            f"from elsewhere, placed at {path} or named in the configuration"
        ) from None
    return path


def _file_name(url: str) -> str:
    return url.rsplit("/", 1)[-1]


def _classes(file: WeightFile, model: str) -> int | None:
    """Number of classes without background that the weights were trained for; None if they contain no head."""
    dense, anchors = "head.classification_head.cls_logits.bias", 9 if model.startswith("retinanet") else 1
    for key, outputs_per_class in (("roi_heads.box_predictor.cls_score.bias", 1), (dense, anchors)):
        if key in file.state:
            return file.state[key].shape[0] // outputs_per_class - 1
    return None


def _load(module: TorchvisionModule, file: WeightFile, model: str) -> None:
    load_strictly(module, file, model)
    if not any(key.startswith("backbone.body.") and key.endswith("num_batches_tracked") for key in file.state):
        _freeze_batch_norm(module.backbone.body)
    if model in _COCO_WITHOUT_EPS and file.path.name == _file_name(named_weights(model)["COCO_V1"]):
        for part in module.modules():
            if isinstance(part, FrozenBatchNorm2d):
                part.eps = 0.0


def _load_body(module: TorchvisionModule, weights: str, model: str) -> None:
    """Load a classifier's weights into the backbone; its classification layers are left out."""
    backbone = re.search("resnet50|mobilenet_v3_large|mobilenet_v2", model)
    assert backbone is not None
    named = named_weights(backbone[0])
    file = read_weights(_download(named[weights], model) if weights in named else find_weights(weights, named))
    state = {
        key.removeprefix("features."): tensor
        for key, tensor in file.state.items()
        if not key.startswith(("fc.", "classifier."))
    }
    load_strictly(module.backbone.body, replace(file, state=state), f"the backbone of {model}")


def _freeze_batch_norm(module: nn.Module) -> None:
    """Replace BatchNorm by one whose statistics and affine parameters are constants."""
    for name, part in module.named_children():
        if isinstance(part, nn.BatchNorm2d):
            frozen = FrozenBatchNorm2d(part.num_features, eps=part.eps)
            frozen.load_state_dict(part.state_dict())
            setattr(module, name, frozen)
        else:
            _freeze_batch_norm(part)
