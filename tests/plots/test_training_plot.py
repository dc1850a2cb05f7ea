"""The curves of a training show its numbers, with units, and levels in their colors."""

import math

from matplotlib.colors import to_hex

from fpnkit.plots.style import level_color, style
from fpnkit.plots.training import plot_accuracy, plot_loss, plot_rate, plot_snr, plot_training
from fpnkit.runs.metrics import MetricsLine, Split

LEVELS = ("p2", "p3", "p5b")


def line(split: Split, epoch: int, step: int) -> MetricsLine:
    snr = {name: step / 100 + number for number, name in enumerate(LEVELS)}
    rate = {name: (number + 1) / step for number, name in enumerate(LEVELS)}
    return MetricsLine("", split, epoch, step, 100 / step, sum(rate.values()), snr_db=snr, bpp_level=rate)


TRAIN = [line("train", 1 + step // 40, step) for step in range(10, 130, 10)]
VAL = [line("val", epoch, 40 * epoch) for epoch in (1, 2, 3)]


def test_each_curve_holds_the_numbers_of_the_lines() -> None:
    loss, rate, snr = plot_loss(TRAIN, VAL), plot_rate(TRAIN, VAL), plot_snr(TRAIN, VAL)
    curves = {each.get_label(): each for each in loss.lines}
    assert list(curves) == ["training", "validation"]
    assert list(curves["training"].get_xdata()) == [each.step for each in TRAIN]
    assert list(curves["training"].get_ydata()) == [each.loss for each in TRAIN]
    assert list(curves["validation"].get_ydata()) == [100 / 40, 100 / 80, 100 / 120]
    curves = {each.get_label(): each for each in rate.lines}
    assert list(curves) == ["training", "validation", *LEVELS]
    assert list(curves["validation"].get_ydata()) == [each.bpp_estimated for each in VAL]
    assert list(curves["p3"].get_ydata()) == [2 / 40, 2 / 80, 2 / 120]
    curves = {each.get_label(): each for each in snr.lines}
    assert list(curves) == list(LEVELS)
    assert list(curves["p5b"].get_ydata()) == [2.4, 2.8, 3.2]
    for name in LEVELS:
        assert to_hex(curves[name].get_color()) == level_color(name).lower()
    named = [ax.get_ylabel() for ax in (loss, rate, snr)]
    assert named == ["loss", "bpp estimated", "SNR (dB)"]
    assert {ax.get_xlabel() for ax in (loss, rate, snr)} == {"training step"}


def test_before_the_first_validation_training_stands_for_it() -> None:
    snr = plot_snr(TRAIN, [])
    assert [each.get_label() for each in snr.lines] == list(LEVELS)
    assert list(snr.lines[0].get_xdata()) == [each.step for each in TRAIN]
    assert plot_training([], []).axes  # a training that has not begun


def test_the_first_points_stand_on_an_axis_of_whole_steps_from_the_first() -> None:
    for train, val in (([], VAL[:1]), (TRAIN[:1], []), (TRAIN[:3], VAL[:1]), ([line("train", 1, 1)], [])):
        last = max(each.step for each in (*train, *val))
        figure = plot_training(train, val)
        figure.canvas.draw()
        for ax in figure.axes:
            low, high = ax.get_xlim()
            assert low == 0 < last < high < 1.1 * last
            assert all(tick == int(tick) for tick in ax.get_xticks())
            assert all(len(each.get_xdata()) > 1 or each.get_marker() == "o" for each in ax.lines)  # else unseen


def test_one_validation_stands_at_the_end_of_the_training_s_snr() -> None:
    snr = plot_snr(TRAIN[:4], VAL[:1])
    assert [each.get_label() for each in snr.lines] == [*LEVELS, *LEVELS]
    assert [len(each.get_xdata()) for each in snr.lines] == [4, 4, 4, 1, 1, 1]


def test_a_loss_that_falls_far_has_a_logarithmic_axis_and_one_that_is_infinite_or_negative_is_drawn() -> None:
    assert plot_loss(TRAIN, VAL).get_yscale() == "log"
    assert plot_loss(TRAIN[-3:], VAL[-1:]).get_yscale() == "linear"
    odd = [MetricsLine("", "train", 1, step, loss) for step, loss in enumerate((1.0, math.nan, math.inf, -1.0))]
    with style(dark=True):
        plot_training(odd, []).canvas.draw()


def test_a_detector_has_accuracy_in_place_of_rate_and_snr() -> None:
    lines = [MetricsLine("", "val", epoch, 10 * epoch, 1.0, extra={"map": epoch / 10}) for epoch in (1, 2)]
    assert [ax.get_ylabel() for ax in plot_training([], lines).axes] == ["loss", "mAP"]
    assert list(plot_accuracy([], lines).lines[0].get_ydata()) == [0.1, 0.2]
    (text,) = plot_accuracy([], []).texts
    assert text.get_text() == "mAP is known after the first epoch"


def test_ink_is_that_of_the_style() -> None:
    with style(dark=True):
        dark = to_hex(plot_loss(TRAIN, VAL).lines[1].get_color())
    with style():
        assert to_hex(plot_loss(TRAIN, VAL).lines[1].get_color()) != dark
