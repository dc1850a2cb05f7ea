"""What curves say, from evaluations of which everything is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fpnkit.metrics.bootstrap import resamples
from fpnkit.metrics.matches import average_precision_of
from fpnkit.ratedist.compare import compare, rates_at_shares
from fpnkit.ratedist.judge import NextEpochs, NextLambda, doubts, falling, following, next_lambda, saturated
from fpnkit.ratedist.points import RdPoints, shown_apart
from fpnkit.ratedist.resampling import Resampler
from fpnkit.ratedist.table import read_points
from fpnkit.runs import layout
from fpnkit.runs.record import read_record
from tests.support.rd_store import CEILING, ap_of, matches_of, write_anchor, write_ceiling, write_run

LAMBDAS = (1e-5, 4e-5, 1.6e-4, 6.4e-4, 2.56e-3)
FOUND = (0.3, 0.5, 0.65, 0.74, 0.8)
BPP = (0.02, 0.05, 0.1, 0.2, 0.4)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints" / "fpn_compression"


def curve_on_disk(base: Path, found: tuple[float, ...] = FOUND, factor: float = 1.0, **options: object) -> list[Path]:
    return [
        write_run(base, lmbda, share, factor * bpp, **options)  # type: ignore[arg-type]
        for lmbda, share, bpp in zip(LAMBDAS, found, BPP, strict=False)
    ]


@pytest.fixture
def points(base: Path, tmp_path: Path) -> RdPoints:
    runs = curve_on_disk(base)
    for quality, (found, bpp) in enumerate(zip(FOUND, BPP, strict=True)):
        write_anchor(tmp_path, "jpeg_input", quality, found, 4 * bpp)
    write_ceiling(tmp_path)
    return read_points(runs, home=tmp_path)


def test_a_codec_at_a_quarter_of_the_rate_saves_75_percent_in_every_resample(points: RdPoints) -> None:
    """Both find the same objects in every image: the interval is a point, but for whole bytes."""
    result = compare(points.curve("jpeg_input"), points.curve("factorized"), Resampler("bpp", "map", 60))
    assert result.bd_rate_percent == pytest.approx(-75, abs=0.1)
    assert result.bd_rate_interval == pytest.approx((-75, -75), abs=0.2)
    assert result.overlap == pytest.approx((ap_of(0.3), ap_of(0.8)))
    assert result.reason is None
    assert result.interval_reason is None


def test_intervals_of_a_comparison_lie_around_it(points: RdPoints, base: Path, tmp_path: Path) -> None:
    """The other curve finds more at the same rates, in some images: in a resample there are more of these, or fewer."""
    for quality, (found, bpp) in enumerate(zip(FOUND, BPP, strict=True)):
        write_anchor(tmp_path, "webp_input", quality, found + 0.05, bpp)
    both = read_points(list(base.iterdir()), home=tmp_path)
    result = compare(both.curve("factorized"), both.curve("webp_input"), Resampler("bpp", "map", 60))
    assert result.bd_rate_percent is not None
    assert result.bd_rate_interval is not None
    assert result.bd_rate_interval[0] < result.bd_rate_percent - 1
    assert result.bd_rate_percent + 1 < result.bd_rate_interval[1] < 0
    assert result.bd_metric is not None
    assert result.bd_metric_interval is not None
    assert 0 < result.bd_metric_interval[0] < result.bd_metric < result.bd_metric_interval[1] < 0.2


def test_curves_of_other_images_or_detectors_are_refused(points: RdPoints) -> None:
    anchor, test, sampler = points.curve("jpeg_input"), points.curve("factorized"), Resampler("bpp", "map", 10)
    other = compare(replace(anchor, data_id="b" * 16, dataset="bccd"), test, sampler)
    assert (other.bd_rate_percent, other.reason) == (
        None,
        "required the same images, found bccd (bbbbbbbbbbbbbbbb) under jpeg_input "
        "and coco-val (dddddddddddddddd) under factorized",
    )
    assert compare(anchor, replace(test, detector_id="0" * 16), sampler).reason == (
        "required the same detector, found nanodet_m (eeeeeeeeeeeeeeee) under jpeg_input "
        "and nanodet_m (0000000000000000) under factorized"
    )
    assert compare(anchor, test, Resampler("bpp", "loss", 10)).reason == (
        "required a metric that rises with the rate, found the loss"
    )


def test_resampled_points_equal_counting_by_hand(points: RdPoints) -> None:
    """The third point, on the first draw of the images."""
    drawn = Resampler("bpp", "map", 5).draw(points.curve("factorized"))
    weights = resamples(100, 5)[0]
    assert drawn is not None
    assert drawn.values.shape == (5, 5)
    assert drawn.values[0, 2] == pytest.approx(average_precision_of(matches_of(0.65), weights).map)
    sizes = np.random.default_rng(1).uniform(0.5, 1.5, 100)
    pixels = np.tile([120 * 200, 520 * 200], 50)
    expected = (weights @ sizes) / (weights @ pixels) * pixels.sum() / sizes.sum()
    assert abs(expected - (weights @ sizes) / sizes.sum()) > 0.01  # so that pixels must have been drawn as well
    assert drawn.rates[0, 2] == pytest.approx(0.1 * expected, rel=1e-3)


def test_the_rate_at_a_share_of_the_ceiling(points: RdPoints) -> None:
    curve = points.curve("factorized")
    whole, most, half = rates_at_shares(
        points, curve, Resampler("bpp", "map", 200), (1.0, ap_of(0.74) / ap_of(0.8), 0.1)
    )

    assert whole.rate == pytest.approx(0.4, rel=1e-2)
    assert most.rate == pytest.approx(0.2, rel=1e-2)
    assert most.reached == pytest.approx(1)
    assert most.interval is not None
    assert 0.1 < most.interval[0] < 0.2 < most.interval[1] < 0.41
    assert (half.rate, half.interval) == (None, None)
    assert half.reason == "below the lowest point: 0.02 already gives 30.7 %"


def test_a_share_that_a_curve_or_its_resamples_do_not_reach_is_said(base: Path, tmp_path: Path) -> None:
    runs = curve_on_disk(base, (0.3, 0.5, 0.65, 0.74, 0.77))
    write_ceiling(tmp_path)
    points = read_points(runs, home=tmp_path)
    curve, sampler = points.curves[0], Resampler("bpp", "map", 200)

    never, hardly = rates_at_shares(points, curve, sampler, (0.99, ap_of(0.765) / ap_of(CEILING)))

    assert (never.rate, never.reason) == (None, "not reached: 77.2 % at most, 79.4 % required")
    assert hardly.rate is not None
    assert hardly.interval is None
    assert hardly.reached is not None
    assert 0.3 < hardly.reached < 0.95
    assert hardly.interval_reason == f"not reached in {100 * (1 - hardly.reached):.0f} % of resamples"


@pytest.mark.parametrize(
    ("key", "low", "high", "texts"),
    [
        ("map", 0.4, 0.5, ("40.0 %", "50.0 %")),
        ("map", 0.67696, 0.67704, ("67.696 %", "67.704 %")),
        ("snr_db.mean", 12.34567, 12.34612, ("12.3457", "12.3461")),
    ],
)
def test_what_is_nearly_reached_is_told_apart(key: str, low: float, high: float, texts: tuple[str, str]) -> None:
    assert shown_apart(key, low, high) == texts


def test_without_matches_there_is_no_interval(points: RdPoints) -> None:
    curve = points.curve("factorized")
    (result,) = rates_at_shares(replace(points, ceiling_directory=None), curve, Resampler("bpp", "map", 10), (0.9,))
    assert result.rate is not None
    assert (result.interval, result.interval_reason) == (None, "the ceiling kept no matches to resample")
    assert curve.points[0].directory is not None
    (curve.points[0].directory / "matches.npz").unlink()
    result = compare(points.curve("jpeg_input"), curve, Resampler("bpp", "map", 10))  # type: ignore[assignment]
    assert result.interval_reason == "the evaluations kept no matches to resample"


def test_a_curve_on_few_images_has_no_intervals(base: Path, tmp_path: Path) -> None:
    runs = curve_on_disk(base, images=19)
    for quality, (found, bpp) in enumerate(zip(FOUND, BPP, strict=True)):
        write_anchor(tmp_path, "jpeg_input", quality, found, 4 * bpp, images=19)
    write_ceiling(tmp_path)
    few = read_points(runs, home=tmp_path)
    sampler = Resampler("bpp", "map", 10)
    told = "fewer than 20 images: no interval"
    curve, anchor = few.curves
    (result,) = rates_at_shares(few, curve, sampler, [0.5])
    assert result.rate is not None
    assert (result.interval, result.interval_reason) == (None, told)
    saving = compare(anchor, curve, sampler)
    assert saving.bd_rate_percent is not None
    assert (saving.bd_rate_interval, saving.interval_reason) == (None, told)
    assert f"coco-val: {told}" in few.warnings
    assert all(point.intervals == {} for point in curve.points)


def test_snr_has_no_ceiling(points: RdPoints) -> None:
    assert rates_at_shares(points, points.curves[0], Resampler("bpp", "snr_db.mean", 10)) == []


def test_a_dominated_point_is_explained(base: Path, tmp_path: Path) -> None:
    chance = curve_on_disk(base, (0.3, 0.5, 0.48))
    (curve,) = read_points(chance, home=tmp_path).curves
    assert doubts(curve, "bpp", "map") == [
        "factorized: lambda 1.6e-4 is dominated by lambda 4e-5 (48.5 % at 0.1 bpp against 50.5 % at 0.05 bpp); "
        "the difference is within its 95 % interval"
    ]


def test_a_run_that_has_not_converged_is_named(base: Path, tmp_path: Path) -> None:
    """2 % an epoch over the last three."""
    losses = [3.0, 1.0, 0.98, 0.98**2, 0.98**3]
    runs = [write_run(base, 1e-4, 0.5, 0.1), write_run(base, 1e-3, 0.2, 0.2, losses=losses)]
    (curve,) = read_points(runs, home=tmp_path).curves
    assert falling(curve.points[1]) == pytest.approx(0.02)
    assert falling(curve.points[0]) == pytest.approx(0)
    assert doubts(curve, "bpp", "map") == [
        "factorized: lambda 1e-3 is dominated by lambda 1e-4 (20.8 % at 0.2 bpp against 50.5 % at 0.1 bpp); "
        "run 20261216_140100 has not converged: the validation loss still fell by 2.0 % an epoch"
    ]


def test_a_collapsed_run_is_named(base: Path, tmp_path: Path) -> None:
    runs = [write_run(base, 1e-7, 0.01, 0.002, snr_db={"p3": 0.1, "p4": 0.2}), write_run(base, 1e-4, 0.5, 0.1)]
    (curve,) = read_points(runs, home=tmp_path).curves
    assert doubts(curve, "bpp", "map") == [
        "factorized: lambda 1e-7: run 20261216_140000 has collapsed (0.002 bpp, SNR 0.1 dB): "
        "lambda is too small for its distortion"
    ]


def test_a_single_point_is_said(base: Path, tmp_path: Path) -> None:
    (curve,) = read_points(curve_on_disk(base, (0.5,)), home=tmp_path).curves
    assert doubts(curve, "bpp", "map") == ["factorized: has a single point: a line needs two, a BD-rate 4"]


def test_the_next_lambda_is_in_the_largest_gap(base: Path, tmp_path: Path) -> None:
    runs = [
        write_run(base, lmbda, found, bpp)
        for lmbda, found, bpp in ((1e-5, 0.3, 0.02), (9e-5, 0.6, 0.1), (1e-3, 0.8, 0.2))
    ]
    points = read_points(runs, home=tmp_path)
    found = next_lambda(points, points.curves[0], "bpp", "map")
    assert found is not None
    assert found.lmbda == pytest.approx(3e-5)
    assert found.reason == "between lambda 1e-5 and 9e-5 the rate grows 5.0 times, the largest gap"


def test_the_next_lambda_is_above_a_curve_that_ends_low(base: Path, tmp_path: Path) -> None:
    points = read_points(curve_on_disk(base, (0.3, 0.5)), home=tmp_path)
    assert next_lambda(points, points.curves[0], "bpp", "map") == NextLambda(
        "factorized", pytest.approx(1.6e-4), "the curve ends at 63 % of the ceiling; 4 times the largest lambda"
    )


def test_a_saturated_curve_needs_no_larger_lambda(base: Path, tmp_path: Path) -> None:
    points = read_points(curve_on_disk(base, (0.3, 0.5, 0.65, 0.65)), home=tmp_path)
    curve = points.curves[0]
    assert saturated(points, curve, "bpp", "map") == (
        "factorized: saturates at 81 % of the ceiling (4 times the lambda made 65.3 % of 65.3 %): "
        "a larger codec or longer training, not a larger lambda"
    )
    found = next_lambda(points, curve, "bpp", "map")
    assert found is not None
    assert found.lmbda == pytest.approx(2e-5)


def test_runs_whose_loss_still_falls_come_first(base: Path, tmp_path: Path) -> None:
    losses = [3.0, 1.0, 0.98, 0.98**2, 0.98**3]
    runs = [write_run(base, 1e-5, 0.3, 0.02), write_run(base, 1e-3, 0.6, 0.2, losses=losses)]
    points = read_points(runs, home=tmp_path)
    found = following(points, points.curves[0], "bpp", "map")
    assert isinstance(found, NextEpochs)
    name = layout.short_name(runs[1].name)
    assert found.runs == (name,)
    assert found.what == "train it longer"
    assert found.reason == f"the validation loss still fell by up to 2.0 % an epoch in {name}"
    assert found.commands == [["fpnkit.train", "--resume", name, "--epochs", str(found.epochs)]]
    assert found.epochs == 2 * (read_record(runs[1]).epochs or 0)


def test_lambdas_whose_rates_have_not_parted_come_first(base: Path, tmp_path: Path) -> None:
    runs = [write_run(base, 1e-5, 0.30, 0.1000), write_run(base, 1e-4, 0.31, 0.1010), write_run(base, 1e-3, 0.6, 0.3)]
    points = read_points(runs, home=tmp_path)
    found = following(points, points.curves[0], "bpp", "map")
    assert isinstance(found, NextEpochs)
    names = [layout.short_name(run.name) for run in runs[:2]]
    assert found.runs == tuple(names)
    assert found.what == "train them longer"
    assert found.reason == f"lambda 1e-5 and 1e-4 have the same rate, 0.1 bpp in {', '.join(names)}"


def test_anchors_have_no_next_lambda(points: RdPoints) -> None:
    assert next_lambda(points, points.curve("jpeg_input"), "bpp", "map") is None
    assert saturated(points, points.curve("jpeg_input"), "bpp", "map") is None
