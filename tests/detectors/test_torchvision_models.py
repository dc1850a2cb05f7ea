"""Weights, classes and frozen layers of torchvision's detectors."""

from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from torch import nn
from torchvision.models import get_model, get_model_weights, mobilenet_v2, mobilenet_v3_large
from torchvision.ops.misc import FrozenBatchNorm2d

from fpnkit.config.schema import TorchvisionDetector
from fpnkit.data.images import Category
from fpnkit.detectors.torchvision import TorchvisionModule
from fpnkit.detectors.torchvision_models import build_torchvision, build_trainable_torchvision
from fpnkit.errors import WeightsError

SMALL = "fasterrcnn_mobilenet_v3_large_320_fpn"
ANIMALS = (Category(7, "dog"), Category(3, "cat"))


def settings(model: str = SMALL, weights: str | None = None, **others: Any) -> TorchvisionDetector:
    return TorchvisionDetector(kind="torchvision", model=model, weights=weights, **others)


def untrained(model: str, **others: Any) -> TorchvisionModule:
    return get_model(model, weights=None, weights_backbone=None, **others).eval()


def same_state(module: nn.Module, other: nn.Module) -> bool:
    state, expected = module.state_dict(), other.state_dict()
    return state.keys() == expected.keys() and all(torch.equal(state[key], expected[key]) for key in state)


# --- torchvision's own weights ------------------------------------------------------------------------------------


def place_as_downloaded(monkeypatch: pytest.MonkeyPatch, home: Path, model: str) -> Path:
    """A file of random weights where torchvision keeps what it has downloaded, shaped as its own: frozen BatchNorm."""
    monkeypatch.setenv("TORCH_HOME", str(home))
    path = home / "hub" / "checkpoints" / get_model_weights(model)["COCO_V1"].url.rsplit("/", 1)[-1]
    path.parent.mkdir(parents=True)
    module = untrained(model)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_var, 0.5, 1.5)
    state = {key: value for key, value in module.state_dict().items() if not key.endswith("num_batches_tracked")}
    torch.save(state, path)
    return path


@pytest.mark.parametrize("model", ["retinanet_resnet50_fpn", "fasterrcnn_mobilenet_v3_large_fpn"])
def test_named_weights_give_torchvisions_own_detector_and_so_does_their_file(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RetinaNet's are run with another epsilon of BatchNorm, which only the name tells."""
    torch.manual_seed(0)
    path = place_as_downloaded(monkeypatch, tmp_path, model)
    own = get_model(model, weights="COCO_V1").eval()
    noise = torch.randn(1, 3, 128, 128)

    for weights in ("COCO_V1", "DEFAULT", str(path)):
        detector = build_torchvision(settings(model, weights))
        ours = detector.module
        assert detector.class_names.get(90) == (None if weights == str(path) else "toothbrush")
        assert same_state(ours, own)
        with torch.no_grad():
            for level, expected in zip(ours.backbone(noise).values(), own.backbone(noise).values(), strict=True):
                assert torch.equal(level, expected)


def test_input_size_and_thresholds_are_torchvisions_unless_set() -> None:
    default = build_torchvision(settings("fcos_resnet50_fpn")).module
    smaller = build_torchvision(settings("fcos_resnet50_fpn", min_size=320, max_size=500, score_threshold=0.3)).module

    assert (default.transform.min_size, default.transform.max_size, default.score_thresh) == ((800,), 1333, 0.05)
    assert (smaller.transform.min_size, smaller.transform.max_size, smaller.score_thresh) == ((320,), 500, 0.3)


def test_unknown_name_lists_torchvisions_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path))
    base = tmp_path / "checkpoints" / "detection"
    base.mkdir(parents=True)

    with pytest.raises(WeightsError) as error:
        build_torchvision(settings("keypointrcnn_resnet50_fpn", "IMAGENET1K_V1"))

    assert str(error.value) == (
        "weights `IMAGENET1K_V1`: required COCO_LEGACY, COCO_V1, DEFAULT, a file (.pth, .pt, .safetensors) or a run "
        f"under {base}; found none of them: run 'IMAGENET1K_V1': no run in {base} has this in its name"
    )


def test_torchvision_has_no_weights_for_the_mobilenet_v2_detector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path))
    base = tmp_path / "checkpoints" / "detection"
    base.mkdir(parents=True)

    with pytest.raises(WeightsError) as error:
        build_torchvision(settings("fasterrcnn_mobilenet_v2_fpn", "DEFAULT"))

    assert str(error.value) == (
        f"weights `DEFAULT`: required a file (.pth, .pt, .safetensors) or a run under {base}; "
        f"found none of them: run 'DEFAULT': no run in {base} has this in its name"
    )


def test_failing_download_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)

    with pytest.raises(WeightsError) as error:
        build_torchvision(settings("fcos_resnet50_fpn", "DEFAULT"))

    name = "fcos_resnet50_fpn_coco-99b0c9b7.pth"
    assert str(error.value) == (
        f"fcos_resnet50_fpn: cannot download https://download.pytorch.org/models/{name}: Name or service not known; "
        "required a connection, or the file from elsewhere, "
        f"placed at {tmp_path}/hub/checkpoints/{name} or named in the configuration"
    )


# --- files and runs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [SMALL, "fcos_resnet50_fpn", "retinanet_resnet50_fpn_v2"])
def test_number_of_classes_is_read_from_the_weights(model: str, tmp_path: Path) -> None:
    module = untrained(model, num_classes=6)
    torch.save(module.state_dict(), tmp_path / "weights.pth")

    assert same_state(build_torchvision(settings(model, str(tmp_path / "weights.pth"))).module, module)


def test_weights_of_another_detector_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"conv.weight": torch.zeros(1), "conv.bias": torch.zeros(1)}, path)
    needed = sum(not key.endswith("num_batches_tracked") for key in untrained(SMALL).state_dict())

    with pytest.raises(WeightsError) as error:
        build_torchvision(settings(SMALL, str(path)))

    assert str(error.value) == (
        f"{path} does not fit {SMALL}: {needed} keys missing (backbone.body.0.0.weight, backbone.body.0.1.weight, "
        "backbone.body.0.1.bias, …); 2 keys unexpected (conv.weight, conv.bias)"
    )


def test_weights_for_other_classes_than_asked_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(untrained(SMALL, num_classes=3).state_dict(), path)

    with pytest.raises(WeightsError) as error:
        build_torchvision(settings(SMALL, str(path), classes=4))

    head = "roi_heads.box_predictor"
    assert str(error.value) == (
        f"{path} does not fit {SMALL}: 4 keys of another shape ({head}.cls_score.weight required 5x1024, "
        f"found 3x1024, {head}.cls_score.bias required 5, found 3, {head}.bbox_pred.weight required 20x1024, "
        "found 12x1024, …)"
    )


def save_checkpoint(path: Path, module: nn.Module, **detector: Any) -> None:
    torch.save(
        {
            "schema_version": 1,
            "kind": "detection",
            "config": {"detector": detector},
            "state_dict": module.state_dict(),
            "categories": [[category.id, category.name] for category in ANIMALS],
            "epoch": 1,
            "loss": 1.0,
            "metrics": {},
        },
        path,
    )


def test_checkpoint_is_used_with_its_categories_and_its_input_size(tmp_path: Path) -> None:
    trained = build_trainable_torchvision(settings(min_size=160, max_size=200), ANIMALS)
    save_checkpoint(tmp_path / "best_model.pth", trained, min_size=160, max_size=200)
    path = str(tmp_path / "best_model.pth")

    as_trained = build_torchvision(settings(weights=path, score_threshold=0.0))
    larger = build_torchvision(settings(weights=path, min_size=240))

    assert same_state(as_trained.module, trained)
    assert (as_trained.module.transform.min_size, as_trained.module.transform.max_size) == ((160,), 200)
    assert (larger.module.transform.min_size, larger.module.transform.max_size) == ((240,), 200)
    as_trained.module.rpn.score_thresh = 0.0
    batch = as_trained.prepare([torch.randint(0, 256, (3, 160, 160), dtype=torch.uint8)])
    found = as_trained.detect(as_trained.complete(as_trained.pyramid(batch)), batch.geometry)
    assert set(found[0].labels.tolist()) <= {7, 3}
    assert len(found[0].labels) > 0


def test_backbone_weights_are_for_training_only() -> None:
    with pytest.raises(WeightsError) as error:
        build_torchvision(settings(backbone_weights="IMAGENET1K_V1"))
    assert str(error.value) == (
        f"{SMALL}: `backbone_weights` are for training a detector; required null, found `IMAGENET1K_V1`"
    )


# --- training -----------------------------------------------------------------------------------------------------


def trainable_parts(module: TorchvisionModule) -> set[str]:
    return {name.split(".")[0] for name, value in module.backbone.body.named_parameters() if value.requires_grad}


def losses(module: TorchvisionModule) -> dict[str, torch.Tensor]:
    targets = [{"boxes": torch.tensor([[10.0, 10.0, 90.0, 90.0]]), "labels": torch.tensor([2])}] * 2
    return module([torch.rand(3, 90, 100), torch.rand(3, 100, 90)], targets)


def test_untrained_start_trains_everything() -> None:
    module = build_trainable_torchvision(settings(min_size=96), ANIMALS)

    assert module.training
    assert all(parameter.requires_grad for parameter in module.parameters())
    sum(losses(module).values()).backward()
    assert module.roi_heads.box_predictor.cls_score.out_features == 3


def test_start_from_a_classifier_loads_the_body_and_freezes_its_beginning(tmp_path: Path) -> None:
    classifier = mobilenet_v3_large(weights=None)
    path = tmp_path / "mobilenet_v3_large.pth"
    torch.save(classifier.state_dict(), path)

    module = build_trainable_torchvision(settings(min_size=96, backbone_weights=str(path)), ANIMALS)

    body = module.backbone.body.state_dict()
    expected = {key: value for key, value in classifier.features.state_dict().items() if "num_batches" not in key}
    assert body.keys() == expected.keys()
    assert all(torch.equal(body[key], expected[key]) for key in body)
    assert trainable_parts(module) == {str(number) for number in range(4, 17)}
    before = {name: value.clone() for name, value in module.backbone.body.named_buffers()}
    sum(losses(module).values()).backward()
    assert all(torch.equal(value, before[name]) for name, value in module.backbone.body.named_buffers())


def test_torchvisions_file_of_mobilenet_v2_starts_its_detector(real_data: Path) -> None:
    path = real_data / "weights" / "mobilenet_v2-b0353104.pth"
    module = build_trainable_torchvision(
        settings("fasterrcnn_mobilenet_v2_fpn", min_size=96, backbone_weights=str(path)), ANIMALS
    )
    classifier = mobilenet_v2(weights=None)
    classifier.load_state_dict(torch.load(path, weights_only=True))
    noise = torch.randn(1, 3, 96, 96)

    with torch.no_grad():
        level = module.backbone.body(noise)["3"]
        expected = classifier.eval().features(noise)

    torch.testing.assert_close(level, expected, rtol=1e-4, atol=1e-4)  # other order of the same sums
    assert trainable_parts(module) == {str(number) for number in range(4, 19)}
    assert any(isinstance(part, FrozenBatchNorm2d) for part in module.backbone.body.modules())


def test_start_from_a_detector_of_other_classes_keeps_all_but_the_class_layers(tmp_path: Path) -> None:
    source = untrained(SMALL, num_classes=91)
    torch.save(source.state_dict(), tmp_path / "weights.pth")

    module = build_trainable_torchvision(settings(weights=str(tmp_path / "weights.pth"), min_size=96), ANIMALS)

    state, expected = module.state_dict(), source.state_dict()
    changed = {key for key in state if state[key].shape != expected[key].shape}
    assert changed == {
        f"roi_heads.box_predictor.{key}"
        for key in ("cls_score.weight", "cls_score.bias", "bbox_pred.weight", "bbox_pred.bias")
    }
    assert all(torch.equal(state[key], expected[key]) for key in state.keys() - changed)
    sum(losses(module).values()).backward()


def test_two_starts_are_refused() -> None:
    with pytest.raises(WeightsError) as error:
        build_trainable_torchvision(settings(weights="DEFAULT", backbone_weights="IMAGENET1K_V1"), ANIMALS)
    assert str(error.value) == (
        f"{SMALL}: required one source of initial weights, found two: `weights: DEFAULT` and "
        "`backbone_weights: IMAGENET1K_V1`; set one of them to null"
    )


def test_other_number_of_classes_than_the_training_set_has_is_refused() -> None:
    with pytest.raises(WeightsError) as error:
        build_trainable_torchvision(settings(classes=5), ANIMALS)
    assert str(error.value) == (f"{SMALL}: `classes`: required null or 2, the categories of the training set; found 5")
