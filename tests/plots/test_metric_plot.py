"""One number of several runs."""

import pandas as pd
import pytest

from fpnkit.plots.metrics import plot_metric


def frame(*values: float) -> pd.DataFrame:
    return pd.DataFrame({"split": "val", "step": range(1, len(values) + 1), "loss": values, "snr_db.p3": values})


def test_the_marked_run_is_thick_and_on_top_and_colors_do_not_depend_on_it() -> None:
    frames = {"a": frame(3, 2), "b": frame(2, 1)}
    plain, marked = (plot_metric(frames, "loss", marked=label).lines for label in (None, "b"))
    lines = {label: {line.get_label(): line for line in each} for label, each in (("plain", plain), ("marked", marked))}
    assert lines["marked"]["b"].get_linewidth() > lines["marked"]["a"].get_linewidth()
    assert lines["marked"]["b"].get_zorder() > lines["marked"]["a"].get_zorder()
    assert [line.get_color() for line in plain] == [line.get_color() for line in marked]


@pytest.mark.parametrize(("key", "scale"), [("loss", "log"), ("snr_db.p3", "linear")])
def test_values_far_apart_are_on_a_logarithmic_axis_but_for_decibels(key: str, scale: str) -> None:
    ax = plot_metric({"a": frame(100, 1)}, key)
    assert ax.get_yscale() == scale
    ax.figure.canvas.draw()
    assert all("$" not in tick.get_text() for tick in ax.get_yticklabels(which="both"))


def test_steps_are_whole_numbers() -> None:
    ax = plot_metric({"a": frame(1)}, "loss")
    assert all(tick == int(tick) for tick in ax.get_xticks())
