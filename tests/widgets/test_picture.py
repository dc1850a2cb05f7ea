"""Figures in panels, by what they send to the page."""

import io
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from fpnkit.plots.images import plot_detections
from fpnkit.plots.maps import Photo
from fpnkit.plots.style import new_axes
from fpnkit.widgets.common.panel import Panel
from fpnkit.widgets.common.picture import Picture, picture
from fpnkit.widgets.common.pointing import Spot

RED = (255, 0, 0)
VALUES = [(0.01, 1.0), (0.1, 9.0), (2.0, 4.0)]


def markers(logarithmic: bool = False, label: str = "_") -> Axes:
    ax = new_axes()
    x, y = zip(*VALUES, strict=True)
    ax.plot(x, y, linestyle="none", marker="o", markersize=9, color="#ff0000", label=label)
    ax.set_xlabel("takes room below")
    if logarithmic:
        ax.set_xscale("log")
    ax.set_xlim(0.005 if logarithmic else -0.5, 3)
    return ax


def drawn(plot: Callable[[], Axes | Figure], *more: Any, **options: Any) -> Picture:
    made = picture()
    Panel("t").draw(made, plot, "words", *more, **options)
    return made


def pixel(made: Picture, left: float, bottom: float) -> object:
    image = Image.open(io.BytesIO(made.value)).convert("RGB")
    return image.getpixel((int(left * image.width), int((1 - bottom) * image.height)))


def told(made: Picture) -> list[str]:
    return [words for _, _, words, *_ in made.pointer.spots]


def under_spots(made: Picture) -> list[object]:
    return [pixel(made, left, bottom) for left, bottom, *_ in made.pointer.spots]


def test_a_figure_becomes_a_png_with_words_light_or_dark() -> None:
    panel, made = Panel("t"), picture()
    assert made.layout.display == "none"
    panel.draw(made, markers, 'three "markers"')
    light = made.value
    assert light[:8] == b"\x89PNG\r\n\x1a\n"
    assert 'alt="three &quot;markers&quot;"' in made.children[0].children[0].value
    assert made.layout.display is None
    panel.dark.value = True
    panel.draw(made, markers, "words")
    assert made.value != light


@pytest.mark.parametrize("logarithmic", [False, True])
def test_spots_lie_on_their_markers_whole_and_zoomed(logarithmic: bool) -> None:
    spots = [Spot(x, y, f"told of {x}") for x, y in VALUES] + [Spot(50.0, 1.0, "outside")]
    made = drawn(lambda: markers(logarithmic), spots)
    assert told(made) == ["told of 0.01", "told of 0.1", "told of 2.0"]
    assert under_spots(made) == [RED] * 3
    left, bottom, right, top = made.pointer.areas[0]
    at = made.pointer.spots[1]
    x, y = (at[0] - left) / (right - left), (at[1] - bottom) / (top - bottom)
    made.told({"zoom": [0, x - 0.04, y - 0.1, x + 0.05, y + 0.04]})
    assert made.pointer.zoomed
    assert "told of 0.1" in told(made)
    assert "told of 2.0" not in told(made)
    assert under_spots(made) == [RED] * len(told(made))
    left, bottom, right, top = made.pointer.areas[0]
    found = next(spot for spot in made.pointer.spots if spot[2] == "told of 0.1")
    assert (found[0] - left) / (right - left) == pytest.approx(0.04 / 0.09, abs=0.01)
    assert (found[1] - bottom) / (top - bottom) == pytest.approx(0.10 / 0.14, abs=0.01)


def places(made: Picture) -> NDArray[np.float64]:
    return np.array([spot[:2] for spot in made.pointer.spots])


def test_back_is_the_zoom_before_and_all_is_everything() -> None:
    same = partial(pytest.approx, abs=0.01)  # the layout may move by a pixel when it is drawn again
    made = drawn(lambda: markers(label="codec"))
    shown = [same(places(made))]
    for _ in range(2):
        made.told({"zoom": [0, 0.0, 0.0, 0.7, 0.7]})
        shown.append(same(places(made)))
    made.told({"back": False})
    assert places(made) == shown[1]
    made.told({"zoom": [0, 0.1, 0.1, 0.4, 0.4]})
    made.told({"back": True})
    assert places(made) == shown[0]
    assert not made.pointer.zoomed
    made.told({"back": False})
    assert places(made) == shown[0]


@pytest.mark.parametrize("message", [{}, {"zoom": [0, 0.5, 0.5, 0.5, 0.9]}, {"zoom": [0, 1]}, "zoom", {"ask": [7, 7]}])
def test_a_message_that_means_nothing_changes_nothing(message: object) -> None:
    made = drawn(markers)
    before = made.value
    made.told(message)
    assert (made.value, made.pointer.zoomed) == (before, False)


def test_a_zoom_stays_when_the_same_axes_are_drawn_again_and_no_longer() -> None:
    panel, made = Panel("t"), picture()
    panel.draw(made, lambda: markers(label="codec"), "words")
    made.told({"zoom": [0, 0.0, 0.0, 0.5, 0.5]})
    (zoomed,) = told(made)
    panel.draw(made, lambda: markers(label="codec"), "words")
    assert told(made) == [zoomed]
    panel.draw(made, lambda: markers(logarithmic=True, label="codec"), "words")
    assert not made.pointer.zoomed
    assert len(told(made)) == 3


def test_axes_that_show_the_same_go_along_and_others_stay() -> None:
    figure = Figure(figsize=(6, 2))
    first, second, third = figure.subplots(1, 3)
    for ax, high in ((first, 1), (second, 1), (third, 5)):
        ax.set(xlim=(0, 10), ylim=(0, high))
    made = drawn(lambda: figure)
    made.told({"zoom": [1, 0.5, 0.0, 1.0, 0.5]})
    assert np.array([ax.get_xlim() for ax in figure.axes]) == pytest.approx(np.array([(5, 10)] * 3))
    assert np.array([ax.get_ylim() for ax in figure.axes]) == pytest.approx(np.array([(0, 0.5), (0, 0.5), (0, 5)]))


def test_points_of_lines_with_a_label_are_told_without_further_ado() -> None:
    made = drawn(lambda: markers(label="codec"), keys={"codec": "run 1"})
    assert told(made)[1] == "codec\ntakes room below  0.1\ny  9"
    assert {tuple(spot[3:]) for spot in made.pointer.spots} == {("run 1", "codec")}
    assert told(drawn(markers)) == []


def test_of_many_points_of_a_line_some_from_end_to_end_are_told() -> None:
    def plot() -> Axes:
        ax = new_axes()
        ax.plot(range(100_000), range(100_000), label="long")
        return ax

    words = told(drawn(plot))
    assert 100 < len(words) < 1000
    assert words[0].endswith("x  0\ny  0")
    assert words[-1].endswith("x  99,999\ny  1e+05")


def heat() -> Axes:
    ax = new_axes()
    ax.imshow(np.zeros((4, 4)), cmap="gray", extent=(0, 40, 20, 0))
    shown = ax.imshow(np.array([[1.0, 2.0], [3.0, np.nan]]), extent=(0, 40, 20, 0))
    ax.figure.colorbar(shown, ax=ax, label="bits per pixel, all channels")
    return ax


def test_a_map_tells_the_cell_that_is_pointed_at() -> None:
    made = drawn(heat)
    assert made.pointer.asked == [True, False]
    assert made.pointer.areas[1] == []  # the color bar
    left, bottom, right, top = made.pointer.areas[0]

    def at(x: float, y: float) -> str:
        return made.value_at(left + x * (right - left), bottom + y * (top - bottom))

    assert at(0.1, 0.9) == "row 0, column 0\n1 bits per pixel"
    assert at(0.9, 0.9) == "row 0, column 1\n2 bits per pixel"
    assert at(0.1, 0.1) == "row 1, column 0\n3 bits per pixel"
    assert at(0.9, 0.1) == ""
    assert made.value_at(0.001, 0.001) == ""
    made.told({"zoom": [0, 0.5, 0.5, 1.0, 1.0]})
    left, bottom, right, top = made.pointer.areas[0]
    assert at(0.5, 0.5) == "row 0, column 1\n2 bits per pixel"


def test_a_box_is_named_anywhere_inside_it_the_smallest_first() -> None:
    columns = ["features", "left", "top", "right", "bottom", "category", "score"]
    rows = [("uncompressed", 0, 0, 100, 50, "car", 0.9), ("uncompressed", 10, 10, 30, 30, "dog", 0.45)]
    boxes = pd.DataFrame([*rows, ("decoded", 0, 0, 99, 50, "car", 0.8)], columns=columns)
    photo = Photo(0, 0, np.zeros((50, 100, 3), np.uint8), (50, 100))
    made = drawn(lambda: plot_detections(photo, boxes))
    (left, bottom, right, top), second = made.pointer.areas

    def at(x: float, y: float) -> str:
        return made.value_at(left + x / 100 * (right - left), top - y / 50 * (top - bottom))

    assert (at(20, 20), at(60, 20)) == ("dog 0.45, only here", "car 0.90")
    assert made.value_at((second[0] + second[2]) / 2, (second[1] + second[3]) / 2) == "car 0.80"


def test_an_image_keeps_its_shape_when_it_is_zoomed() -> None:
    made = drawn(heat)
    left, bottom, right, top = made.pointer.areas[0]
    made.told({"zoom": [0, 0.8, 0.1, 0.95, 0.6]})
    new = made.pointer.areas[0]
    assert new[2] - new[0] == pytest.approx(right - left, rel=0.1)
    assert new[3] - new[1] == pytest.approx(top - bottom, rel=0.1)
