"""NanoDet-m: the split, the letterbox, and its accuracy on real images."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fpnkit.config.schema import NanodetDetector
from fpnkit.detectors.nanodet import Nanodet, NanodetAdapter, build_nanodet, decode
from fpnkit.errors import WeightsError
from fpnkit.geometry import ImageGeometry
from fpnkit.metrics.coco_format import GroundTruth
from fpnkit.metrics.detection import average_precision
from fpnkit.pyramid import Pyramid


@pytest.fixture
def adapter() -> NanodetAdapter:
    """Random weights, no threshold."""
    torch.manual_seed(0)
    return NanodetAdapter(Nanodet(), score_threshold=0.0)


def noise(*sizes: tuple[int, int]) -> list[torch.Tensor]:
    return [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for size in sizes]


def test_levels(adapter: NanodetAdapter) -> None:
    pyramid = adapter.pyramid(adapter.prepare(noise((200, 300))))

    adapter.spec.check(pyramid)
    assert str(adapter.spec) == ("p3 96 channels at stride 8, p4 96 channels at stride 16, p5 96 channels at stride 32")
    assert pyramid.sizes == {"p3": (40, 40), "p4": (20, 20), "p5": (10, 10)}


def test_best_detection_is_the_best_cell_of_the_whole_network(adapter: NanodetAdapter) -> None:
    batch = adapter.prepare(noise((90, 120), (140, 100)))
    with torch.no_grad():
        scores, boxes = decode(adapter.module(batch.pixels))

    found = adapter.detect(adapter.complete(adapter.pyramid(batch)), batch.geometry)

    for image, own_scores, own_boxes, place in zip(found, scores, boxes, batch.geometry, strict=True):
        assert len(image.boxes) == 100
        assert image.scores[0] == own_scores.max()
        cell = int(own_scores.max(dim=1).values.argmax())
        (top, left), (height, width) = place.offset, place.content
        scale = torch.tensor([place.original[1] / width, place.original[0] / height] * 2)
        expected = (own_boxes[cell].clamp(0, 320) - torch.tensor([left, top, left, top])) * scale
        limits = torch.tensor([place.original[1], place.original[0]] * 2)
        torch.testing.assert_close(image.boxes[0], expected.clamp(torch.zeros(4), limits))


def test_split_network_gives_exactly_what_the_whole_gives(adapter: NanodetAdapter) -> None:
    batch = adapter.prepare(noise((90, 120), (140, 100)))
    pyramid = adapter.complete(adapter.pyramid(batch))

    with torch.no_grad():
        pairs = zip(adapter.module.head(list(pyramid.values())), adapter.module(batch.pixels), strict=True)

    assert all(torch.equal(split, whole) for split, whole in pairs)


def test_image_is_centerd_on_black_in_the_order_of_the_published_network(adapter: NanodetAdapter) -> None:
    red = torch.zeros(3, 160, 320, dtype=torch.uint8)
    red[0] = 255

    batch = adapter.prepare([red])

    assert batch.geometry == (ImageGeometry((160, 320), (160, 320), (320, 320), (80, 0)),)
    black = torch.tensor([-103.53 / 57.375, -116.28 / 57.12, -123.675 / 58.395])
    torch.testing.assert_close(batch.pixels[0, :, 79, 5], black)
    torch.testing.assert_close(batch.pixels[0, :, 240, 5], black)
    inside = black.clone()
    inside[2] = (255 - 123.675) / 58.395  # red is the last channel
    torch.testing.assert_close(batch.pixels[0, :, 80, 5], inside)
    torch.testing.assert_close(batch.pixels[0, :, 239, 319], inside)


@pytest.mark.parametrize(("size", "content"), [((480, 640), (240, 320)), ((1, 1000), (1, 320)), ((333, 17), (320, 16))])
def test_letterbox_keeps_the_aspect_ratio(
    adapter: NanodetAdapter, size: tuple[int, int], content: tuple[int, int]
) -> None:
    geometry = adapter.prepare(noise(size)).geometry[0]

    assert geometry.content == content
    assert geometry.offset == ((320 - content[0]) // 2, (320 - content[1]) // 2)


def test_distances_are_expectations_in_strides_from_the_cell_center() -> None:
    outputs = [torch.zeros(1, 112, side, side) for side in (40, 20, 10)]
    outputs[1][0, 7, 3, 5] = 4.0  # class 7 in row 3, column 5 of stride 16
    for side, steps in enumerate((1, 2, 3, 7)):  # left, top, right, bottom
        outputs[1][0, 80 + 8 * side + steps, 3, 5] = 100.0

    scores, boxes = decode(outputs)

    cell = 1600 + 3 * 20 + 5
    assert scores[0, cell].argmax() == 7
    torch.testing.assert_close(scores[0, cell, 7], torch.sigmoid(torch.tensor(4.0)))
    torch.testing.assert_close(boxes[0, cell], torch.tensor([88.0 - 16, 56.0 - 32, 88.0 + 48, 56.0 + 112]))
    torch.testing.assert_close(boxes[0, 0], torch.tensor([4 - 28.0, 4 - 28.0, 4 + 28.0, 4 + 28.0]))  # 3.5 strides


def test_nms_is_within_a_class_and_labels_are_coco_ids(adapter: NanodetAdapter) -> None:
    class Fixed(torch.nn.Module):
        def forward(self, levels: list[torch.Tensor]) -> list[torch.Tensor]:
            outputs = [torch.full((1, 112, *level.shape[-2:]), -100.0) for level in levels]
            for output in outputs:
                output[:, 80:] = 0
            outputs[0][0, [0, 0], [20, 20], [20, 21]] = torch.tensor([2.0, 1.0])  # overlapping, both person
            outputs[0][0, 79, 20, 20] = 0.0  # the same place, toothbrush
            return outputs

    adapter = NanodetAdapter(adapter.module, score_threshold=0.05)
    batch = adapter.prepare(noise((320, 320)))
    pyramid = adapter.pyramid(batch)
    adapter.module.head = Fixed()

    found = adapter.detect(pyramid, batch.geometry)[0]

    assert found.labels.tolist() == [1, 90]
    torch.testing.assert_close(found.scores, torch.sigmoid(torch.tensor([2.0, 0.0])))


def test_fingerprint_follows_the_weights(adapter: NanodetAdapter) -> None:
    first = adapter.fingerprint()
    assert first == adapter.fingerprint()
    with torch.no_grad():
        adapter.module.backbone.conv1[0].weight[0, 0, 0, 0] += 1e-3
    assert first != adapter.fingerprint()


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    state = Nanodet().state_dict()
    torch.save({key: value for key, value in state.items() if not key.startswith("fpn.")}, path)

    with pytest.raises(WeightsError) as error:
        build_nanodet(NanodetDetector(kind="nanodet_m", weights=str(path)))

    assert str(error.value) == (
        f"{path} does not fit nanodet_m: 6 keys missing (fpn.lateral_convs.0.conv.weight, "
        "fpn.lateral_convs.0.conv.bias, fpn.lateral_convs.1.conv.weight, …)"
    )


def test_keys_may_have_the_prefix_of_a_training_checkpoint(tmp_path: Path) -> None:
    path, module = tmp_path / "nanodet.pth", Nanodet()
    torch.save({"state_dict": {f"model.{key}": value for key, value in module.state_dict().items()}}, path)

    loaded = build_nanodet(NanodetDetector(kind="nanodet_m", weights=str(path))).module

    assert all(torch.equal(value, module.state_dict()[key]) for key, value in loaded.state_dict().items())


def test_published_weights_reach_their_accuracy_on_real_images(real_data: Path) -> None:
    """On this subset of COCO val2017 the published network has AP 23.9."""
    folder = real_data / "coco-val206"
    annotations = json.loads((folder / "annotations.json").read_text())
    weights = str(real_data / "weights" / "nanodet_m.pth")
    adapter = build_nanodet(NanodetDetector(kind="nanodet_m", weights=weights))
    truth, detections = [], []
    for entry in annotations["images"]:
        with Image.open(folder / "images" / entry["file_name"]) as image:
            pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
        batch = adapter.prepare([pixels])
        pyramid: Pyramid = adapter.complete(adapter.pyramid(batch))
        detections += adapter.detect(pyramid, batch.geometry)
        objects = [one for one in annotations["annotations"] if one["image_id"] == entry["id"]]
        boxes = torch.tensor([one["bbox"] for one in objects], dtype=torch.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        labels = torch.tensor([one["category_id"] for one in objects], dtype=torch.int64)
        crowd = torch.tensor([bool(one["iscrowd"]) for one in objects], dtype=torch.bool)
        truth.append(GroundTruth(entry["id"], boxes, labels, crowd))

    scores = average_precision(truth, detections)

    assert scores.map == pytest.approx(0.239, abs=0.001)
