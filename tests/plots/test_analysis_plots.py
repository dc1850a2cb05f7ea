"""What figures of an analysis show, read back from their axes."""

import io

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from fpnkit.plots import across, bits, features, images, maps, task
from fpnkit.plots.panels import figure_of, legend_below, new_panels, wide_scale
from fpnkit.plots.style import level_color, new_axes, style

LEVELS = ["p3", "p4"]
PHOTO = maps.Photo(1, 7, np.zeros((20, 20, 3), np.uint8), (40, 40))


@pytest.fixture(autouse=True)
def _style() -> object:
    with style():
        yield


def draw(ax: Axes) -> None:
    """All the way to pixels: warnings and errors of layout and fonts come only then."""
    figure_of(ax).savefig(io.BytesIO(), format="png")


def by_level(**columns: list[float]) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    return pd.concat([pd.DataFrame({"level": level, "channel": range(count), **columns}) for level in LEVELS])


def colors(ax: Axes) -> list[str]:
    return [to_hex(line.get_color()).upper() for line in ax.lines]


def test_each_level_has_its_color_and_axes_have_units() -> None:
    ax = features.plot_energy(by_level(energy_share=[0.7, 0.2, 0.1]))
    assert colors(ax)[:2] == [level_color(level) for level in LEVELS]
    assert ax.lines[0].get_ydata().tolist() == pytest.approx([0, 0.7, 0.9, 1])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("strongest channels (share of all)", "share of energy")
    draw(ax)


def test_boxes_leave_out_what_is_not_finite_and_survive_a_level_with_nothing_left() -> None:
    table = by_level(snr_db=[1.0, 2.0, float("nan")])
    table.loc[table["level"] == "p4", "snr_db"] = float("nan")
    ax = features.plot_channel_statistic(table, "snr_db")
    assert [label.get_text() for label in ax.get_xticklabels()] == LEVELS
    assert len(ax.patches) == 1
    draw(ax)


@pytest.mark.parametrize("column", ["mean", "deviation", "excess_kurtosis", "sparsity"])
def test_every_statistic_can_be_drawn_even_of_constant_channels(column: str) -> None:
    draw(features.plot_channel_statistic(by_level(**{column: [0.0, 0.0, 500.0]}), column))


def test_eigenvalues_say_how_many_hold_95_percent() -> None:
    table = pd.DataFrame({"level": "p3", "component": range(4), "cumulative": [0.6, 0.9, 0.96, 1.0]})
    ax = features.plot_eigenvalues(table)
    assert ax.get_legend().get_texts()[0].get_text() == "p3: 3 of 4 for 95 %"
    draw(ax)


def test_relations_write_each_number_into_its_square() -> None:
    pairs = [(a, b) for a in LEVELS for b in LEVELS]
    table = pd.DataFrame(pairs, columns=["source", "target"]).assign(predictable_share=[1.0, 0.25, np.nan, 1.0])
    ax = features.plot_level_relations(table, "predictable_share")
    assert [text.get_text() for text in ax.texts] == ["1.00", "0.25", "–", "1.00"]
    draw(ax)


def test_snr_by_frequency_is_the_ratio_of_powers() -> None:
    power = pd.DataFrame({"level": "p3", "frequency": [0.1, 0.2], "power": [100.0, 10.0]})
    ax = features.plot_snr_by_frequency(power.assign(power_error=[1.0, 10.0]))
    assert ax.lines[0].get_ydata().tolist() == pytest.approx([20, 0])


def image_bits() -> pd.DataFrame:
    rows = [(1, "p3", 1000.0, 800.0, 808), (1, "p4", 1000.0, 200.0, 192)]
    return pd.DataFrame(rows, columns=["image", "level", "pixels", "estimated_bits", "payload_bits"])


def test_bars_are_payload_and_diamonds_the_estimate_in_bpp() -> None:
    ax = bits.plot_bits_per_level(image_bits())
    assert [bar.get_height() for bar in ax.patches] == pytest.approx([0.808, 0.192])
    assert ax.lines[0].get_ydata().tolist() == pytest.approx([0.8, 0.2])
    assert [text.get_text() for text in ax.texts] == ["81%", "19%"]
    assert ax.get_ylabel() == "rate (bpp)"
    draw(ax)


def test_the_gap_is_in_bytes() -> None:
    ax = bits.plot_rate_gap(image_bits())
    assert [line.get_ydata().tolist() for line in ax.lines[:2]] == [[1.0], [-1.0]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["p3: +1.0%", "p4: -4.0%"]
    draw(ax)


def test_dead_channels_are_counted_in_the_legend() -> None:
    table = by_level(bits_per_symbol=[2.0, 0.0], dead=[False, True], bits=[8.0, 0.0], entropy=[1.5, 0], symbols=[4, 4])
    ax = bits.plot_bits_per_channel(table)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["p3: 1 of 2 dead", "p4: 1 of 2 dead"]
    draw(ax)
    draw(bits.plot_density_gap(table))
    ax = bits.plot_density_gap(table.assign(dead=True))
    assert [text.get_text() for text in ax.texts] == ["all latent channels are dead"]
    draw(ax)


def test_a_level_whose_latents_are_all_dead_says_so() -> None:
    table = pd.DataFrame({"level": ["p3"], "symbol": [0], "share": [1.0], "learned": [0.9], "escaped": [0.0]})
    ax = bits.plot_latent_histogram(table, "p3")
    assert [text.get_text() for text in ax.texts] == ["p3: every latent channel\nis dead"]
    draw(ax)


def test_a_run_without_validation_says_so() -> None:
    ax = bits.plot_epochs(pd.DataFrame(columns=["epoch", "level", "bpp", "snr_db"]), "bpp")
    assert [text.get_text() for text in ax.texts] == ["no validation in metrics.jsonl"]
    draw(ax)


def test_lost_objects_show_their_number_and_nothing_found_is_told() -> None:
    rows = [("small", 4, 2, 0.5, 0.2, 0.8)]
    table = pd.DataFrame(rows, columns=["size", "objects", "lost", "share", "low", "high"])
    ax = task.plot_lost(table, "size")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["small\n(4)"]
    assert [bar.get_height() for bar in ax.patches] == [0.5]
    draw(ax)
    empty = task.plot_lost(table.iloc[:0], "size")
    assert [text.get_text() for text in empty.texts] == ["no object was found\non uncompressed features"]
    draw(empty)


def test_sensitivity_is_in_percent_over_the_snr() -> None:
    table = pd.DataFrame({"level": "p3", "snr_db": [20.0, 0.0], "self_map": [0.9, 0.5]})
    ax = task.plot_sensitivity(table, 1.0, "self_map")
    assert ax.lines[0].get_ydata().tolist() == pytest.approx([90, 50])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("SNR of the level (dB)", "self-mAP (%)")
    draw(ax)


def test_weights_stand_beside_those_of_the_training() -> None:
    table = pd.DataFrame({"level": LEVELS, "slope": [3.0, 1.0], "weight": [0.75, 0.25]})
    ax = task.plot_weights(table, {"p3": 2.0, "p4": 2.0})
    assert ax.lines[0].get_ydata().tolist() == [0.5, 0.5]
    draw(ax)


def grid(side: int, **columns: np.ndarray) -> pd.DataFrame:
    row, column = np.indices((side, side))
    edges = {"left": column * 10.0, "top": row * 10.0, "right": column * 10.0 + 10, "bottom": row * 10.0 + 10}
    numbers = {"row": row, "column": column, **edges, **columns}
    return pd.DataFrame({"level": "p3", **{key: np.ravel(values) for key, values in numbers.items()}})


def test_maps_are_bits_per_pixel_and_levels_add_up() -> None:
    table = grid(4, bits=np.full((4, 4), 50.0))
    coarse = grid(2, bits=np.full((2, 2), 300.0)).assign(level="p4")
    coarse[["left", "top", "right", "bottom"]] *= 2
    assert maps.bits_per_pixel(table) == pytest.approx(np.full((4, 4), 0.5))
    both = maps.total_bits_per_pixel(pd.concat([table, coarse]), (40, 40))
    assert both == pytest.approx(np.full((200, 200), 0.5 + 0.75))
    ax = new_axes()
    shown = maps.plot_map(PHOTO, both, ax=ax)
    assert shown.get_extent() == [0, 40, 40, 0]
    draw(ax)


def test_mosaics_lay_tiles_out_row_by_row_with_gaps() -> None:
    rank, row, column = np.indices((4, 2, 2))
    table = pd.DataFrame({"rank": rank.ravel(), "row": row.ravel(), "column": column.ravel()})
    table = table.assign(original=table["rank"] + 1.0, decoded=0.0)
    ax = new_axes()
    canvas = np.asarray(maps.plot_mosaic(table, "original", 4.0, ax=ax).get_array())
    assert canvas.shape == (5, 5)
    assert (canvas[0, 0], canvas[0, 3], canvas[3, 0], canvas[3, 3]) == (1, 2, 3, 4)
    assert maps.mosaic_limit(table) == pytest.approx(4)
    draw(ax)


def test_a_box_without_counterpart_is_dashed() -> None:
    columns = ["category", "score", "left", "top", "right", "bottom"]
    own = pd.DataFrame([("cat", 0.9, 0, 0, 10, 10), ("dog", 0.5, 20, 20, 30, 30)], columns=columns)
    other = pd.DataFrame([("cat", 0.7, 0, 0, 10, 9), ("cat", 0.7, 20, 20, 30, 30)], columns=columns)
    ax = maps.plot_boxes(PHOTO, own, other)
    assert [patch.get_linestyle() for patch in ax.patches if to_hex(patch.get_edgecolor()) != "#000000"] == ["-", "--"]
    draw(ax)


def rates() -> pd.DataFrame:
    rows = [
        (run, "factorized", lmbda, rate, level, rate * share, 10.0, 0.0)
        for run, lmbda, rate in (("a", 1e-4, 0.1), ("b", 1e-3, 0.4))
        for level, share in (("p3", 0.75), ("p4", 0.25))
    ]
    return pd.DataFrame(rows, columns=["run", "codec", "lmbda", "bpp_all", "level", "bpp", "snr_db", "dead_share"])


def test_stacked_bars_are_one_column_a_codec_by_lambda() -> None:
    ax = across.plot_stacked_bits(rates())
    assert [bar.get_height() for bar in ax.patches] == pytest.approx([0.075, 0.3, 0.025, 0.1])
    assert [bar.get_y() for bar in ax.patches] == pytest.approx([0, 0, 0.075, 0.3])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1e-4", "1e-3"]
    shares = across.plot_stacked_bits(rates(), share=True)
    assert [bar.get_height() for bar in shares.patches] == pytest.approx([0.75, 0.75, 0.25, 0.25])
    draw(ax)


def test_the_legend_of_stacked_bars_is_over_the_axes_and_once_in_a_report() -> None:
    ax = across.plot_stacked_bits(rates())
    draw(ax)
    legend = ax.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == list(LEVELS)
    assert legend.get_window_extent().y0 >= ax.get_window_extent().y1
    both = across.plot_bits_by_lambda(rates())
    assert [ax.get_legend() for ax in both.axes] == [None, None]
    assert [text.get_text() for text in both.legends[0].get_texts()] == list(LEVELS)


def test_one_payload_for_all_levels_is_said_and_has_its_rate() -> None:
    together = rates().assign(bpp=float("nan"))
    whole = together.drop_duplicates("run").assign(level="shared", codec="fused", bpp=[0.1, 0.4])
    table = pd.concat([together.assign(codec="fused"), whole])
    ax = across.plot_stacked_bits(table)
    assert ax.get_title() == "one payload for all levels"
    assert [text.get_text() for text in ax.texts] == ["0.1", "0.4"]
    assert ax.get_legend() is None
    draw(ax)
    (bar,) = across.plot_stacked_bits(table[table["run"] == "b"]).patches
    assert bar.get_width() < 0.25 * np.ptp(bar.axes.get_xlim())
    (said,) = across.plot_stacked_bits(table, share=True).texts
    assert said.get_text() == "one payload for all levels:\nwhat each level takes is not known"
    assert len(across.plot_bits_by_lambda(table).axes) == 1
    beside = across.plot_stacked_bits(pd.concat([rates(), table.assign(run=table["run"] + " fused")]))
    assert [text.get_text() for text in beside.get_legend().get_texts()] == [*LEVELS, "levels together"]
    assert beside.get_title() == ""
    draw(beside)


def test_codecs_that_code_all_levels_together_have_no_idle_latents_by_level() -> None:
    for table in (rates().drop(columns="dead_share"), rates().assign(dead_share=float("nan"))):
        ax = across.plot_dead_by_rate(table)
        (text,) = ax.texts
        assert text.get_text() == "no codec here tells the dead latent channels\nof each level"
        assert not ax.lines


def test_curves_along_the_rate_keep_color_and_marker() -> None:
    ax = across.plot_by_rate(rates(), "snr_db", "SNR (dB)")
    assert colors(ax) == [level_color(level) for level in LEVELS]
    assert {line.get_marker() for line in ax.lines} == {"o"}
    assert ax.get_xlabel() == "rate of all levels (bpp)"
    draw(ax)


def test_lost_objects_and_task_along_the_rate() -> None:
    columns = ["run", "codec", "lmbda", "bpp_all", "size", "objects", "lost", "share", "low", "high"]
    table = pd.DataFrame([("a", "factorized", 1e-3, 0.1, "small", 8, 2, 0.25, 0.1, 0.5)], columns=columns)
    ax = across.plot_lost_by_rate(table)
    assert ax.get_legend().get_texts()[0].get_text() == "small (8)"
    draw(ax)
    scores = pd.DataFrame([("a", "factorized", 1e-3, 0.1, np.nan, 0.8, np.nan)])
    scores.columns = ["run", "codec", "lmbda", "bpp_all", "map", "self_map", "map_uncompressed"]
    ax = across.plot_task_by_rate(scores)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["self-mAP"]
    draw(ax)


def test_axes_become_logarithmic_only_where_values_differ_much() -> None:
    near, far = new_axes(), new_axes()
    wide_scale(near, "y", [1, 2, 0])
    wide_scale(far, "y", [0.01, 2])
    assert (near.get_yscale(), far.get_yscale()) == ("linear", "log")


def test_panels_share_one_legend() -> None:
    axes = new_panels(3, 2)
    assert len(figure_of(axes[0]).axes) == 3
    for ax in axes:
        ax.plot([0, 1], label="p3")
    legend_below(axes)
    (legend,) = figure_of(axes[0]).legends
    assert [text.get_text() for text in legend.get_texts()] == ["p3"]


def test_in_the_dark_ink_is_light() -> None:
    with style(dark=True):
        ax = bits.plot_bits_per_level(image_bits())
        assert to_hex(ax.lines[0].get_markeredgecolor()).upper() == matplotlib.rcParams["axes.edgecolor"]
        assert to_hex(ax.get_facecolor()) == "#111111"
        draw(ax)


def test_a_plot_names_its_figure_after_what_it_is_given_and_keeps_its_table() -> None:
    columns = ["features", "category", "score", "left", "top", "right", "bottom"]
    boxes = pd.DataFrame([("decoded", "cat", 0.9, 0, 0, 10, 10)], columns=columns)
    drawing = images.plot_detections.of(PHOTO, boxes)
    assert (drawing.name, drawing.section, drawing.title) == ("boxes_1", "Single images", "Image 7: detections.")
    assert drawing.wide
    assert drawing.points is boxes
    called = images.plot_detections(PHOTO, boxes)
    assert [ax.get_title() for ax in drawing.draw().axes] == [ax.get_title() for ax in called.axes]
    assert called.axes[1].get_title() == "decoded: 1 objects, 1 of them only here"


def test_a_plot_of_one_axes_is_a_figure_of_a_report_as_well() -> None:
    drawing = bits.plot_bits_per_level.of(image_bits())
    assert (drawing.name, drawing.title) == ("bits_per_level", "Where the bits go.")
    assert drawing.reading.startswith("Bars are real payloads, ")
    (ax,) = drawing.draw().axes
    assert ax.get_ylabel() == "rate (bpp)"


def test_whole_levels_lie_over_the_boxes_of_their_channels() -> None:
    ax = bits.plot_snr_per_level(by_level(snr_db=[1.0, 3.0]), pd.DataFrame({"level": LEVELS, "snr_db": [2.0, 4.0]}))
    assert len(ax.patches) == 2
    assert ax.lines[-1].get_ydata().tolist() == [2, 4]
    draw(ax)
