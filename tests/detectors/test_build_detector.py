"""From settings to detectors, other people's among them."""

import json
import sys
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from fpnkit.config.load import load_config
from fpnkit.config.schema import NanodetDetector, PluginDetector, ShapesDetector, TorchvisionDetector
from fpnkit.data.images import Category
from fpnkit.detectors.base import Detector, DetectorWithHeads
from fpnkit.detectors.build import build_detector, build_trainable
from fpnkit.detectors.nanodet import Nanodet
from fpnkit.errors import UserError
from tests.support.plugins import MEAN, install


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package, registered under another name than its class gives itself."""
    install(tmp_path, monkeypatch, MEAN, {"fpnkit.detectors": "average = lab_detectors:Mean"})


@pytest.mark.usefixtures("plugin")
def test_detector_of_another_package_joins_by_its_entry_point() -> None:
    detector = build_detector(PluginDetector(kind="plugin", name="average", options={"label": 3}))

    batch = detector.prepare([torch.full((3, 8, 12), 51, dtype=torch.uint8)])
    pyramid = detector.pyramid(batch)
    detector.spec.check(pyramid)
    found = detector.detect(detector.complete(pyramid), batch.geometry)[0]

    assert pyramid.sizes == {"p2": (2, 3)}
    assert found.boxes.tolist() == [[0, 0, 12, 8]]
    assert found.scores.tolist() == pytest.approx([0.2])
    assert found.labels.tolist() == [3]


@pytest.mark.usefixtures("plugin")
def test_plugin_without_the_optional_members_gets_them_and_the_name_it_is_registered_under() -> None:
    detector = build_detector(PluginDetector(kind="plugin", name="average", options={"label": 3}))

    detector.to(torch.device("meta"))  # it has no weights, so nothing moves
    batch = detector.prepare([torch.zeros(3, 8, 8, dtype=torch.uint8)])

    assert (detector.name, detector.class_names, detector.trainable) == ("average", {}, None)
    assert detector.pyramid(batch)["p2"].device.type == "cpu"


def test_module_of_a_plugin_is_moved_and_put_in_evaluation_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (
        MEAN
        + """
def with_module(options):
    detector = Mean(options)
    detector.module = torch.nn.Linear(1, 1)
    return detector
"""
    )
    install(tmp_path, monkeypatch, source, {"fpnkit.detectors": "mean = lab_detectors:with_module"})
    detector = build_detector(PluginDetector(kind="plugin", name="mean", options={"label": 3}))
    module = detector.prepare.__self__.module  # type: ignore[attr-defined]

    detector.to(torch.device("meta"))

    assert not module.training
    assert module.weight.device.type == "meta"


@pytest.mark.parametrize(
    ("heads", "expected"),
    [
        ("", False),
        ("def heads(self, pyramid, geometry, fixed=None): return {}", True),
        ("heads = torch.nn.Linear(1, 1)", False),
    ],
)
def test_plugin_has_heads_to_train_for_only_if_it_has_the_method(
    heads: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, f"{MEAN}\n    {heads}\n", {"fpnkit.detectors": "mean = lab_detectors:Mean"})
    detector = build_detector(PluginDetector(kind="plugin", name="mean", options={"label": 3}))

    assert isinstance(detector, DetectorWithHeads) == expected
    if isinstance(detector, DetectorWithHeads):
        batch = detector.prepare([torch.zeros(3, 8, 8, dtype=torch.uint8)])
        assert detector.heads(detector.pyramid(batch), batch.geometry) == {}


def test_plugin_with_nothing_to_train_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = {"fpnkit.trainable_detectors": "mean = lab_detectors:to_train"}
    install(tmp_path, monkeypatch, MEAN + "\ndef to_train(options, categories): return Mean(options)\n", groups)
    with pytest.raises(UserError) as error:
        build_trainable(PluginDetector(kind="plugin", name="mean", options={"label": 3}), (Category(1, "dot"),))
    assert str(error.value) == (
        "detector `mean`: required a detector with `trainable`, the module to train, from its plugin "
        "lab_detectors:to_train; found none"
    )


@pytest.mark.usefixtures("plugin")
def test_plugin_that_is_not_registered_for_training_is_refused() -> None:
    with pytest.raises(UserError) as error:
        build_trainable(PluginDetector(kind="plugin", name="average"), (Category(1, "dot"),))
    assert str(error.value) == (
        "detector `average`: required an installed entry point of the group fpnkit.trainable_detectors, found none; "
        "an object made in a notebook has to be given again as detector=…, or its class put into a file that "
        "detector.class names, such as file.py:average"
    )


@pytest.mark.usefixtures("plugin")
def test_unknown_plugin_lists_what_is_installed() -> None:
    with pytest.raises(UserError) as error:
        build_detector(PluginDetector(kind="plugin", name="median"))
    assert str(error.value) == (
        "detector `median`: required an installed entry point of the group fpnkit.detectors, found average; "
        "an object made in a notebook has to be given again as detector=…, or its class put into a file that "
        "detector.class names, such as file.py:median"
    )


def test_unknown_plugin_where_none_is_installed() -> None:
    with pytest.raises(UserError) as error:
        build_detector(PluginDetector(kind="plugin", name="median"))
    assert str(error.value) == (
        "detector `median`: required an installed entry point of the group fpnkit.detectors, found none; "
        "an object made in a notebook has to be given again as detector=…, or its class put into a file that "
        "detector.class names, such as file.py:median"
    )


def test_every_kind_of_settings_gives_its_detector(tmp_path: Path) -> None:
    torch.save(Nanodet().state_dict(), tmp_path / "nanodet.pth")
    model = "fasterrcnn_mobilenet_v3_large_320_fpn"

    assert build_detector(ShapesDetector(kind="shapes_fcos", weights=None)).name == "shapes_fcos"
    assert build_detector(TorchvisionDetector(kind="torchvision", model=model, weights=None)).name == model
    nanodet = NanodetDetector(kind="nanodet_m", weights=str(tmp_path / "nanodet.pth"))
    assert build_detector(nanodet).name == "nanodet_m"


@pytest.mark.parametrize(
    "settings",
    [
        ShapesDetector(kind="shapes_fcos", weights=None),
        TorchvisionDetector(
            kind="torchvision", model="fasterrcnn_mobilenet_v2_fpn", weights=None, min_size=96, max_size=128
        ),
    ],
)
def test_trainable_module_gives_finite_losses_and_gradients(settings: ShapesDetector | TorchvisionDetector) -> None:
    torch.manual_seed(0)
    detector = build_trainable(settings, (Category(7, "dog"), Category(3, "cat")))
    assert detector.class_names == {7: "dog", 3: "cat"}
    module = detector.trainable
    assert module is not None
    module.train()
    target = {"boxes": torch.tensor([[10.0, 10.0, 60.0, 60.0]]), "labels": torch.tensor([2])}

    loss = sum(module([torch.rand(3, 96, 96)] * 2, [target] * 2).values())
    loss.backward()

    assert torch.isfinite(loss)
    gradients = [parameter.grad for parameter in module.parameters() if parameter.requires_grad]
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients)


def test_a_class_needs_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found beside the config, by its path, or on Python's path; it may import what lies beside it."""
    folder = tmp_path / "lab"
    folder.mkdir()
    (folder / "sizes.py").write_text("CELL = 4\n")
    (folder / "beside.py").write_text(MEAN.replace("import torch", "import torch\nfrom sizes import CELL"))
    config = folder / "config.yaml"
    before = list(sys.path)

    def built(code: str, **more: str) -> Detector:
        section = {"kind": "plugin", "class": code, "options": {"label": 3}, **more}
        config.write_text(
            f"task: fpn_compression\ndata: {{train: {{kind: shapes, images: 4}}}}\nloss: {{lambda: 1}}\n"
            f"training: {{epochs: 1}}\ndetector: {json.dumps(section)}\n"
        )
        return build_detector(load_config(config).detector)

    assert built("beside:Mean").name == "Mean"
    assert built(f"{folder}/beside.py:Mean", name="average of cells").name == "average of cells"
    assert built("beside:Mean").fingerprint() == "mean 1"
    assert sys.path == before
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.chdir(tmp_path)
    (folder / "beside.py").rename(folder / "elsewhere.py")
    settings = PluginDetector.model_validate({"kind": "plugin", "class": "elsewhere:Mean", "options": {"label": 3}})
    assert build_detector(settings).name == "Mean"
    monkeypatch.delitem(sys.modules, "elsewhere")
    monkeypatch.delitem(sys.modules, "sizes")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("nowhere_at_all:Mean", "failed: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("/gone/lab.py:Mean", "failed: FileNotFoundError: /gone/lab.py does not exist"),
        ("json:Yolox", "failed: AttributeError: module 'json' has no attribute 'Yolox'"),
    ],
)
def test_a_class_that_cannot_be_had_says_why(code: str, message: str) -> None:
    name = code.rpartition(":")[2]
    with pytest.raises(UserError) as error:
        build_detector(PluginDetector.model_validate({"kind": "plugin", "class": code}))
    assert str(error.value) == f"detector `{name}`: its plugin {code} {message}"


def test_a_plugin_is_named_by_its_class_or_its_entry_point() -> None:
    def problem(**section: str) -> str:
        with pytest.raises(ValidationError) as error:
            PluginDetector.model_validate({"kind": "plugin", **section})
        return str(error.value.errors()[0]["ctx"]["error"])

    assert problem() == "required `class`, such as lab_detectors:Yolox, or the name of an entry point; found neither"
    for code in ("lab_detectors", "lab detectors:Yolox", "lab:9", ":Yolox"):
        expected = f'required module:Name or file.py:Name, such as lab_detectors:Yolox, found "{code}"'
        assert problem(**{"class": code}) == expected
