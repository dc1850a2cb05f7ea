"""`fpnkit detectors check`: detectors that are in order, and each thing that can be wrong with one."""

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

import fpnkit as fk
from fpnkit.config.schema import ShapesDetector
from fpnkit.data.shapes import ShapesSet
from fpnkit.detectors.__main__ import main
from fpnkit.detectors.base import Detections, ImageBatch
from fpnkit.detectors.check import check_detector
from fpnkit.detectors.shapes_fcos import build_shapes_fcos
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec

IMAGES = [ShapesSet(2, 0)[index].image for index in range(2)]
SIDE = IMAGES[0].shape[1]


class Mean(torch.nn.Module):
    """One level; finds two boxes in each image, the whole and a half."""

    spec = PyramidSpec((LevelSpec("p2", 3, 4),))
    class_names: ClassVar = {1: "all", 2: "half"}
    labels = (1, 2)

    def __init__(self) -> None:
        super().__init__()
        self.module = torch.nn.Linear(1, 1)

    def prepare(self, images: list[Tensor]) -> ImageBatch:
        size = SIDE, SIDE
        return ImageBatch(torch.stack(images) / 255, tuple(ImageGeometry(size, size, size) for _ in images))

    def pyramid(self, batch: ImageBatch) -> Pyramid:
        return Pyramid({"p2": torch.nn.functional.avg_pool2d(batch.pixels, 4)})

    def complete(self, pyramid: Pyramid) -> Pyramid:
        return pyramid

    def detect(self, pyramid: Pyramid, geometry: tuple[ImageGeometry, ...]) -> list[Detections]:
        boxes = torch.tensor([[0.0, 0, SIDE, SIDE], [0, 0, SIDE, SIDE / 2]])
        scores = [torch.stack([mean, mean / 2]) for mean in pyramid["p2"].mean((1, 2, 3))]
        return [Detections(boxes, score, torch.tensor(self.labels)) for score in scores]

    def whole(self, images: list[Tensor]) -> list[Detections]:
        batch = self.prepare(images)
        return self.detect(self.pyramid(batch), batch.geometry)

    def fingerprint(self) -> str:
        return f"{self.module.weight.item():.6f}" * 4


def problems(detector: Any) -> dict[str, str]:
    report = fk.check(detector, IMAGES)
    assert report.ok == all(finding.ok is not False for finding in report.findings)
    return {finding.title: finding.text for finding in report.findings if finding.ok is False}


def test_the_built_in_detector_is_in_order() -> None:
    report = check_detector(build_shapes_fcos(ShapesDetector(kind="shapes_fcos")), IMAGES)
    assert {finding.title: finding.ok for finding in report.findings} == {
        **dict.fromkeys(
            ("pyramid", "geometry", "detections", "batches", "classes", "fingerprint", "heads", "speed"), True
        ),
        "own forward pass": None,
    }
    assert str(report).startswith("shapes_fcos: in order\n  ok         pyramid ")


def test_any_object_can_be_tried() -> None:
    report = fk.check(Mean(), IMAGES)
    assert report.ok, report
    assert report.detector == "Mean"
    texts = {finding.title: finding.text for finding in report.findings}
    assert texts["own forward pass"] == "equal in 2 images"
    assert texts["batches"] == "the same for 2 images alone and together"
    assert texts["heads"].startswith("no method `heads`")


def changed(**members: Any) -> Any:
    return type("Mean", (Mean,), members)()


def detecting(change: Any) -> Any:
    def detect(self: Mean, pyramid: Pyramid, geometry: tuple[ImageGeometry, ...]) -> list[Detections]:
        return [change(one) for one in Mean.detect(self, pyramid, geometry)]

    return changed(detect=detect)


def test_boxes_scores_and_labels_that_cannot_be() -> None:
    moved = problems(detecting(lambda one: replace(one, boxes=one.boxes + 5)))
    text = f"image 0: required boxes inside {SIDE} x {SIDE} pixels, found [5.0, 5.0, {SIDE + 5}.0, {SIDE + 5}.0]"
    assert moved == {"detections": text}
    turned = problems(detecting(lambda one: replace(one, boxes=one.boxes[:, [2, 1, 0, 3]])))
    text = "image 0: required left, top, right, bottom; found a box whose right is left of its left"
    assert turned == {"detections": text}
    rising = problems(detecting(lambda one: replace(one, scores=one.scores.flip(0))))
    assert rising == {"detections": "image 0: required the best first, found scores that rise"}
    large = problems(detecting(lambda one: replace(one, scores=one.scores + torch.tensor([9.0, 0]))))
    assert large["detections"].startswith("image 0: required scores from 0 to 1, found ")
    assert problems(changed(labels=(1, 7))) == {"classes": "required labels that have a name, from 1 to 2; found [7]"}
    none = problems(detecting(lambda one: Detections(one.boxes[:0], one.scores[:0], one.labels[:0])))
    assert none == {"detections": "required at least one in 2 images, found none"}


def test_two_halves_that_are_not_the_whole() -> None:
    def whole(self: Mean, images: list[Tensor]) -> list[Detections]:
        return [replace(one, scores=one.scores * 0.99) for one in Mean.whole(self, images)]

    found = problems(changed(whole=whole))["own forward pass"]
    assert found.startswith(
        "image 0: required exactly its boxes and scores, found boxes up to 0 pixels and scores up to "
    )


def test_images_that_change_each_other() -> None:
    def pyramid(self: Mean, batch: ImageBatch) -> Pyramid:
        return Pyramid({"p2": Mean.pyramid(self, batch)["p2"] / len(batch.pixels)})

    assert problems(changed(pyramid=pyramid))["batches"].startswith("image 0: required the same alone and with others")


def test_levels_and_geometry_that_do_not_fit() -> None:
    assert problems(changed(spec=PyramidSpec((LevelSpec("p3", 3, 8),))))["pyramid"].endswith("found p2 3 channels")
    fine = problems(changed(spec=PyramidSpec((LevelSpec("p2", 3, 16),))))["pyramid"]
    assert fine == f"p2: required about {SIDE // 16} x {SIDE // 16} of stride 16, found {SIDE // 4} x {SIDE // 4}"

    def prepare(self: Mean, images: list[Tensor]) -> ImageBatch:
        batch = Mean.prepare(self, images)
        return ImageBatch(batch.pixels, tuple(replace(place, original=(1, 2)) for place in batch.geometry))

    text = f"original: required {SIDE} x {SIDE}, as the image is; found 1 x 2"
    assert problems(changed(prepare=prepare))["geometry"] == text


def test_weights_that_follow_along() -> None:
    def pyramid(self: Mean, batch: ImageBatch) -> Pyramid:
        return Pyramid({"p2": Mean.pyramid(self, batch)["p2"] + 0 * self.module.weight})

    assert (
        problems(changed(pyramid=pyramid))["pyramid"] == "p2: required values without a gradient, found some with one"
    )


def test_a_fingerprint_that_fails_leaves_the_weights_as_they_were() -> None:
    class Fails(Mean):
        def fingerprint(self) -> str:
            if self.module.weight.item() > 1:
                raise RuntimeError("too large")
            return super().fingerprint()

    detector = Fails()
    before = detector.module.weight.item()
    detector.module.weight.data.fill_(0.5)
    assert problems(detector) == {"fingerprint": "required no error, found RuntimeError: too large"}
    assert detector.module.weight.item() == 0.5 != before


def test_fingerprints_that_say_nothing() -> None:
    found = problems(changed(fingerprint=lambda self: "the same old one"))
    assert found == {"fingerprint": "required another one for other weights, found the same old one for both"}


def test_errors_of_its_own_code_are_findings() -> None:
    def detect(self: Mean, pyramid: Pyramid, geometry: object) -> list[Detections]:
        raise KeyError("p9")

    found = problems(changed(detect=detect))
    assert found["detections"] == "required no error, found KeyError: 'p9'"


def test_the_command_says_and_draws_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "task: fpn_compression\ndetector: {kind: shapes_fcos}\ndata: {train: {kind: shapes, images: 4}}\n"
        "loss: {lambda: 1}\ntraining: {epochs: 1}\n"
    )
    picture = tmp_path / "found.png"
    assert main(["check", "--config", str(config), "--images", "2", "-o", str(picture)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "shapes_fcos: in order"
    assert said[-1] == f"picture: {picture}"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main(["check", "--config", str(config), "--images", "0"]) == 2
    assert capsys.readouterr().err == "fpnkit.detectors: --images: required at least 1, found 0\n"
