"""Raw outputs of the heads: a distance between pyramids that a codec can be trained for."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor
from torchvision.models.detection.roi_heads import RoIHeads

from fpnkit.config.schema import ShapesDetector
from fpnkit.detectors.base import DetectorWithHeads, HeadOutputs, Places
from fpnkit.detectors.nanodet import Nanodet, NanodetAdapter
from fpnkit.detectors.shapes_fcos import build_shapes_fcos
from fpnkit.detectors.torchvision import TorchvisionAdapter
from fpnkit.detectors.torchvision_heads import logits_of_mean
from fpnkit.geometry import ImageGeometry
from fpnkit.metrics.heads import head_distance
from fpnkit.pyramid import Pyramid
from tests.support.detr import DETRS, detr
from tests.support.torchvision_detectors import SMALL, calibrate_batch_norm, detector, images

FCOS, RETINANET, RETINANET_V2 = "fcos_resnet50_fpn", "retinanet_resnet50_fpn", "retinanet_resnet50_fpn_v2"
MASKS, KEYPOINTS = "maskrcnn_resnet50_fpn", "keypointrcnn_resnet50_fpn"
TWO_STAGES = (SMALL, MASKS, KEYPOINTS)
ALL = ("shapes_fcos", "nanodet_m", FCOS, RETINANET, RETINANET_V2, *TWO_STAGES, *DETRS)


@dataclass(frozen=True)
class Case:
    """A detector and what it says about two images in canvases of one size."""

    detector: DetectorWithHeads
    pyramid: Pyramid
    geometry: Sequence[ImageGeometry]
    outputs: HeadOutputs

    @property
    def torchvision(self) -> TorchvisionAdapter:
        assert isinstance(self.detector, TorchvisionAdapter)
        return self.detector

    def noisy(self, amount: float, *names: str, seed: int = 0) -> Pyramid:
        """Noise of so many deviations on these levels, on all if none is named."""
        generator = torch.Generator().manual_seed(seed)
        levels = {}
        for name, level in self.pyramid.items():
            noise = torch.randn(level.shape, generator=generator) * level.std()
            levels[name] = level + amount * noise if name in names or not names else level
        return Pyramid(levels)

    def distance(self, decoded: Pyramid) -> Tensor:
        """(batch,) the sum of all terms."""
        outputs = self.detector.heads(decoded, self.geometry, self.outputs)
        return torch.stack(list(head_distance(self.outputs, outputs).values())).sum(0)


every = pytest.mark.parametrize("one", ALL, indirect=True, scope="module")
two_stages = pytest.mark.parametrize("one", TWO_STAGES, indirect=True, scope="module")
small = pytest.mark.parametrize("one", [SMALL], indirect=True, scope="module")


@pytest.fixture(scope="module")
def one(request: pytest.FixtureRequest) -> Case:
    """One detector after the other goes through all tests, so that one at a time is in memory."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    adapter = built(request.param)
    batch = adapter.prepare(images((90, 120), (96, 110)))
    pyramid = adapter.pyramid(batch)
    with torch.no_grad():
        return Case(adapter, pyramid, batch.geometry, adapter.heads(pyramid, batch.geometry))


def built(name: str) -> DetectorWithHeads:
    if name == "shapes_fcos":
        return build_shapes_fcos(ShapesDetector(kind="shapes_fcos"))
    if name == "nanodet_m":
        module = Nanodet()
        calibrate_batch_norm(module)
        for layer in module.head.gfl_cls:
            torch.nn.init.normal_(layer.weight, std=0.2)
        return NanodetAdapter(module, score_threshold=0.05)
    if name in DETRS:
        return detr(name)
    adapter = detector(name)
    if name in TWO_STAGES:
        adapter.module.rpn._post_nms_top_n = {"testing": 20}
        adapter.module.roi_heads.detections_per_img = 3  # heads of masks and keypoints are slow
    return adapter


def places(outputs: HeadOutputs, name: str) -> Places:
    found = outputs[name].places
    assert found is not None
    return found


# --- the distance -------------------------------------------------------------------------------------------------


@every
def test_equal_pyramids_have_no_distance(one: Case) -> None:
    assert one.distance(one.pyramid).tolist() == [0, 0]


@every
def test_the_distance_grows_with_noise_on_each_level(one: Case) -> None:
    with torch.no_grad():
        for level in one.pyramid:
            small, middle, large = (one.distance(one.noisy(amount, level)) for amount in (0.01, 0.1, 1.0))
            assert (small > 1e-5).all()
            assert (middle > 1.5 * small).all()
            assert (large > 1.1 * middle).all()


@every
def test_the_gradient_reaches_every_level_and_lowers_the_distance(one: Case) -> None:
    levels = {level: values.requires_grad_() for level, values in one.noisy(0.1).items()}
    cost = one.distance(Pyramid(levels))
    gradients = dict(zip(levels, torch.autograd.grad(cost.sum(), list(levels.values())), strict=True))
    for level, gradient in gradients.items():
        assert gradient.isfinite().all()
        assert (gradient.flatten(1).abs().sum(1) > 0).all()
        step = 1e-3 * levels[level].std() / gradient.std()
        with torch.no_grad():
            assert one.distance(Pyramid({**levels, level: levels[level] - step * gradient})).sum() < cost.sum()


@pytest.mark.parametrize("one", ["shapes_fcos", RETINANET, RETINANET_V2, SMALL], indirect=True, scope="module")
def test_the_gradient_goes_through_the_levels_that_are_completed(one: Case) -> None:
    levels = [level.detach().requires_grad_() for level in one.pyramid.values()]
    outputs = one.detector.heads(Pyramid(dict(zip(one.pyramid, levels, strict=True))), one.geometry, one.outputs)
    logits = (outputs.get("dense") or outputs["anchors"]).logits
    assert logits is not None
    (gradient,) = torch.autograd.grad(logits[:, -1].sum(), levels[-1])  # the last place lies in the coarsest level
    assert gradient.abs().sum() > 0


@every
def test_a_batch_of_two_is_the_two_alone(one: Case) -> None:
    noisy = one.noisy(0.1)
    with torch.no_grad():
        both = one.distance(noisy)
        for index, geometry in enumerate(one.geometry):
            original, decoded = (
                Pyramid({level: values[index : index + 1] for level, values in each.items()})
                for each in (one.pyramid, noisy)
            )
            outputs = one.detector.heads(original, [geometry])
            alone = replace(one, pyramid=original, geometry=[geometry], outputs=outputs).distance(decoded)
            assert alone.tolist() == pytest.approx([both[index].item()], rel=1e-3)


@every
def test_a_window_without_picture_is_harmless(one: Case) -> None:
    geometry = [ImageGeometry((0, 0), (0, 0), place.canvas) for place in one.geometry]
    levels = [level.requires_grad_() for level in one.noisy(0.1).values()]
    with torch.no_grad():
        original = one.detector.heads(one.pyramid, geometry)
    outputs = one.detector.heads(Pyramid(dict(zip(one.pyramid, levels, strict=True))), geometry, original)
    cost = torch.stack(list(head_distance(original, outputs).values())).sum()
    assert cost.isfinite()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(cost, levels))


# --- what heads say is what becomes detections --------------------------------------------------------------------


@pytest.mark.parametrize("one", ["nanodet_m", FCOS, RETINANET], indirect=True, scope="module")
def test_the_best_score_of_dense_heads_is_that_of_the_best_detection(one: Case) -> None:
    found = one.detector.detect(one.detector.complete(one.pyramid), one.geometry)
    logits = one.outputs["dense"].logits
    assert logits is not None
    best = logits.sigmoid().flatten(1).amax(1).tolist()
    assert [image.scores[0].item() for image in found] == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("one", ["shapes_fcos", FCOS], indirect=True, scope="module")
def test_distances_of_fcos_are_in_tenths_of_the_decoded_box(one: Case) -> None:
    adapter = one.torchvision
    output = one.outputs["dense"]
    assert output.offsets is not None
    assert isinstance(output.tenth, Tensor)
    levels = list(adapter.complete(one.pyramid).values())
    inputs, _ = adapter._inputs(adapter.complete(one.pyramid), one.geometry)
    anchors = adapter.module.anchor_generator(inputs, levels)[0]
    boxes = adapter.module.box_coder.decode(output.offsets[0], anchors)
    side = anchors[:, 2:] - anchors[:, :2]
    sizes = boxes[:, 2:] - boxes[:, :2]
    extended = (sizes > 0.2 * side).all(1)
    assert extended.any()
    torch.testing.assert_close((output.tenth[0] * 10 * side.repeat(1, 2))[extended], sizes.repeat(1, 2)[extended])
    assert not output.tenth.requires_grad
    assert (output.tenth >= 0.01).all()


@small
def test_deltas_of_two_stages_are_in_tenths_of_anchor_and_proposal(one: Case) -> None:
    adapter = one.torchvision
    proposals = torch.tensor([[10.0, 20.0, 50.0, 100.0]])
    coder = adapter.module.roi_heads.box_coder
    tenth = one.outputs["proposals"].tenth
    assert isinstance(tenth, Tensor)
    moved = coder.decode(tenth * torch.tensor([1.0, 0.0, 0.0, 0.0]), [proposals])[0, 0]
    assert (moved - proposals[0]).tolist() == pytest.approx([4, 0, 4, 0], abs=1e-4)
    grown = coder.decode(tenth * torch.tensor([0.0, 0.0, 0.0, 1.0]), [proposals])[0, 0]
    assert (grown[3] - grown[1]).item() == pytest.approx(80 * 1.10517, rel=1e-4)
    assert one.outputs["anchors"].tenth.tolist() == pytest.approx([0.1] * 4)  # type: ignore[union-attr]


def test_the_logit_of_fcos_is_exact_and_finite_at_both_ends() -> None:
    a, b = torch.randn(2, 1000, dtype=torch.float64) * 5
    score = (a.sigmoid() * b.sigmoid()).sqrt()
    torch.testing.assert_close(logits_of_mean(a.float(), b.float()).double(), score.logit(), rtol=1e-3, atol=1e-3)
    ends = torch.tensor([-300.0, -300.0, 300.0], requires_grad=True)
    found = logits_of_mean(ends, torch.tensor([-300.0, 300.0, 300.0]))
    assert found[:2].tolist() == pytest.approx([-300, -150])
    assert 10 < found[2] < 20
    (gradient,) = torch.autograd.grad(found.sum(), ends)
    assert gradient.tolist() == pytest.approx([0.5, 0.5, 0])


# --- places of two stages -----------------------------------------------------------------------------------------


@two_stages
def test_places_are_the_originals_though_the_decoded_pyramid_gives_others(one: Case) -> None:
    noisy = one.noisy(1.0)
    with torch.no_grad():
        own = one.detector.heads(noisy, one.geometry)
        found = one.detector.heads(noisy, one.geometry, one.outputs)
    for head in one.outputs.keys() - {"anchors"}:
        original = places(one.outputs, head)
        for index in range(2):
            assert torch.equal(places(found, head).boxes[index], original.boxes[index])
            assert torch.equal(places(found, head).labels[index], original.labels[index])
            assert not torch.equal(places(own, head).boxes[index], original.boxes[index])
        assert torch.equal(found[head].weight, one.outputs[head].weight)  # type: ignore[arg-type]


def said(adapter: TorchvisionAdapter, run: Callable[[], object]) -> dict[str, object]:
    """What the last layers of the heads give while the detector itself runs."""
    heard: dict[str, object] = {}
    roi: RoIHeads = adapter.module.roi_heads
    names = [name for name, _ in roi.named_children() if name.endswith("_predictor")]
    hooks = [
        getattr(roi, name).register_forward_hook(lambda module, given, result, name=name: heard.update({name: result}))
        for name in names
    ]
    with torch.no_grad():
        run()
    for hook in hooks:
        hook.remove()
    return heard


def unpadded(values: Tensor | None, where: Places) -> Tensor:
    assert values is not None
    return torch.cat([image[: len(boxes)] for image, boxes in zip(values, where.boxes, strict=True)])


def assert_regions(outputs: HeadOutputs, predicted: object) -> None:
    """The box of each proposal is that of the likeliest class of the original, whatever is likeliest now."""
    assert isinstance(predicted, tuple)
    logits, deltas = predicted
    where = places(outputs, "proposals")
    torch.testing.assert_close(unpadded(outputs["proposals"].logits, where), logits)
    offsets = unpadded(outputs["proposals"].offsets, where)
    for index, label in enumerate(torch.cat(list(where.labels)).tolist()):
        torch.testing.assert_close(offsets[index], deltas[index, 4 * label : 4 * label + 4])


@two_stages
def test_two_stages_say_what_becomes_detections(one: Case) -> None:
    completed = one.detector.complete(one.pyramid)
    predicted = said(one.torchvision, lambda: one.detector.detect(completed, one.geometry))
    assert_regions(one.outputs, predicted["box_predictor"])
    logits, where = one.outputs["proposals"].logits, places(one.outputs, "proposals")
    assert torch.equal(unpadded(logits, where)[:, 1:].argmax(1) + 1, torch.cat(list(where.labels)))
    assert {"masks", "keypoints"} & one.outputs.keys() == {
        name for name, part in (("masks", "mask"), ("keypoints", "keypoint")) if f"{part}_predictor" in predicted
    }


@pytest.mark.parametrize("one", [MASKS, KEYPOINTS], indirect=True, scope="module")
def test_masks_and_keypoints_are_those_of_the_detections(one: Case) -> None:
    found = one.detector.detect(one.detector.complete(one.pyramid), one.geometry)
    predicted = said(one.torchvision, lambda: one.detector.detect(one.detector.complete(one.pyramid), one.geometry))
    head = "masks" if "masks" in one.outputs else "keypoints"
    output, where = one.outputs[head], places(one.outputs, head)
    assert output.weight is not None
    for image, weight, labels in zip(found, output.weight, where.labels, strict=True):
        assert weight.sum().item() == pytest.approx(image.scores.sum().item())
        assert torch.equal(labels, image.labels)
    maps = unpadded(output.maps, where) if head == "masks" else output.maps
    values = predicted[f"{head.removesuffix('s')}_predictor"]
    assert maps is not None
    assert isinstance(values, Tensor)
    if head == "masks":
        values = values[torch.arange(len(values)), torch.cat(list(where.labels))]
    torch.testing.assert_close(maps.flatten(), values.flatten())


@two_stages
def test_at_the_originals_places_the_detector_itself_says_the_same(one: Case) -> None:
    noisy, proposals = one.noisy(0.5), list(places(one.outputs, "proposals").boxes)
    features = OrderedDict(zip(one.torchvision._keys, one.detector.complete(noisy).values(), strict=True))
    contents = [place.content for place in one.geometry]
    predicted = said(one.torchvision, lambda: one.torchvision.module.roi_heads(features, proposals, contents))
    assert_regions(one.detector.heads(noisy, one.geometry, one.outputs), predicted["box_predictor"])


@small
def test_images_with_fewer_proposals_are_padded_without_weight(one: Case) -> None:
    adapter = one.torchvision
    inside = replace(one.geometry[1], content=(16, 16))  # most anchors' boxes lie outside and vanish
    with torch.no_grad():
        outputs = adapter.heads(one.pyramid, [one.geometry[0], inside])
    counts = [len(boxes) for boxes in places(outputs, "proposals").boxes]
    assert counts[1] < counts[0]
    weight = outputs["proposals"].weight
    assert weight is not None
    assert weight.sum(1).tolist() == counts
    assert weight.shape == outputs["proposals"].logits.shape[:2]  # type: ignore[union-attr]


@small
def test_pooling_goes_by_the_canvas_though_little_of_it_is_picture(one: Case) -> None:
    adapter = one.torchvision
    little = [replace(place, content=(20, 30)) for place in one.geometry]
    with torch.no_grad():
        expected, found = (
            adapter.heads(one.pyramid, geometry, one.outputs)["proposals"].logits for geometry in (one.geometry, little)
        )
    assert torch.equal(found, expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("one", [MASKS], indirect=True, scope="module")
def test_an_image_without_detections_has_no_masks_and_costs_only_classes_and_boxes(one: Case) -> None:
    adapter = one.torchvision
    roi: RoIHeads = adapter.module.roi_heads
    before, roi.score_thresh = roi.score_thresh, 1.0
    try:
        with torch.no_grad():
            outputs = adapter.heads(one.pyramid, one.geometry)
        decoded = adapter.heads(one.noisy(0.5), one.geometry, outputs)
    finally:
        roi.score_thresh = before
    assert outputs["masks"].maps.shape[:2] == (2, 0)  # type: ignore[union-attr]
    assert head_distance(outputs, decoded)["maps"].tolist() == [0, 0]
