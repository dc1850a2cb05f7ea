"""What the figure shows, read back from its axes."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from fpnkit.plots.panels import figure_of
from fpnkit.plots.rd import plot_rd
from fpnkit.plots.style import codec_look, style
from fpnkit.ratedist.table import read_points
from tests.support.rd_store import ap_of, write_anchor, write_run

LONG_NAME = "features_as_somebody_codes_them"


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    base = tmp_path / "checkpoints" / "fpn_compression"
    made = [write_run(base, lmbda, found, bpp) for lmbda, found, bpp in ((1e-5, 0.3, 0.02), (1e-4, 0.6, 0.1))]
    made += [write_run(base, 1e-3, found, bpp, seed=seed) for seed, found, bpp in ((0, 0.7, 0.3), (1, 0.74, 0.34))]
    write_anchor(tmp_path, "jpeg_input", 40, 0.6, 0.9)
    write_anchor(tmp_path, "jpeg_input", 80, 0.7, 1.9)
    return made


def line_of(ax, label):
    return next(line for line in ax.get_lines() if line.get_label() == label)


def test_lines_points_and_ceiling(runs: list[Path], tmp_path: Path) -> None:
    ax = plot_rd(read_points(runs, home=tmp_path))

    line = line_of(ax, "factorized")
    np.testing.assert_allclose(line.get_xdata(), [0.02, 0.1, 0.32], rtol=1e-2)
    expected = [ap_of(0.3), ap_of(0.6), (ap_of(0.7) + ap_of(0.74)) / 2]
    np.testing.assert_allclose(line.get_ydata(), 100 * np.array(expected))
    assert (line.get_color(), line.get_marker()) == (codec_look("factorized").color, "o")
    assert line_of(ax, "jpeg_input").get_xdata() == pytest.approx([0.9, 1.9], rel=1e-2)
    assert ax.get_xscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("rate (bits per pixel)", "mAP (%)")
    assert [text.get_text() for text in ax.texts] == [f"uncompressed {100 * ap_of(0.8):.3g}"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["factorized", "jpeg_input"]


def test_a_rate_that_is_not_logarithmic_begins_at_zero_and_the_ceiling_can_be_left_out(
    runs: list[Path], tmp_path: Path
) -> None:
    ax = plot_rd(read_points(runs, home=tmp_path), log=False, ceiling=False)
    assert (ax.get_xscale(), ax.get_xlim()[0]) == ("linear", 0)
    assert list(ax.texts) == []


def test_seeds_are_a_band_from_worst_to_best(runs: list[Path], tmp_path: Path) -> None:
    ax = plot_rd(read_points(runs, home=tmp_path, anchors=[]), intervals=False)
    band = ax.collections[0].get_paths()[0].vertices
    at_last = band[np.isclose(band[:, 0], band[:, 0].max())][:, 1]
    assert (at_last.min(), at_last.max()) == pytest.approx((100 * ap_of(0.7), 100 * ap_of(0.74)))


def test_intervals_are_bars(runs: list[Path], tmp_path: Path) -> None:
    points = read_points(runs[:2], home=tmp_path, anchors=[])
    assert list(plot_rd(points, intervals=False).collections) == []
    bars = [bar.get_segments()[0][:, 1] for bar in plot_rd(points).collections]
    expected = [100 * np.array(point.intervals["map"]) for point in points.curves[0].points]
    np.testing.assert_allclose(bars, expected)


def test_a_run_on_its_way_is_hollow_with_its_trail(runs: list[Path], tmp_path: Path) -> None:
    base = runs[0].parent
    runs.append(write_run(base, 1e-2, None, 0.8, end=None, losses=[3.0, 2.0, 1.5]))
    ax = plot_rd(read_points(runs, home=tmp_path, anchors=[]), y="snr_db.p3")

    trail, hollow = ax.get_lines()[1:3]
    np.testing.assert_allclose(trail.get_ydata(), [3, 4.5, 5])
    np.testing.assert_allclose(trail.get_xdata(), [0.8 * 1.3, 0.8 * 1.15, 0.8 * 1.1])
    assert to_rgba(hollow.get_markerfacecolor()) == to_rgba(ax.get_facecolor())
    assert hollow.get_xdata() == pytest.approx([0.88])
    assert ax.get_ylabel() == "SNR p3 (dB)"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["factorized", "by validation"]


def test_two_curves_of_a_codec_can_be_told_apart(runs: list[Path], tmp_path: Path) -> None:
    base = runs[0].parent
    runs += [write_run(base, lmbda, 0.5, lmbda * 1e3, settings={"codec.channels": 96}) for lmbda in (1e-4, 1e-3)]
    ax = plot_rd(read_points(runs, home=tmp_path, anchors=[]), intervals=False)
    lines = [line_of(ax, f"factorized channels={channels}") for channels in (64, 96)]
    assert lines[0].get_color() != lines[1].get_color()


def test_a_legend_of_long_names_is_not_wider_than_the_figure(runs: list[Path], tmp_path: Path) -> None:
    for number in range(5):
        for quality, found, bpp in ((40, 0.6, 0.9), (80, 0.7, 1.9)):
            write_anchor(tmp_path, f"{LONG_NAME}_{number}", quality, found, bpp)
    with style():
        ax = plot_rd(read_points(runs, home=tmp_path), intervals=False)
        legend = ax.get_legend()
        assert legend is not None
        assert sum(text.get_text().startswith(LONG_NAME) for text in legend.get_texts()) == 5
        assert legend.get_window_extent().width <= figure_of(ax).bbox.width + 1


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_from_the_paper(runs: list[Path], tmp_path: Path, dark: bool) -> None:
    with style(dark=dark):
        ax = plot_rd(read_points(runs, home=tmp_path))
        brightness = [np.mean(to_rgba(color)[:3]) for color in (ax.get_facecolor(), ax.xaxis.label.get_color())]
    assert abs(brightness[0] - brightness[1]) > 0.7
    assert (brightness[0] < 0.5) == dark


def test_ticks_are_plain_numbers(runs: list[Path], tmp_path: Path) -> None:
    ax = plot_rd(read_points(runs, home=tmp_path))
    figure_of(ax).canvas.draw()
    shown = {label.get_text() for label in ax.get_xticklabels()}
    assert {"0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"} <= shown


@pytest.mark.parametrize("limits", [(0.1, 0.2), (0.11, 0.19), (0.03, 0.2), (0.001, 9)])
def test_whatever_part_is_shown_has_several_ticks_and_the_ceiling_keeps_to_its_line(
    runs: list[Path], tmp_path: Path, limits: tuple[float, float]
) -> None:
    ax = plot_rd(read_points(runs, home=tmp_path))
    whole = ax.get_tightbbox().bounds
    ax.set_xlim(limits)
    ax.set_ylim(0, 1)  # percent: far below the ceiling
    figure_of(ax).canvas.draw()
    shown = [float(tick.get_text()) for tick in ax.get_xticklabels() if tick.get_text()]
    assert len([at for at in shown if limits[0] <= at <= limits[1]]) >= 3
    assert ax.get_tightbbox().height <= whole[3] + 20


def test_nothing_to_show_is_said(tmp_path: Path) -> None:
    ax = plot_rd(read_points([], home=tmp_path), y="map")
    assert [text.get_text() for text in ax.texts] == ["no point has bpp and map yet"]
