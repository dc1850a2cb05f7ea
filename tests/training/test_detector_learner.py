import signal
from pathlib import Path

import pytest
import torch

from fpnkit.config.load import plain, to_yaml, validate
from fpnkit.config.schema import DetectorConfig, PluginDetector, ShapesDetector
from fpnkit.data.build import Subset
from fpnkit.data.images import Category, ImageSet, Sample
from fpnkit.data.shapes import ShapesSet
from fpnkit.detectors.build import build_detector, build_trainable
from fpnkit.detectors.plugin import given
from fpnkit.errors import DataError, UserError
from fpnkit.metrics.coco_format import GroundTruth
from fpnkit.metrics.detection import average_precision
from fpnkit.runs.metrics import read_metrics
from fpnkit.runs.record import ConfigSummary
from fpnkit.runs.writer import RunWriter
from fpnkit.torch_files import load_checkpoint
from fpnkit.training.detector_learner import DetectorLearner, require_labels
from fpnkit.training.loop import train
from fpnkit.training.ranks import ALONE, Ranks
from tests.support.plugins import Mean, install
from tests.support.trainings_alike import Interrupted, assert_same_state, lines

CPU = torch.device("cpu")


def config(**training: object) -> DetectorConfig:
    settings = {"epochs": 2, "batch_size": 2, "lr": 1e-3, "optimizer": "adamw", "log_every": 1, **training}
    result = validate(
        {
            "task": "detection",
            "detector": {"kind": "shapes_fcos", "weights": None},
            "data": {"train": {"kind": "shapes", "images": 4}, "val": {"kind": "shapes", "images": 2, "seed": 9}},
            "training": settings,
        }
    )
    assert isinstance(result, DetectorConfig)
    return result


def learner(settings: DetectorConfig, ranks: Ranks = ALONE) -> DetectorLearner:
    torch.set_num_threads(1)
    torch.manual_seed(settings.seed)
    images = ShapesSet(4)
    detector = build_trainable(settings.detector, images.categories)
    return DetectorLearner(detector, settings, images, ShapesSet(2, seed=9), CPU, ranks)


def run(settings: DetectorConfig, folder: Path) -> RunWriter:
    return RunWriter.create(
        folder,
        kind="detection",
        config_yaml=to_yaml(plain(settings)),
        summary=ConfigSummary(lr=settings.training.lr, batch_size=2),
        epochs=settings.training.epochs,
        argv=["train"],
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    writer = run(config(), tmp_path_factory.mktemp("whole"))
    assert train(learner(config()), writer, config().training, warmup_steps=2).finished
    writer.end("finished", 0)
    return writer.path


def test_a_stopped_and_resumed_detector_equals_an_uninterrupted_one(whole: Path, tmp_path: Path) -> None:
    writer = run(config(), tmp_path)
    stopped = Interrupted(learner(config()), 3, signal.SIGINT)
    assert not train(stopped, writer, config().training, warmup_steps=2).finished
    writer.end("SIGINT", 130)
    again = RunWriter.resume(writer.path, argv=["train"])
    state = load_checkpoint(writer.path / "last.pth", "last")
    assert train(learner(config()), again, config().training, warmup_steps=2, resume=state).finished
    again.end("finished", 0)
    assert_same_state(load_checkpoint(writer.path / "last.pth", "last"), load_checkpoint(whole / "last.pth", "last"))
    assert lines(writer.path) == lines(whole)


def test_the_best_model_is_a_detector_whose_ap_is_what_validation_said(whole: Path) -> None:
    detector = build_detector(ShapesDetector(kind="shapes_fcos", weights=str(whole / "best_model.pth")))
    images = ShapesSet(2, seed=9)
    found = []
    for index in range(len(images)):
        batch = detector.prepare([images[index].image])
        found += detector.detect(detector.complete(detector.pyramid(batch)), batch.geometry)
    scores = average_precision([GroundTruth.of(images[index]) for index in range(len(images))], found)
    best = load_checkpoint(whole / "best_model.pth", "detection")
    assert best["metrics"]["map"] == scores.map
    assert best["loss"] == 1 - best["metrics"]["map"]


TO_TRAIN = """
from fpnkit.config.schema import ShapesDetector
from fpnkit.detectors.build import build_trainable

def to_train(options, categories):
    return build_trainable(ShapesDetector(kind="shapes_fcos", weights=None), categories)
"""


def test_a_plugin_is_trained_as_a_detector_of_ours_is(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, TO_TRAIN, {"fpnkit.trainable_detectors": "lab = lab_detectors:to_train"})
    plugin = validate({**plain(config()), "detector": {"kind": "plugin", "name": "lab"}})
    assert isinstance(plugin, DetectorConfig)
    writer = run(plugin, tmp_path / "runs")
    assert train(learner(plugin), writer, plugin.training, warmup_steps=2).finished
    writer.end("finished", 0)
    assert lines(writer.path) == lines(whole)


def test_an_object_is_trained_where_it_lives(whole: Path, tmp_path: Path) -> None:
    settings = validate({**plain(config()), "detector": {"kind": "plugin", "name": "shapes_fcos"}})
    assert isinstance(settings, DetectorConfig)
    torch.manual_seed(config().seed)
    lab = build_trainable(ShapesDetector(kind="shapes_fcos", weights=None), ShapesSet(1, 0).categories)
    writer = run(settings, tmp_path)
    with given(lab):
        assert train(learner(settings), writer, settings.training, warmup_steps=2).finished
    writer.end("finished", 0)
    assert lines(writer.path) == lines(whole)
    assert lab.trainable is not None
    last = load_checkpoint(writer.path / "last.pth", "last")["learner"]["module"]
    assert all(torch.equal(weight, last[name]) for name, weight in lab.trainable.state_dict().items())


def test_an_object_with_nothing_to_train_is_refused() -> None:
    with given(Mean()), pytest.raises(UserError) as error:
        build_trainable(PluginDetector(kind="plugin", name="Mean"), ShapesSet(1, 0).categories)
    assert str(error.value) == (
        "detector `Mean`: required a detector with `trainable`, the module to train, from its plugin that was given; "
        "found none"
    )


def test_detector_lines_have_map_in_validation_and_nothing_of_a_codec(whole: Path) -> None:
    for line in read_metrics(whole / "metrics.jsonl"):
        assert set(line.extra) == ({"map", "map50"} if line.split == "val" else set())
        assert line.bpp_estimated is None
        assert line.snr_db is None


def test_the_warm_up_reaches_the_full_rate_after_its_steps(whole: Path) -> None:
    rates = [line.lr for line in read_metrics(whole / "metrics.jsonl") if line.split == "train"]
    assert rates == pytest.approx([1e-3 / 3, 2e-3 / 3, 1e-3, 1e-3])


def test_training_lowers_the_loss_on_images_it_has_seen(tmp_path: Path) -> None:
    settings = config(epochs=12, flip=False, schedule="constant", lr=2e-3)
    writer = run(settings, tmp_path)
    train(learner(settings), writer, settings.training)
    writer.end("finished", 0)
    losses = [line.loss for line in read_metrics(writer.path / "metrics.jsonl") if line.split == "train"]
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4])


class Labeled:
    """A set with these categories and boxes, and otherwise empty."""

    def __init__(self, name: str, categories: tuple[Category, ...], boxes: int = 0) -> None:
        self.name, self.categories, self._boxes = name, categories, boxes

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        boxes, labels = torch.zeros(self._boxes, 4), torch.ones(self._boxes, dtype=torch.long)
        return Sample(1, torch.zeros(3, 4, 4, dtype=torch.uint8), boxes, labels, labels < 0)


CELLS = (Category(1, "RBC"), Category(2, "WBC"))


@pytest.mark.parametrize(
    ("train_set", "val_set", "message"),
    [
        (
            Labeled("plain", ()),
            Labeled("val", ()),
            "plain: required images with boxes to train a detector on, found none",
        ),
        (
            Labeled("cells", CELLS, 1),
            Labeled("other", CELLS[:1], 1),
            "other: required the categories of cells (RBC, WBC), found RBC",
        ),
        (
            Labeled("cells", CELLS, 1),
            Labeled("empty", CELLS),
            "empty: required at least one box to validate with, found none",
        ),
    ],
)
def test_sets_that_a_detector_cannot_be_trained_on_are_named(
    train_set: ImageSet, val_set: ImageSet, message: str
) -> None:
    with pytest.raises(DataError) as error:
        require_labels(train_set, val_set)
    assert str(error.value) == message


def test_a_holdout_of_a_labeled_set_can_be_trained_on() -> None:
    images = ShapesSet(4)
    assert require_labels(Subset(images, [0, 1], "a"), Subset(images, [2, 3], "b")) == images.categories
