"""The small detector of the built-in shapes."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import fpnkit.detectors.shapes_fcos as module_under_test
from fpnkit.config.schema import ShapesDetector
from fpnkit.data.images import Category
from fpnkit.detectors.shapes_fcos import build_shapes_fcos, build_trainable_shapes_fcos, shapes_fcos
from fpnkit.detectors.torchvision import TorchvisionAdapter
from fpnkit.errors import WeightsError

CATEGORIES = (Category(5, "circle"), Category(2, "square"))


def settings(weights: str | None) -> ShapesDetector:
    return ShapesDetector(kind="shapes_fcos", weights=weights)


def noise(*sizes: tuple[int, int]) -> list[torch.Tensor]:
    return [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for size in sizes]


def test_p2_to_p5_are_transmitted_and_p6_follows() -> None:
    adapter = build_shapes_fcos(settings(None))
    batch = adapter.prepare(noise((192, 192)))
    pyramid = adapter.pyramid(batch)
    completed = adapter.complete(pyramid)

    assert [(level.name, level.channels, level.stride) for level in adapter.spec.levels] == [
        ("p2", 64, 4),
        ("p3", 64, 8),
        ("p4", 64, 16),
        ("p5", 64, 32),
    ]
    assert list(completed) == ["p2", "p3", "p4", "p5", "p6"]
    assert torch.equal(completed["p6"], completed["p5"][..., ::2, ::2])


def test_size_is_small_enough_to_ship() -> None:
    parameters = sum(parameter.numel() for parameter in shapes_fcos(6).parameters())
    assert 1_000_000 < parameters < 1_500_000


def test_split_detector_gives_exactly_what_its_own_forward_gives() -> None:
    torch.manual_seed(0)
    model = shapes_fcos(6)
    model.score_thresh = 0.0
    torch.nn.init.normal_(model.head.classification_head.cls_logits.weight, std=0.3)
    adapter = TorchvisionAdapter(model, "shapes_fcos")
    pictures = noise((100, 130), (192, 192))
    batch = adapter.prepare(pictures)

    found = adapter.detect(adapter.complete(adapter.pyramid(batch)), batch.geometry)
    with torch.no_grad():
        own = model([picture.float() / 255 for picture in pictures])

    for ours, expected in zip(found, own, strict=True):
        assert len(ours.boxes) >= 20
        assert torch.equal(ours.boxes, expected["boxes"])
        assert torch.equal(ours.scores, expected["scores"])
        assert torch.equal(ours.labels, expected["labels"])


def test_images_are_padded_and_never_resized() -> None:
    batch = build_shapes_fcos(settings(None)).prepare(noise((100, 130), (192, 64)))

    assert batch.pixels.shape == (2, 3, 192, 192)
    assert [place.content for place in batch.geometry] == [(100, 130), (192, 64)]
    assert [place.original for place in batch.geometry] == [(100, 130), (192, 64)]


def test_one_batch_can_be_learned_by_heart() -> None:
    torch.manual_seed(0)
    model = build_trainable_shapes_fcos(settings(None), CATEGORIES)
    image = torch.full((3, 128, 128), 0.5)
    image[:, 20:60, 20:60] = 1.0
    image[0, 70:110, 60:120] = 0.0
    target = {"boxes": torch.tensor([[20.0, 20, 60, 60], [60, 70, 120, 110]]), "labels": torch.tensor([1, 2])}
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(60):
        loss = sum(model([image, image], [target, target]).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    adapter = TorchvisionAdapter(model, "shapes_fcos", CATEGORIES)
    batch = adapter.prepare([(image * 255).to(torch.uint8)])
    found = adapter.detect(adapter.complete(adapter.pyramid(batch)), batch.geometry)[0]

    assert sorted(found.labels[:2].tolist()) == [2, 5]
    for box, label in zip(found.boxes[:2], found.labels[:2], strict=True):
        expected = target["boxes"][0 if label == 5 else 1]
        assert (box - expected).abs().max() < 8


def test_weights_bring_their_categories(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    trained = shapes_fcos(2)
    save_file(trained.state_dict(), path, {"categories": json.dumps([[5, "circle"], [2, "square"]])})

    adapter = build_shapes_fcos(settings(str(path)))

    state = adapter.module.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in trained.state_dict().items())
    again = TorchvisionAdapter(trained, "shapes_fcos", CATEGORIES)
    assert adapter.fingerprint() == again.fingerprint()


def test_weights_without_categories_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(shapes_fcos(2).state_dict(), path)

    with pytest.raises(WeightsError) as error:
        build_shapes_fcos(settings(str(path)))

    assert str(error.value) == f"{path}: required `categories` beside the weights of shapes_fcos, found none"


def test_start_from_weights_of_other_classes_keeps_all_but_the_class_layer(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    trained = shapes_fcos(6)
    save_file(trained.state_dict(), path)

    state = build_trainable_shapes_fcos(settings(str(path)), CATEGORIES).state_dict()

    changed = {key for key, value in trained.state_dict().items() if not torch.equal(value, state[key])}
    assert changed == {f"head.classification_head.cls_logits.{key}" for key in ("weight", "bias")}


def test_missing_builtin_weights_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "shapes_fcos.safetensors"
    monkeypatch.setattr(module_under_test, "_BUILTIN", path)

    with pytest.raises(WeightsError) as error:
        build_shapes_fcos(settings("builtin"))

    assert str(error.value) == (
        f"weights `builtin`: required {path}, which belongs to the package, found nothing; "
        "install fpnkit again, or name a file or run in `detector.weights`"
    )
