import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from fpnkit.codecs.build import build_codec
from fpnkit.codecs.calibration import calibrate
from fpnkit.codecs.coder import CodedImage, Coder, CoderInput
from fpnkit.codecs.learned import LearnedCoder
from fpnkit.codecs.saved import TrainedCodec, model_hash
from fpnkit.config.load import plain, validate
from fpnkit.config.schema import Cache, CodecConfig, FactorizedCodec
from fpnkit.data.shapes import ShapesSet
from fpnkit.detectors.cached import feature_cache
from fpnkit.errors import RunError, UserError
from fpnkit.evaluation.run import Job, Origin, evaluate
from fpnkit.evaluation.task import Task, build_task
from fpnkit.metrics.detection import average_precision
from fpnkit.metrics.matches import Matches, average_precision_of
from fpnkit.runs.results import IMAGES, STREAMS, Summary, read_images, read_summary
from fpnkit.training.codec_learner import CodecLearner, objective
from tests.support.coders import DetectionCoder, FeatureCoder, ImageCoder, Promising, config
from tests.support.detr import folder as save_detr
from tests.support.plugins import MEAN, install
from tests.support.shared_codec import known_to_the_format, trained

ORIGIN = Origin(quality=1.0)
CLOCK = ("encode_seconds", "decode_seconds", "peak_memory_mb", "created", "commit")


def without_clock(summary: Summary) -> dict[str, object]:
    return {key: value for key, value in vars(summary).items() if key not in CLOCK}


def evaluate_one(coder: Coder, task: Task, folder: Path) -> Summary:
    (summary,) = evaluate([Job(coder, folder, ORIGIN)], task)
    return summary


@pytest.mark.parametrize("coder", [FeatureCoder(), ImageCoder(), DetectionCoder()], ids=lambda coder: coder.name)
def test_a_lossless_coder_reaches_the_ceiling(coder: Coder, task: Task, tmp_path: Path) -> None:
    summary = evaluate_one(coder, task, tmp_path / "out")
    assert task.reference.ceiling.map is not None
    assert task.reference.ceiling.map > 0.2
    assert (summary.map, summary.map50) == (task.reference.ceiling.map, task.reference.ceiling.map50)
    assert summary.share_of_ceiling == 1
    assert summary.self_map == pytest.approx(1)
    assert all(value == float("inf") for value in summary.snr_db.values())


def test_received_detections_have_no_features_to_compare(task: Task, tmp_path: Path) -> None:
    summary = evaluate_one(DetectionCoder(), task, tmp_path / "out")
    assert summary.snr_db == {}
    assert [(row.mse, row.snr_db) for row in read_images(tmp_path / "out")] == [({}, {})] * 6


def test_the_rate_is_that_of_the_bytes_on_disk_over_original_pixels(task: Task, tmp_path: Path) -> None:
    summary = evaluate_one(FeatureCoder(), task, tmp_path / "out")
    files = list((tmp_path / "out" / STREAMS).iterdir())
    assert len(files) == len(task.images) == 6
    bits = 8 * sum(path.stat().st_size for path in files)
    assert summary.pixels == 6 * 192 * 192
    assert summary.bpp == pytest.approx(bits / summary.pixels)
    assert summary.kb_per_image == pytest.approx(bits / 8 / 6 / 1000)


def test_decoding_the_mean_of_the_set_is_0_db(task: Task, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in next(tmp_path.rglob(f"ceilings/**/{IMAGES}")).read_text().splitlines()]

    def mean(name: str, level: Tensor) -> Tensor:
        return torch.full_like(level, sum(row["mean"][name] for row in rows) / len(rows))

    summary = evaluate_one(FeatureCoder(mean), task, tmp_path / "out")
    assert summary.snr_db == pytest.approx(dict.fromkeys(task.detector.spec.names, 0.0), abs=1e-3)
    assert summary.map is not None
    assert summary.map < 0.05


def test_noise_of_10_db_is_measured_as_10_db(task: Task, tmp_path: Path) -> None:
    variance = task.reference.variance
    generator = torch.Generator().manual_seed(1)

    def noisy(name: str, level: Tensor) -> Tensor:
        return level + torch.randn(level.shape, generator=generator) * (variance[name] / 10) ** 0.5

    summary = evaluate_one(FeatureCoder(noisy), task, tmp_path / "out")
    assert summary.snr_db == pytest.approx(dict.fromkeys(task.detector.spec.names, 10.0), abs=0.1)
    assert summary.map is not None
    assert summary.map_interval is None  # so few images


def test_snr_is_measured_where_a_decoded_level_has_the_size_of_the_original(task: Task, tmp_path: Path) -> None:
    def shorter(name: str, level: Tensor) -> Tensor:
        return level[:, :, :-1] if name == "p2" else level

    summary = evaluate_one(FeatureCoder(shorter), task, tmp_path / "out")
    assert set(summary.snr_db) == set(task.detector.spec.names) - {"p2"}


class Interrupted(FeatureCoder):
    def __init__(self, after: int) -> None:
        super().__init__()
        self._after = after

    def encode(self, source: CoderInput) -> CodedImage:
        if self.encoded == self._after:
            raise KeyboardInterrupt
        return super().encode(source)


def test_an_interrupted_evaluation_goes_on_and_ends_as_if_nothing_had_happened(task: Task, tmp_path: Path) -> None:
    whole = evaluate_one(FeatureCoder(), task, tmp_path / "whole")
    folder = tmp_path / "interrupted"
    with pytest.raises(KeyboardInterrupt):
        evaluate_one(Interrupted(after=4), task, folder)
    assert len(read_images(folder)) == 4
    with (folder / IMAGES).open("a") as file:
        file.write('{"image": 5, "torn')
    rest = FeatureCoder()
    assert without_clock(evaluate_one(rest, task, folder)) == without_clock(whole)
    assert rest.encoded == 2
    assert [row.image for row in read_images(folder)] == [row.image for row in read_images(tmp_path / "whole")]
    assert (folder / "detections.json").read_text() == (tmp_path / "whole" / "detections.json").read_text()


def test_killed_between_boxes_and_row_an_image_is_done_again(task: Task, tmp_path: Path) -> None:
    whole = evaluate_one(FeatureCoder(), task, tmp_path / "whole")
    folder = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        evaluate_one(Interrupted(after=4), task, folder)
    rows = (folder / IMAGES).read_text().splitlines(keepends=True)
    (folder / IMAGES).write_text("".join(rows[:-1]))
    for _ in range(2):  # what was left over would come to lie between the lines of other images
        with pytest.raises(KeyboardInterrupt):
            evaluate_one(Interrupted(after=1), task, folder)
    rest = FeatureCoder()
    assert without_clock(evaluate_one(rest, task, folder)) == without_clock(whole)
    assert rest.encoded == 1
    assert (folder / "detections.json").read_text() == (tmp_path / "whole" / "detections.json").read_text()


def test_an_interrupted_one_goes_on_beside_one_that_begins(task: Task, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        evaluate_one(Interrupted(after=4), task, tmp_path / "a")
    rest, fresh = FeatureCoder(), FeatureCoder()
    first, second = evaluate([Job(rest, tmp_path / "a", ORIGIN), Job(fresh, tmp_path / "b", ORIGIN)], task)
    assert without_clock(first) == without_clock(second)
    assert (rest.encoded, fresh.encoded) == (2, 6)


def test_what_is_finished_is_not_measured_again(task: Task, tmp_path: Path) -> None:
    first = evaluate_one(FeatureCoder(), task, tmp_path / "out")
    again = FeatureCoder()
    assert evaluate_one(again, task, tmp_path / "out") == first == read_summary(tmp_path / "out")
    assert again.encoded == 0


def test_several_coders_at_once_give_what_each_gives_alone(task: Task, tmp_path: Path) -> None:
    def coarse(name: str, level: Tensor) -> Tensor:
        return level.round(decimals=1)

    alone = [
        evaluate_one(FeatureCoder(), task, tmp_path / "a"),
        evaluate_one(FeatureCoder(coarse), task, tmp_path / "b"),
    ]
    jobs = [Job(FeatureCoder(), tmp_path / "c", ORIGIN), Job(FeatureCoder(coarse), tmp_path / "d", ORIGIN)]
    assert [without_clock(summary) for summary in evaluate(jobs, task)] == [without_clock(one) for one in alone]


def test_matches_on_disk_give_the_ap_of_the_detections_on_disk(task: Task, tmp_path: Path) -> None:
    summary = evaluate_one(FeatureCoder(lambda name, level: level.round(decimals=1)), task, tmp_path / "out")
    entries = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert len(entries) > 10
    assert average_precision_of(Matches.load(tmp_path / "out" / "matches.npz")).map == summary.map
    assert average_precision_of(Matches.load(tmp_path / "out" / "self_matches.npz")).map == summary.self_map


def test_payloads_that_are_not_what_was_estimated_are_flagged(task: Task, tmp_path: Path) -> None:
    # Allowed are 1 % and 8 bytes: 10 + 64 bits of 1000.
    exact = Promising({"p2": 1074, "p3": 926}, {"p2": 1000.0, "p3": 1000.0})
    off = Promising({"p2": 1075, "p3": 925}, {"p2": 1000.0, "p3": 1000.0})
    assert evaluate_one(exact, task, tmp_path / "exact").flagged_images == 0
    summary = evaluate_one(off, task, tmp_path / "off")
    assert summary.flagged_images == 6
    assert {row.flagged for row in read_images(tmp_path / "off")} == {("p2", "p3")}
    assert summary.bpp_estimated == pytest.approx(2000 / 192**2)
    assert summary.bpp_level == {"p2": pytest.approx(1075 / 192**2), "p3": pytest.approx(925 / 192**2)}


def test_bits_that_levels_share_are_told_apart_and_a_run_has_several_qualities(task: Task, tmp_path: Path) -> None:
    with known_to_the_format():
        model = trained(task.detector.spec)
        jobs = [
            Job(LearnedCoder(model, quality), tmp_path / f"q{quality:g}", Origin("run_1", model.hash, quality=quality))
            for quality in (0.0, 2.5)
        ]
        low, high = evaluate(jobs, task)
    assert (low.quality, high.quality) == (0.0, 2.5)
    assert low.bpp < high.bpp
    for job, summary in zip(jobs, (low, high), strict=True):
        assert summary.bpp_level is not None
        assert summary.bpp_header is not None
        assert set(summary.bpp_level) == {"shared"}
        assert summary.bpp_level["shared"] + summary.bpp_header == pytest.approx(summary.bpp)
        assert {tuple(row.bits_level) for row in read_images(job.directory)} == {("shared",)}
        assert summary.flagged_images == 0


def test_the_snr_of_a_model_is_that_of_its_training_on_the_same_images(task: Task, tmp_path: Path) -> None:
    settings = config()
    features = feature_cache(Cache(directory=str(tmp_path / "features")), task.detector, task.images)
    torch.manual_seed(0)
    codec = build_codec(FactorizedCodec(channels=4, latent_channels=2), task.detector.spec)
    loaded = [features.load(index) for index in range(2)]  # the variance of two images is not that of all six
    codec.standardiser.set(calibrate((each.pyramid, each.geometry) for each in loaded))
    settings = settings.model_copy(update={"codec": FactorizedCodec(channels=4, latent_channels=2)})
    learner = CodecLearner(
        codec, settings, features, features, objective(settings, codec), "f" * 64, torch.device("cpu")
    )
    for epoch in (1, 2, 3):
        learner.step(epoch, 0, 1e-3)
    validation = learner.validate()
    model = build_codec(settings.codec, task.detector.spec).eval()
    model.load_state_dict(validation.content()["state_dict"])
    trained_codec = TrainedCodec(model, settings, "f" * 64, 1, model_hash(model.state_dict()))
    variance = model.standardiser.variance()
    (summary,) = evaluate([Job(LearnedCoder(trained_codec), tmp_path / "out", ORIGIN, variance)], task)
    assert summary.snr_db == pytest.approx(validation.values.snr_db, abs=0.01)
    assert summary.snr_variance == variance
    by_images = {name: 10 * math.log10(task.reference.variance[name] / variance[name]) for name in variance}
    assert max(map(abs, by_images.values())) > 0.1  # so that the other variance would be noticed
    assert evaluate_one(FeatureCoder(), task, tmp_path / "none").snr_variance == task.reference.variance


def test_a_directory_of_another_evaluation_is_refused(task: Task, tmp_path: Path) -> None:
    evaluate_one(FeatureCoder(), task, tmp_path / "out")
    other = build_task(config(seed=6))
    with pytest.raises(UserError) as caught:
        evaluate_one(FeatureCoder(name="other"), other, tmp_path / "out")
    assert str(caught.value) == (
        f"{tmp_path / 'out'}: holds an evaluation of something else: "
        f"required data_id {other.reference.data_id}, codec other; "
        f"found data_id {task.reference.data_id}, codec raw; move the directory away to evaluate anew"
    )


def test_a_second_process_is_kept_out_of_the_directory(task: Task, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    take = "lock = DirectoryLock(pathlib.Path(sys.argv[1]), 'evaluate')"
    hold = f"import pathlib, sys; from fpnkit.foundation.lock import DirectoryLock; {take}; print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path / "out")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(RunError) as caught:
            evaluate_one(FeatureCoder(), task, tmp_path / "out")
        other.communicate("\n")
    message = f"{tmp_path / 'out'}: another process is evaluating into this directory; wait for it"
    assert str(caught.value) == message
    assert evaluate_one(FeatureCoder(), task, tmp_path / "out").images == 6


def test_boxes_of_an_image_received_larger_are_those_of_the_original(task: Task, tmp_path: Path) -> None:
    summary = evaluate_one(ImageCoder(repeats=2), task, tmp_path / "out")
    assert summary.map is not None
    assert task.reference.ceiling.map is not None
    assert summary.map > 0.5 * task.reference.ceiling.map


def folder_task(folder: Path, sizes: Sequence[tuple[int, int]]) -> Task:
    """The built-in detector on unlabeled corners, (height, width) each, of built-in images."""
    folder.mkdir()
    shapes = ShapesSet(len(sizes), 5)
    for index, (height, width) in enumerate(sizes):
        pixels = shapes[index].image[:, :height, :width].permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(folder / f"{index}.png")
    values = plain(config())
    values["data"]["test"] = {"kind": "folder", "images": str(folder)}
    settings = validate(values)
    assert isinstance(settings, CodecConfig)
    return build_task(settings)


def test_the_rate_of_a_set_is_its_bits_over_its_pixels_whatever_the_sizes(home: Path, tmp_path: Path) -> None:
    sizes = [(192, 192), (64, 96)]
    summary = evaluate_one(FeatureCoder(), folder_task(tmp_path / "pictures", sizes), tmp_path / "out")
    bits = [8 * row.bytes for row in read_images(tmp_path / "out")]
    pixels = [height * width for height, width in sizes]
    assert summary.bpp == pytest.approx(sum(bits) / sum(pixels), rel=1e-9)
    of_each = [one / area for one, area in zip(bits, pixels, strict=True)]
    assert abs(sum(of_each) / 2 - summary.bpp) > 0.01 * summary.bpp  # the mean of rates would be another number


def test_without_labels_the_detector_is_held_to_itself(home: Path, tmp_path: Path) -> None:
    task = folder_task(tmp_path / "pictures", [(192, 192)] * 3)
    summary = evaluate_one(FeatureCoder(lambda name, level: level + level.roll(1, dims=3)), task, tmp_path / "out")
    assert (summary.map, summary.map50, summary.map_interval, summary.ceiling.map) == (None, None, None, None)
    assert summary.self_map is not None
    assert 0.3 < summary.self_map < 1
    assert summary.share_of_ceiling is None
    assert summary.self_map is not None


def test_the_score_of_the_ceiling_is_that_of_the_detector_alone(task: Task) -> None:
    found = []
    for index in range(len(task.images)):
        batch = task.detector.prepare([task.images[index].image])
        with torch.no_grad():
            found += task.detector.detect(task.detector.complete(task.detector.pyramid(batch)), batch.geometry)
    assert average_precision(task.reference.truth, found).map == task.reference.ceiling.map


def test_the_ceiling_is_measured_once_and_read_back_the_same(
    task: Task, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr("fpnkit.evaluation.task._without_codec", refuse)
    again = build_task(config()).reference
    assert again.ceiling == task.reference.ceiling
    assert again.variance == task.reference.variance
    for left, right in zip(again.self_truth, task.reference.self_truth, strict=True):
        assert torch.equal(left.boxes, right.boxes)
        assert torch.equal(left.labels, right.labels)


def test_another_threshold_of_scores_has_a_ceiling_of_its_own(home: Path, tmp_path: Path) -> None:
    save_detr(tmp_path / "lab_detr", "rt_detr")

    def task(**given: float) -> Task:
        detector = {"kind": "transformers", "model": str(tmp_path / "lab_detr"), **given}
        settings = validate({**plain(config(images=2)), "detector": detector})
        assert isinstance(settings, CodecConfig)
        return build_task(settings)

    usual, high = task(), task(score_threshold=0.9)
    assert usual.fingerprint == high.fingerprint
    assert [len(found.scores) for found in usual.reference.detections] == [20, 20]
    assert [len(found.scores) for found in high.reference.detections] < [20, 20]
    assert task(score_threshold=0.0).key == usual.key  # the default, spelled out


def test_a_plugin_is_called_by_its_own_name(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, MEAN, {"fpnkit.detectors": "mean = lab_detectors:Mean"})
    detector = {"kind": "plugin", "name": "mean", "options": {"label": 1}}
    settings = validate({**plain(config(images=2)), "detector": detector})
    assert isinstance(settings, CodecConfig)
    task = build_task(settings)
    assert evaluate_one(FeatureCoder(), task, tmp_path / "out").detector == "mean"
    assert task.folder_name == "shapes_2_seed_5_mean"
    assert [path.name for path in (home / "checkpoints" / "ceilings").iterdir()] == ["shapes_2_seed_5_mean"]


def test_no_test_set_is_said() -> None:
    from fpnkit.errors import ConfigError

    settings = config()
    without = settings.model_copy(update={"data": settings.data.model_copy(update={"test": None})})
    with pytest.raises(ConfigError) as caught:
        build_task(without)
    assert str(caught.value) == (
        "data.test: required the images to evaluate on, found none; --set data.test.kind=… adds them"
    )
