"""Hugging Face's detectors: the cut, preprocessing, names, and folders and models that cannot be used."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from fpnkit.config.schema import TransformersDetector
from fpnkit.detectors.base import Detections
from fpnkit.detectors.check import check_detector
from fpnkit.detectors.detr import DetrAdapter
from fpnkit.detectors.detr_models import build_transformers
from fpnkit.errors import FpnkitError, WeightsError
from fpnkit.geometry import ImageGeometry
from tests.support.detr import DETRS, NAMES, SIDE, change, detr, folder, processor
from tests.support.torchvision_detectors import images

every = pytest.mark.parametrize("kind", DETRS)


@pytest.fixture(scope="module")
def rt_detr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to copy from."""
    return folder(tmp_path_factory.mktemp("models") / "rt_detr", "rt_detr")


@pytest.fixture
def model(rt_detr: Path, tmp_path: Path) -> Path:
    return shutil.copytree(rt_detr, tmp_path / "lab_detr")


def built(path: Path, **settings: float) -> DetrAdapter:
    return build_transformers(TransformersDetector(kind="transformers", model=str(path), **settings))


def message(path: Path) -> str:
    with pytest.raises(FpnkitError) as caught:
        built(path)
    assert isinstance(caught.value, WeightsError)
    return str(caught.value)


def with_levels(kind: str, levels: int) -> DetrAdapter:
    return detr(kind, num_feature_levels=levels, **({"decoder_n_levels": levels} if kind == "rt_detr_v2" else {}))


# --- the cut ------------------------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize("levels", [3, 4])  # a fourth is computed in the decoder
def test_both_halves_give_exactly_what_the_whole_gives(kind: str, levels: int) -> None:
    adapter = with_levels(kind, levels)
    batch = adapter.prepare(images((90, 120), (140, 100)))
    with torch.no_grad():
        output = adapter.module(batch.pixels)
    expected = processor().post_process_object_detection(output, threshold=0.0, target_sizes=[(90, 120), (140, 100)])

    found = adapter.detect(adapter.complete(adapter.pyramid(batch)), batch.geometry)

    for one, own, (height, width) in zip(found, expected, [(90, 120), (140, 100)], strict=True):
        clipped = own["boxes"].clamp(min=0).minimum(torch.tensor([width, height, width, height]))
        assert torch.equal(one.boxes, clipped)
        assert torch.equal(one.scores, own["scores"])
        assert torch.equal(one.labels, own["labels"])
        assert len(one.scores.unique()) > 10  # else nothing would be compared


@every
@pytest.mark.parametrize("levels", [3, 4])
def test_heads_say_what_the_whole_says_before_post_processing(kind: str, levels: int) -> None:
    adapter = with_levels(kind, levels)
    batch = adapter.prepare(images((90, 120), (140, 100)))
    with torch.no_grad():
        output = adapter.module(batch.pixels)
        outputs = adapter.heads(adapter.pyramid(batch), batch.geometry)

    for name, logits, boxes in (
        ("queries", output.logits, output.pred_boxes),
        ("cells", output.enc_outputs_class, output.enc_outputs_coord_logits.sigmoid()),
    ):
        head = outputs[name]
        assert head.logits is not None
        assert head.offsets is not None
        torch.testing.assert_close(head.logits, logits)
        torch.testing.assert_close(head.offsets, boxes)


def test_fixed_queries_stay_at_the_cells_of_the_original() -> None:
    adapter = detr("rt_detr")
    batch = adapter.prepare(images((90, 120)))
    pyramid = adapter.pyramid(batch)
    other = adapter.pyramid(adapter.prepare(images((90, 120))))
    with torch.no_grad():
        original = adapter.heads(pyramid, batch.geometry)
        free = adapter.heads(other, batch.geometry)["queries"].places
        fixed = adapter.heads(other, batch.geometry, original)["queries"].places

    chosen = original["queries"].places
    assert chosen is not None
    assert free is not None
    assert fixed is not None
    assert torch.equal(fixed.cells[0], chosen.cells[0])
    assert not torch.equal(free.cells[0], chosen.cells[0])
    found = adapter.detect(pyramid, batch.geometry)[0]
    box = chosen.boxes[0][chosen.weights[0].argmax()] * torch.tensor([120, 90, 120, 90]) / SIDE
    assert found.boxes[0].tolist() == pytest.approx(
        box.clamp(torch.zeros(4), torch.tensor([120, 90, 120, 90])).tolist()
    )


def test_small_windows_have_fewer_cells_than_queries() -> None:
    adapter = detr("rt_detr", num_queries=100)
    pyramid = adapter.pyramid(adapter.prepare(images((90, 120))))
    window = type(pyramid)({name: level[..., : 8 >> at, : 8 >> at] for at, (name, level) in enumerate(pyramid.items())})
    geometry = [ImageGeometry((45, 60), (64, 64), (64, 64))]

    logits = adapter.heads(window, geometry)["queries"].logits

    assert logits is not None
    assert logits.shape == (1, 8 * 8 + 4 * 4 + 2 * 2, 3)


# --- what comes in and out ----------------------------------------------------------------------------------------


def test_levels_and_geometry() -> None:
    adapter = detr("rt_detr")
    batch = adapter.prepare(images((90, 120), (60, 61)))
    pyramid = adapter.pyramid(batch)

    adapter.spec.check(pyramid)
    assert str(adapter.spec) == "p3 32 channels at stride 8, p4 32 channels at stride 16, p5 32 channels at stride 32"
    assert pyramid.sizes == {"p3": (16, 16), "p4": (8, 8), "p5": (4, 4)}
    canvas = (SIDE, SIDE)
    assert batch.geometry == (ImageGeometry((90, 120), canvas, canvas), ImageGeometry((60, 61), canvas, canvas))


def test_pixels_are_those_of_the_published_preprocessing() -> None:
    """Stretched to the canvas, divided by 255, no mean taken off."""
    pixels = detr("rt_detr").prepare([torch.full((3, 30, 50), 51, dtype=torch.uint8)]).pixels

    assert pixels.shape == (1, 3, SIDE, SIDE)
    assert pixels.unique().tolist() == pytest.approx([0.2])


@every
def test_it_passes_the_check_of_detectors(kind: str) -> None:
    report = check_detector(detr(kind), images((90, 120), (140, 100)))

    assert report.ok, report
    assert "equal in 2 images" in str(report)


def test_the_threshold_drops_detections() -> None:
    batch = detr("rt_detr").prepare(images((90, 120)))

    def found(threshold: float) -> Detections:
        adapter = detr("rt_detr", score_threshold=threshold)
        return adapter.detect(adapter.pyramid(batch), batch.geometry)[0]

    every_one = found(0.0)
    middle = every_one.scores[9].item()
    assert len(every_one.scores) == 20
    assert found(middle).scores.tolist() == every_one.scores[:9].tolist()


# --- folders and the Hub ------------------------------------------------------------------------------------------


@every
def test_a_folder_is_read_as_it_was_saved(kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder(tmp_path / "lab_detr", kind)
    capfd.readouterr()
    adapter, original = built(tmp_path / "lab_detr"), detr(kind)
    batch = original.prepare(images((90, 120)))

    assert (adapter.name, adapter.class_names) == ("lab_detr", NAMES)
    assert adapter.fingerprint() == original.fingerprint()
    for name, level in adapter.pyramid(batch).items():
        assert torch.equal(level, original.pyramid(batch)[name])
    assert capfd.readouterr() == ("", "")  # no progress bars, no reports


def test_the_fingerprint_knows_weights_and_preprocessing(model: Path) -> None:
    first = built(model).fingerprint()
    assert built(model).fingerprint() == first
    change(model / "preprocessor_config.json", rescale_factor=0.004)
    assert built(model).fingerprint() != first


def test_names_of_coco_are_those_of_its_annotations(model: Path) -> None:
    others = [f"other {number}" for number in range(74)]
    darknet = [*others, "motorbike", "aeroplane", "sofa", "pottedplant", "diningtable", "tvmonitor"]
    config = {"id2label": dict(enumerate(darknet)), "label2id": {name: at for at, name in enumerate(darknet)}}
    folder(model, "rt_detr", **config)

    assert list(built(model).class_names.values()) == [
        *others, "motorcycle", "airplane", "couch", "potted plant", "dining table", "tv",
    ]  # fmt: skip


def test_sofas_of_a_model_of_its_own_stay_sofas(model: Path) -> None:
    names = {"id2label": {"0": "sofa", "1": "chair", "2": "table"}, "label2id": {"sofa": 0, "chair": 1, "table": 2}}
    change(model / "config.json", **names)
    assert built(model).class_names == {0: "sofa", 1: "chair", 2: "table"}


def test_placeholders_are_no_names(model: Path) -> None:
    change(model / "config.json", id2label={str(number): f"LABEL_{number}" for number in range(3)}, label2id={})
    assert built(model).class_names == {}


def missing_weights(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")


def damaged_weights(model: Path) -> None:
    (model / "model.safetensors").write_bytes(b"no such thing" * 9)


def further_layer(model: Path) -> None:
    change(model / "config.json", decoder_layers=3)


def another_model(model: Path) -> None:
    change(model / "config.json", model_type="detr")


def no_preprocessing(model: Path) -> None:
    (model / "preprocessor_config.json").unlink()


def padded(model: Path) -> None:
    change(model / "preprocessor_config.json", size={"shortest_edge": 100, "longest_edge": 200})


def odd_size(model: Path) -> None:
    change(model / "preprocessor_config.json", size={"height": 100, "width": 128})


def broken_json(model: Path) -> None:
    (model / "config.json").write_text("{")


REQUIRED = "required config.json, preprocessor_config.json and model.safetensors, found no"
UNREADABLE = "lab_detr: required a model that transformers can read, found {}:"


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (missing_weights, f"{{}}: {REQUIRED} model*.safetensors"),
        (no_preprocessing, f"{{}}: {REQUIRED} preprocessor_config.json"),
        (another_model, "{}/config.json: model_type: required rt_detr, rt_detr_v2 or d_fine, found detr"),
        (damaged_weights, f"{UNREADABLE} Error while deserializing header: header too large"),
        (broken_json, f"{UNREADABLE} It looks like the config file at '{{}}/config.json' is not a valid JSON file"),
        (
            padded,
            "{}/preprocessor_config.json: required `do_resize` to a height and a width, without `do_pad`; "
            "found {'longest_edge': 200, 'shortest_edge': 100}",
        ),
        (
            odd_size,
            "{}/preprocessor_config.json: size: required multiples of 32, the largest stride; found 100 x 128",
        ),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_folder_that_cannot_be_used(model: Path, spoil: Callable[[Path], None], expected: str) -> None:
    spoil(model)
    assert message(model) == expected.replace("{}", str(model))


def test_weights_that_are_missing_are_named(model: Path) -> None:
    further_layer(model)
    start = f"{model}: required all weights of a rt_detr, found none for model.decoder.bbox_embed.2.layers.0.bias, "
    assert message(model).startswith(start)
    assert message(model).endswith(" in all)")


# --- the Hub, whose cache is laid out here by hand ------------------------------------------------------------------


def command(home: Path, config: Path) -> tuple[int, str, str]:
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "fpnkit.detectors", "check", "--config", config, "--images", "2"],
        capture_output=True, text=True, env=environment, timeout=120,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def config(tmp_path: Path) -> Path:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number, size in enumerate([(120, 90), (100, 140)]):
        pixels = torch.randint(0, 256, (size[1], size[0], 3), dtype=torch.uint8).numpy()
        Image.fromarray(pixels).save(pictures / f"{number}.png")
    path = tmp_path / "config.yaml"
    data = {"train": {"kind": "folder", "images": str(pictures)}}
    detector = {"kind": "transformers", "model": "lab/tiny-detr"}
    rest = {"task": "fpn_compression", "loss": {"lambda": 1e-4}, "training": {"epochs": 1}}
    path.write_text(json.dumps({"detector": detector, "data": data, **rest}))
    return path


def test_a_model_of_the_hub_is_named_by_its_repository(model: Path, config: Path, tmp_path: Path) -> None:
    repository = tmp_path / "home" / "hub" / "models--lab--tiny-detr"
    shutil.copytree(model, repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")

    code, output, problems = command(tmp_path / "home", config)

    assert (code, problems) == (0, "")
    assert output.startswith("tiny-detr: in order\n")


def test_a_model_of_the_hub_that_is_not_there(config: Path, tmp_path: Path) -> None:
    code, output, problems = command(tmp_path / "home", config)

    assert (code, output) == (2, "")
    assert problems.startswith("fpnkit.detectors: lab/tiny-detr: cannot download it from the Hub: ")
    assert problems.endswith(
        "; required a connection, or a folder with config.json, preprocessor_config.json and model.safetensors as "
        "`model`\n"
    )
    assert len(problems.splitlines()) == 1
