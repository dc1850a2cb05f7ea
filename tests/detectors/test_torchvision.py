"""Splitting a torchvision detector changes nothing."""

from collections.abc import Sequence
from typing import get_args

import pytest
import torch
from torch import Tensor

from fpnkit.config.schema import TorchvisionModel
from fpnkit.data.images import Category
from fpnkit.detectors.base import Detections
from fpnkit.detectors.torchvision import TorchvisionAdapter
from fpnkit.errors import PyramidError
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid
from tests.support.torchvision_detectors import detector, images

MODELS = get_args(TorchvisionModel)

# Transmitted levels and those that follow from them.
LEVELS = {
    "fasterrcnn_resnet50_fpn": (["p2", "p3", "p4", "p5"], ["p6"]),
    "fasterrcnn_resnet50_fpn_v2": (["p2", "p3", "p4", "p5"], ["p6"]),
    "fasterrcnn_mobilenet_v3_large_fpn": (["p5", "p5b"], ["p6"]),
    "fasterrcnn_mobilenet_v3_large_320_fpn": (["p5", "p5b"], ["p6"]),
    "fasterrcnn_mobilenet_v2_fpn": (["p3", "p4", "p5", "p5b"], ["p6"]),
    "retinanet_resnet50_fpn": (["p3", "p4", "p5"], ["p6", "p7"]),
    "retinanet_resnet50_fpn_v2": (["p3", "p4", "p5", "p6"], ["p7"]),  # P6 is made of the backbone's C5
    "fcos_resnet50_fpn": (["p3", "p4", "p5"], ["p6", "p7"]),
    "maskrcnn_resnet50_fpn": (["p2", "p3", "p4", "p5"], ["p6"]),
    "maskrcnn_resnet50_fpn_v2": (["p2", "p3", "p4", "p5"], ["p6"]),
    "keypointrcnn_resnet50_fpn": (["p2", "p3", "p4", "p5"], ["p6"]),
}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def split(adapter: TorchvisionAdapter, pictures: Sequence[Tensor]) -> list[Detections]:
    batch = adapter.prepare(pictures)
    return adapter.detect(adapter.complete(adapter.pyramid(batch)), batch.geometry)


def whole(adapter: TorchvisionAdapter, pictures: Sequence[Tensor]) -> list[dict[str, Tensor]]:
    with torch.no_grad():
        return adapter.module([picture.float() / 255 for picture in pictures])


def assert_same(split_results: list[Detections], whole_results: list[dict[str, Tensor]]) -> None:
    assert len(split_results) == len(whole_results)
    for ours, own in zip(split_results, whole_results, strict=True):
        assert len(own["boxes"]) >= 20
        assert torch.equal(ours.boxes, own["boxes"])
        assert torch.equal(ours.scores, own["scores"])
        assert torch.equal(ours.labels, own["labels"])
        for values, key in (
            (ours.masks, "masks"),
            (ours.keypoints, "keypoints"),
            (ours.keypoint_scores, "keypoints_scores"),
        ):
            assert (values is None) == (key not in own)
            assert values is None or torch.equal(values, own[key])


def test_every_model_of_the_schema_is_checked() -> None:
    assert sorted(LEVELS) == sorted(MODELS)


@pytest.mark.parametrize("model", MODELS)
def test_split_detector_gives_exactly_what_its_own_forward_gives(model: str) -> None:
    adapter = detector(model)
    pictures = images((90, 120), (140, 100))
    batch = adapter.prepare(pictures)
    transmitted, derived = LEVELS[model]

    pyramid = adapter.pyramid(batch)
    assert list(pyramid) == transmitted == list(adapter.spec.names)
    completed = adapter.complete(pyramid)
    assert list(completed) == transmitted + derived
    with torch.no_grad():
        own_levels = adapter.module.backbone(batch.pixels).values()
    assert all(torch.equal(*levels) for levels in zip(completed.values(), own_levels, strict=True))

    found = adapter.detect(completed, batch.geometry)
    assert_same(found, whole(adapter, pictures))
    assert all((image.masks is not None) == model.startswith("maskrcnn") for image in found)
    assert all((image.keypoints is not None) == model.startswith("keypointrcnn") for image in found)

    # Random heads do see the features: others give other boxes.
    noise = Pyramid({name: level[:1] + torch.randn_like(level[:1]) for name, level in completed.items()})
    assert not torch.equal(adapter.detect(noise, batch.geometry[:1])[0].boxes, found[0].boxes)


def test_levels_get_channels_and_strides_from_real_shapes() -> None:
    spec = detector("fasterrcnn_mobilenet_v2_fpn").spec

    assert [(level.name, level.channels, level.stride) for level in spec.levels] == [
        ("p3", 256, 8),
        ("p4", 256, 16),
        ("p5", 256, 32),
        ("p5b", 256, 32),
    ]


def test_geometry_tells_where_each_image_lies() -> None:
    batch = detector().prepare(images((60, 80), (200, 100)))

    assert batch.pixels.shape == (2, 3, 160, 128)
    assert batch.geometry == (
        ImageGeometry(original=(60, 80), content=(96, 128), canvas=(160, 128)),
        ImageGeometry(original=(200, 100), content=(160, 80), canvas=(160, 128)),  # the longer side limits
    )


def test_detections_do_not_depend_on_the_images_seen_before() -> None:
    adapter, fresh = detector(min_size=33), detector(min_size=33)
    fresh.module.load_state_dict(adapter.module.state_dict())
    flat, tall = images((33, 160), (160, 33))

    split(adapter, [flat])  # of its padded canvas of 64 rows RoI pooling infers another scale

    assert torch.equal(split(adapter, [tall])[0].scores, split(fresh, [tall])[0].scores)


def test_labels_are_category_ids() -> None:
    own_labels = detector(classes=2)
    categories = (Category(7, "dog"), Category(3, "cat"))
    adapter = TorchvisionAdapter(own_labels.module, own_labels.name, categories)
    pictures = images((90, 120), (140, 100))

    found, own = split(adapter, pictures), whole(adapter, pictures)

    assert [image.labels.tolist() for image in found] == [
        [{1: 7, 2: 3}[int(label)] for label in image["labels"]] for image in own
    ]


def test_a_wrong_pyramid_is_refused_before_the_heads() -> None:
    adapter = detector()
    with pytest.raises(PyramidError) as error:
        adapter.complete(Pyramid({"p5": torch.zeros(1, 256, 4, 4)}))

    assert str(error.value) == (
        "pyramid: required p5 256 channels at stride 32, p5b 256 channels at stride 32; found p5 256 channels"
    )


def test_adapter_evaluates_a_module_in_training_without_touching_its_statistics() -> None:
    module = detector().module.train()
    before = {name: value.clone() for name, value in module.state_dict().items()}

    adapter = TorchvisionAdapter(module, "trained")
    split(adapter, images((90, 120)))

    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not module.training


def test_features_carry_no_gradient_and_can_be_trained_on() -> None:
    adapter = detector()
    level = adapter.pyramid(adapter.prepare(images((90, 120))))["p5"]
    weight = torch.ones((), requires_grad=True)

    (level * weight).sum().backward()  # inference tensors would refuse

    assert not level.requires_grad
    assert weight.grad is not None


def test_fingerprint_follows_weights_and_preprocessing() -> None:
    torch.manual_seed(1)
    adapter = detector()
    torch.manual_seed(1)
    twin = detector()
    torch.manual_seed(1)
    other_size = detector(min_size=128)
    first = adapter.fingerprint()

    assert first == adapter.fingerprint() == twin.fingerprint()
    assert first != other_size.fingerprint()
    with torch.no_grad():
        next(twin.module.backbone.parameters()).view(-1)[0] += 1e-3
    assert first != twin.fingerprint()


def test_fingerprint_follows_the_epsilon_of_normalization() -> None:
    adapter = detector()
    first = adapter.fingerprint()
    next(part for part in adapter.module.modules() if hasattr(part, "eps")).eps = 0.0

    assert first != adapter.fingerprint()


def test_fingerprint_ignores_what_comes_after_the_pyramid() -> None:
    adapter = detector()
    first = adapter.fingerprint()
    adapter.module.roi_heads.score_thresh = 0.5

    assert first == adapter.fingerprint()
