"""Finding and reading Hugging Face's detectors: a folder or a model of the Hub, safetensors only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from fpnkit.config.schema import TransformersDetector
from fpnkit.data.files import first_five
from fpnkit.detectors.detr import DetrAdapter
from fpnkit.errors import UserError, WeightsError

MISSING = 'required transformers, found none; pip install "fpnkit[transformers]" installs it'
_MODELS = ("rt_detr", "rt_detr_v2", "d_fine")
_CONFIG, _PROCESSOR = "config.json", "preprocessor_config.json"
_WEIGHTS = "model*.safetensors"
# Published checkpoints call six of COCO's classes as Pascal VOC and Darknet do.
_COCO_NAMES = {
    "motorbike": "motorcycle",
    "aeroplane": "airplane",
    "sofa": "couch",
    "pottedplant": "potted plant",
    "diningtable": "dining table",
    "tvmonitor": "tv",
}


def build_transformers(settings: TransformersDetector) -> DetrAdapter:
    """The detector in evaluation mode, on the CPU. Raises `WeightsError`, and `UserError` without transformers."""
    try:
        import transformers
    except ImportError:
        raise UserError(f"{settings.title}: {MISSING}") from None
    folder = _folder(settings)
    with _quiet(transformers), _errors(settings.title, folder):
        config = transformers.AutoConfig.from_pretrained(folder)
        if config.model_type not in _MODELS:
            raise WeightsError(
                f"{folder / _CONFIG}: model_type: required {', '.join(_MODELS[:-1])} or {_MODELS[-1]}, "
                f"found {config.model_type}"
            )
        processor = transformers.AutoImageProcessor.from_pretrained(folder)
        _check_size(processor, max(config.feat_strides), folder / _PROCESSOR)
        module, loaded = transformers.AutoModelForObjectDetection.from_pretrained(
            folder, config=config, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
        if loaded["missing_keys"]:
            raise WeightsError(
                f"{folder}: required all weights of a {config.model_type}, found none for "
                f"{first_five(sorted(loaded['missing_keys']))}"
            )
    return DetrAdapter(module, processor, settings.title, _class_names(config.id2label), settings.score_threshold)


def _folder(settings: TransformersDetector) -> Path:
    """The folder itself, or the Hub's files in the user's cache, downloaded if they are not there yet."""
    if Path(settings.model).is_absolute():
        folder = Path(settings.model)
        missing = _missing(folder)
        if missing:
            raise WeightsError(f"{folder}: required {_CONFIG}, {_PROCESSOR} and model.safetensors, found no {missing}")
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    wanted = {"revision": settings.revision, "allow_patterns": [_CONFIG, _PROCESSOR, "model*.safetensors*"]}
    try:
        folder = Path(snapshot_download(settings.model, **wanted, local_files_only=True))  # the same on every day
        if not _missing(folder):
            return folder
    except OSError:
        pass  # not there yet
    except HFValidationError:
        raise WeightsError(
            f"detector.model: required a folder, or a name on the Hub such as PekingU/rtdetr_r18vd; "
            f'found "{settings.model}"'
        ) from None
    try:
        folder = Path(snapshot_download(settings.model, **wanted))
    except (OSError, HfHubHTTPError) as error:
        raise WeightsError(
            f"{settings.model}: cannot download it from the Hub: {_first_line(error)}; required a connection, or a "
            f"folder with {_CONFIG}, {_PROCESSOR} and model.safetensors as `model`"
        ) from None
    if missing := _missing(folder):
        raise WeightsError(f"{settings.model} on the Hub: required {missing}, which reads without running code")
    return folder


def _missing(folder: Path) -> str | None:
    """The first of the required files that is not there."""
    return next((name for name in (_CONFIG, _PROCESSOR, _WEIGHTS) if not any(folder.glob(name))), None)


def _check_size(processor: Any, stride: int, path: Path) -> None:
    """Images must be stretched to one size that all levels divide; only then the network sees no padding."""
    size = {name: value for name, value in dict(processor.size).items() if value is not None}
    if set(size) != {"height", "width"} or not processor.do_resize or processor.do_pad:
        raise WeightsError(f"{path}: required `do_resize` to a height and a width, without `do_pad`; found {size}")
    if size["height"] % stride or size["width"] % stride:
        raise WeightsError(
            f"{path}: size: required multiples of {stride}, the largest stride; found {size['height']} x "
            f"{size['width']}"
        )


def _class_names(names: Mapping[int, str]) -> Mapping[int, str]:
    """None where the configuration has only placeholders."""
    if all(name == f"LABEL_{number}" for number, name in names.items()):
        return {}
    coco = len(names) == 80 and set(_COCO_NAMES) <= set(names.values())
    return {number: _COCO_NAMES.get(name, name) if coco else name for number, name in names.items()}


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Neither progress bars nor reports: what matters is raised."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def _errors(name: str, folder: Path) -> Iterator[None]:
    """Whatever the library raises about its files as one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise WeightsError(
            f"{name}: required a model that transformers can read, found {folder}: {_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")
