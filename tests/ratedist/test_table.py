"""From directories to points, curves and the table."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from fpnkit.errors import UserError
from fpnkit.ratedist.points import RdPoints, mean_snr_db
from fpnkit.ratedist.table import frame, read_points
from fpnkit.runs.layout import evaluation_directory
from tests.support import rd_store as rd_files
from tests.support.rd_store import ap_of, write_anchor, write_ceiling, write_evaluation, write_run


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints" / "fpn_compression"


def test_a_row_for_each_point_in_order_of_rate(base: Path, tmp_path: Path) -> None:
    runs = [write_run(base, 1e-3, 0.7, 0.4), write_run(base, 1e-5, 0.3, 0.02), write_run(base, 1e-4, 0.5, 0.1)]
    write_anchor(tmp_path, "jpeg_input", 40, 0.6, 0.9)

    table = frame(read_points(runs, home=tmp_path))

    assert table["curve"].tolist() == ["factorized"] * 3 + ["jpeg_input"]
    assert table["run"].tolist()[:3] == [runs[1].name, runs[2].name, runs[0].name]
    assert table["lmbda"].tolist()[:3] == [1e-5, 1e-4, 1e-3]
    assert table["quality"].tolist()[3:] == [40]
    assert table["status"].tolist() == ["finished"] * 3 + ["anchor"]
    assert table["map"].tolist() == pytest.approx([ap_of(0.3), ap_of(0.5), ap_of(0.7), ap_of(0.6)])
    assert table["bpp"].tolist() == pytest.approx([0.02, 0.1, 0.4, 0.9], rel=1e-2)
    assert table["bpp_gap"].tolist()[0] == pytest.approx(table["bpp"][0] / table["bpp_estimated"][0] - 1)
    assert table["ceiling_map"].tolist() == pytest.approx([ap_of(0.8)] * 4)
    assert table["share_of_ceiling"].tolist()[2] == pytest.approx(ap_of(0.7) / ap_of(0.8))
    assert table["dataset"].tolist() == ["coco-val"] * 4
    assert table["loss"].tolist()[:3] == [0.5] * 3
    assert (table["map_low"] < table["map"]).all()
    assert (table["map_high"] > table["map"]).all()
    assert table["evaluated"].all()
    assert not table["dominated"].any()


def test_a_run_of_several_qualities_is_several_points_of_one_curve(base: Path, tmp_path: Path) -> None:
    run = write_run(base, 1e-3)
    origin = {"run": run.name, "lmbda": 1e-3, "checkpoint": "0000aaaa", "epoch": 6}
    for quality, found, bpp in ((0.0, 0.3, 0.02), (2.5, 0.5, 0.1), (5.0, 0.7, 0.4)):
        directory = evaluation_directory(run, "coco-val", "0000aaaa", quality)
        write_evaluation(directory, found, bpp, quality=quality, **origin)
    write_evaluation(run / "evaluation" / "coco-val" / "0000aaaa" / "streams", 0.1, 0.01, **origin)
    older = evaluation_directory(run, "coco-val", "0000bbbb", 1.0)
    write_evaluation(older, 0.2, 0.4, quality=1.0, **(origin | {"checkpoint": "0000bbbb", "epoch": 2}))
    assert older.name == "q1"

    points = read_points([run], home=tmp_path)
    table = frame(points)

    assert table["curve"].tolist() == ["factorized"] * 3
    assert table["run"].tolist() == [run.name] * 3
    assert table["quality"].tolist() == [0.0, 2.5, 5.0]
    assert table["map"].tolist() == pytest.approx([ap_of(0.3), ap_of(0.5), ap_of(0.7)])
    assert points.curves[0].series("bpp", "map").labels[1] == "lambda 1e-3, quality 2.5"
    assert points.warnings == ()


def test_lambda_and_quality_of_a_point_are_those_it_was_measured_at(base: Path, tmp_path: Path) -> None:
    """One run that trained for a whole curve, whose own lambda is the highest; an old evaluation says none."""
    run = write_run(base, 1e-3)
    for quality, lmbda, bpp in ((0.0, 1e-5, 0.02), (1.0, 1e-4, 0.1), (2.0, None, 0.4)):
        directory = evaluation_directory(run, "coco-val", "0000aaaa", quality)
        origin = {"run": run.name, "checkpoint": "0000aaaa", "epoch": 6}
        write_evaluation(directory, 0.3 + bpp, bpp, quality=quality, lmbda=lmbda, **origin)
    table = frame(read_points([run], home=tmp_path))
    assert table["quality"].tolist() == [0.0, 1.0, 2.0]
    assert table["lmbda"].tolist() == [1e-5, 1e-4, 1e-3]


def test_mean_snr_averages_noise_not_decibels(base: Path, tmp_path: Path) -> None:
    """10 dB and 20 dB are noise-to-signal ratios of 0.1 and 0.01, in the mean 0.055."""
    run = write_run(base, 1e-3, 0.7, 0.4, snr_db={"p3": 10.0, "p4": 20.0})
    table = frame(read_points([run], home=tmp_path))
    assert table["snr_db.mean"].tolist() == pytest.approx([-10 * math.log10(0.055)])
    assert table["snr_db.p4"].tolist() == [20.0]
    assert mean_snr_db({"p3": 7.0, "p4": 7.0}) == pytest.approx(7)


SNR = {"p3": 10.0, "p4": 20.0}
OLD: dict[str, Any] = {"snr_db": SNR, "snr_variance": None}  # made before the variance was noted
OF_IMAGES = {"p3": 2.0, "p4": 4.0}


def snr_of(points: RdPoints) -> dict[str, list[float]]:
    return {curve.name: [point.values.get("snr_db.p3", math.nan) for point in curve.points] for curve in points.curves}


def ceiling_with_variance(home: Path) -> None:
    path = write_ceiling(home) / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"variance": OF_IMAGES}))


def test_snr_is_converted_to_the_reference_variance_of_the_model(base: Path, tmp_path: Path) -> None:
    ceiling_with_variance(tmp_path)
    model = {"p3": 4.0, "p4": 4.0}  # p3: 3.01 dB more than by the variance of the images
    runs = [
        write_run(base, 1e-4, 0.5, 0.1, snr_db=SNR, snr_variance=model),
        write_run(base, 1e-3, 0.7, 0.4, **OLD),
    ]
    runs.append(write_run(base, 1e-2))
    write_anchor(tmp_path, "jpeg_input", 40, 0.6, 0.9, snr_db=SNR, snr_variance=OF_IMAGES)
    write_anchor(tmp_path, "webp_input", 40, 0.6, 0.9, **OLD)
    points = read_points(runs, home=tmp_path)
    more = 10 + 10 * math.log10(2)
    found = snr_of(points)
    assert sorted(found.pop("factorized")) == pytest.approx([5.5, 10.0, more], abs=1e-9)
    assert found == {"jpeg_input": [pytest.approx(more)], "webp_input": [pytest.approx(more)]}
    table = frame(points).set_index("codec")
    assert table.loc["jpeg_input", "snr_db.mean"] == pytest.approx(mean_snr_db({"p3": more, "p4": 20.0}))
    assert not any("SNR" in warning for warning in points.warnings)


def test_snr_by_a_variance_that_is_not_known_is_left_out_beside_a_models(base: Path, tmp_path: Path) -> None:
    runs = [write_run(base, 1e-4, 0.5, 0.1, snr_db=SNR, snr_variance=OF_IMAGES), write_run(base, 1e-3, 0.7, 0.4, **OLD)]
    points = read_points(runs, home=tmp_path)
    assert snr_of(points)["factorized"] == [10.0, pytest.approx(math.nan, nan_ok=True)]
    assert points.warnings == (
        "SNR of 1 point left out, evaluated by an older fpnkit: the variance it is by is not known",
    )


def test_evaluations_without_a_models_variance_keep_their_snr_and_validations_do_not_stand_beside_them(
    base: Path, tmp_path: Path
) -> None:
    runs = [write_run(base, 1e-4, 0.5, 0.1, **OLD), write_run(base, 1e-3)]
    points = read_points(runs, home=tmp_path)
    assert snr_of(points)["factorized"] == [10.0, pytest.approx(math.nan, nan_ok=True)]
    assert points.warnings[0] == (
        "SNR of 1 point left out, without evaluation: it is by the model's variance, "
        "that of the evaluations by the images'"
    )
    alone = read_points(runs[1:], home=tmp_path)
    assert snr_of(alone)["factorized"] == [pytest.approx(5.5)]


def test_the_evaluation_of_the_best_checkpoint_is_taken(base: Path, tmp_path: Path) -> None:
    """Also where an older checkpoint was evaluated later."""
    run = write_run(base, 1e-3, 0.7, 0.4)
    older = {"epoch": 2, "checkpoint": "0000aaaa", "created": "2027-01-01T00:00:00.000+00:00"}
    write_evaluation(run / "evaluation" / "coco-val" / "0000aaaa", 0.2, 0.4, run=run.name, lmbda=1e-3, **older)

    points = read_points([run], home=tmp_path)

    assert frame(points)["map"].tolist() == pytest.approx([ap_of(0.7)])
    assert points.warnings == ()


def test_a_run_measured_on_copies_of_one_set_is_one_point_of_one_curve(base: Path, tmp_path: Path) -> None:
    runs = [write_run(base, lmbda, found, bpp) for lmbda, found, bpp in ((1e-5, 0.3, 0.02), (1e-4, 0.5, 0.1))]
    copy = runs[0] / "evaluation" / "a copy"
    shutil.copytree(runs[0] / "evaluation" / "coco-val", copy)
    file = next(copy.rglob("summary.json"))
    newer = {"dataset": "a copy", "created": "2026-12-17T15:00:00.000+00:00"}
    file.write_text(json.dumps(json.loads(file.read_text()) | newer))
    for dataset in (None, "coco-val", "a copy"):
        (curve,) = read_points(runs, dataset=dataset, home=tmp_path).curves
        assert [point.lmbda for point in curve.points] == [1e-5, 1e-4]
        assert [len(step) for step in curve.steps("bpp", "map")] == [1, 1]
        assert curve.points[0].directory == file.parent


def test_an_older_checkpoint_is_drawn_with_a_warning(base: Path, tmp_path: Path) -> None:
    run = write_run(base, 1e-3, 0.7, 0.4, evaluated_epoch=4)
    points = read_points([run], home=tmp_path)
    assert frame(points)["epoch"].tolist() == [4]
    assert points.warnings == (
        "run 20261216_140000: drawn with an older checkpoint: evaluated at epoch 4, its best is of epoch 6; "
        "python -m fpnkit.evaluate 20261216_140000",
    )


def test_runs_on_their_way_have_their_validations(base: Path, tmp_path: Path) -> None:
    measured = write_run(base, 1e-4, 0.7, 0.4)
    running = write_run(base, 1e-3, end=None, losses=[3.0, 2.0, 1.5], bpp=0.8)
    (running / "run.json").write_text((running / "run.json").read_text().replace("elsewhere", "far away"))

    points = read_points([measured, running], home=tmp_path)

    (curve,) = points.curves
    point = curve.points[1]
    assert point.status == "running"
    assert not point.solid
    assert curve.points[0].solid
    assert point.values["loss"] == 1.5
    assert [values["loss"] for values in point.trail] == [3.0, 2.0]
    assert point.values["bpp_estimated"] == pytest.approx(0.8 * 1.1)
    assert "bpp" not in point.values
    assert points.warnings == ()


def test_what_has_no_evaluation_or_crashed_is_said(base: Path, tmp_path: Path) -> None:
    runs = [
        write_run(base, 1e-4),
        write_run(base, 1e-3, 0.7, 0.4, end=(1, "diverged")),
        write_run(base, 1e-5, losses=(), end=(130, "STOP file")),
    ]
    points = read_points(runs, home=tmp_path)
    assert [point.run for curve in points.curves for point in curve.points] == [runs[0].name]
    assert points.warnings == (
        "run 20261216_140100: left out: crashed (diverged)",
        "run 20261216_140200: left out: stopped, without an evaluation or a validation so far",
        "1 run not evaluated: python -m fpnkit.evaluate 20261216_140000",
    )


def test_runs_that_differ_in_more_than_lambda_and_seed_are_not_joined(base: Path, tmp_path: Path) -> None:
    runs = [
        write_run(base, 1e-4, 0.5, 0.1),
        write_run(base, 1e-3, 0.6, 0.2, seed=3, settings={"training.device": "cpu", "training.keep_best": 1}),
        write_run(base, 1e-4, 0.6, 0.1, settings={"codec.channels": 96}),
    ]
    points = read_points(runs, home=tmp_path)
    assert [(curve.name, len(curve.points)) for curve in points.curves] == [
        ("factorized channels=64", 2),
        ("factorized channels=96", 1),
    ]
    assert points.warnings == (
        "factorized channels=96 is not joined with factorized channels=64: codec.channels 96 against 64",
    )


def test_many_differences_are_numbered_and_named(base: Path, tmp_path: Path) -> None:
    other = {"codec.channels": 96, "codec.latent_channels": 32, "training.lr": 5e-3, "training.epochs": 9}
    runs = [write_run(base, 1e-4, 0.5, 0.1), write_run(base, 1e-4, 0.6, 0.1, settings=other)]
    points = read_points(runs, home=tmp_path)
    assert [curve.name for curve in points.curves] == ["factorized #1", "factorized #2"]
    assert points.warnings == (
        "factorized #2 is not joined with factorized #1: codec.channels 96 against 64, "
        "codec.latent_channels 32 against 64, training.epochs 9 against 6, training.lr 0.005 against 0.0001",
    )


def test_a_setting_that_one_run_does_not_have_is_said_to_be_the_default(base: Path, tmp_path: Path) -> None:
    ours = {"codec.halvings": {"p2": 2, "p3": 1}}
    runs = [write_run(base, 1e-4, 0.5, 0.1, settings=ours), write_run(base, 1e-4, 0.6, 0.1)]
    points = read_points(runs, home=tmp_path)
    assert [curve.name for curve in points.curves] == ["factorized p2=2 p3=1", "factorized p2=default p3=default"]
    assert points.warnings == (
        "factorized p2=default p3=default is not joined with factorized p2=2 p3=1: "
        "codec.halvings.p2 default against 2, codec.halvings.p3 default against 1",
    )


def test_another_data_set_or_detector_is_left_out_and_said(base: Path, tmp_path: Path) -> None:
    runs = [
        write_run(base, 1e-4, 0.5, 0.1),
        write_run(base, 1e-3, 0.6, 0.2),
        write_run(base, 1e-2, 0.7, 0.3, dataset="bccd", data_id="b" * 16),
        write_run(base, 1e-2, 0.7, 0.3, data_id="f" * 16),
        write_run(base, 1e-2, detector="shapes_fcos"),
    ]
    write_anchor(tmp_path, "jpeg_input", 40, 0.6, 0.9, data_id="b" * 16)

    points = read_points(runs, home=tmp_path)

    assert [point.run for curve in points.curves for point in curve.points] == [runs[0].name, runs[1].name]
    assert points.warnings == (
        "1 run left out: evaluated on bccd with nanodet_m, not on coco-val with nanodet_m: 20261216_140200",
        "1 run left out: evaluated on coco-val with nanodet_m of another content (ffffffffffffffff, detector "
        "eeeeeeeeeeeeeeee), not on coco-val with nanodet_m: 20261216_140300",
        "1 run left out: made for the features of shapes_fcos, not of nanodet_m: 20261216_140400",
    )


def test_a_data_set_is_chosen_by_name(base: Path, tmp_path: Path) -> None:
    runs = [write_run(base, 1e-4, 0.5, 0.1), write_run(base, 1e-2, 0.7, 0.3, dataset="bccd", data_id="b" * 16)]
    assert read_points(runs, dataset="bccd", home=tmp_path).dataset == "bccd"
    with pytest.raises(UserError) as error:
        read_points(runs, dataset="cars", home=tmp_path)
    assert str(error.value) == "data set 'cars': no run was evaluated on it; required one of bccd, coco-val"


def test_anchors_are_chosen_by_name_or_a_part_of_it(base: Path, tmp_path: Path) -> None:
    run = write_run(base, 1e-4, 0.5, 0.1)
    for codec in ("jpeg_input", "jpeg_original", "webp_input"):
        write_anchor(tmp_path, codec, 40, 0.6, 0.9)
    write_anchor(tmp_path, "features_hevc", 30, 0.6, 0.9, data_id="b" * 16, dataset="bccd")

    def names(anchors: list[str] | None) -> list[str]:
        return [curve.name for curve in read_points([run], anchors=anchors, home=tmp_path).curves[1:]]

    assert names(None) == ["jpeg_input", "jpeg_original", "webp_input"]
    assert names(["webp_input", "original"]) == ["jpeg_original", "webp_input"]
    assert names([]) == []
    with pytest.raises(UserError) as error:
        names(["features_hevc"])
    assert str(error.value) == (
        "anchor 'features_hevc': required one measured on the same images with the same detector, "
        "found jpeg_input, jpeg_original, webp_input; it was measured on bccd with nanodet_m"
    )


def test_seeds_of_a_lambda_are_one_step(base: Path, tmp_path: Path) -> None:
    """So that the worse seed is not called dominated by the better one."""
    runs = [write_run(base, 1e-4, found, 0.1, seed=seed) for seed, found in enumerate((0.5, 0.6))]
    runs.append(write_run(base, 1e-3, 0.7, 0.2))
    (curve,) = read_points(runs, home=tmp_path).curves
    assert [len(step) for step in curve.steps("bpp", "map")] == [2, 1]
    assert curve.series("bpp", "map").values[0] == pytest.approx((ap_of(0.5) + ap_of(0.6)) / 2)
    assert not frame(read_points(runs, home=tmp_path))["dominated"].any()


def test_a_dominated_point_is_marked(base: Path, tmp_path: Path) -> None:
    runs = [write_run(base, lmbda, found, bpp) for lmbda, found, bpp in ((1, 0.4, 0.1), (2, 0.6, 0.2), (3, 0.5, 0.3))]
    assert frame(read_points(runs, home=tmp_path))["dominated"].tolist() == [False, False, True]


def test_the_ceiling_is_that_of_the_same_images_and_detector(base: Path, tmp_path: Path) -> None:
    run = write_run(base, 1e-4, 0.5, 0.1)
    folder = write_ceiling(tmp_path)
    points = read_points([run], home=tmp_path)
    assert points.ceiling_directory == folder
    assert points.ceiling_of("map") == pytest.approx(ap_of(rd_files.CEILING))
    assert points.ceiling_of("self_map") == 1
    assert points.ceiling_of("snr_db.mean") is None


def test_nothing_at_all_is_an_empty_table(tmp_path: Path) -> None:
    points = read_points([], home=tmp_path)
    assert points.curves == ()
    assert frame(points).empty
    with pytest.raises(UserError) as error:
        points.curve("jpeg")
    assert str(error.value) == "curve 'jpeg': required one of none"


def test_unlabeled_images_are_judged_by_self_map(base: Path, tmp_path: Path) -> None:
    run = write_run(base, 1e-4, 0.5, 0.1, map=None, map50=None, map_interval=None)
    points = read_points([run], home=tmp_path)
    assert points.accuracy == "self_map"
    assert "map" not in points.curves[0].points[0].values
