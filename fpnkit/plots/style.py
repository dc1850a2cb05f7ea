"""The style of every figure: one color per level, one marker and color per codec, readable in a paper column and in a
dark notebook.

Colors are Okabe and Ito's, which stay distinct for the common kinds of color blindness (jfly.uni-koeln.de/color).
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLUMN_INCHES = 3.5  # of a two-column paper
PAGE_INCHES = 7.16

_BLUE, _ORANGE, _GREEN, _RED, _PINK, _SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
_GREY, _OLIVE, _VIOLET, _BROWN, _TEAL, _LIME = "#8C8C8C", "#A89F2D", "#9467BD", "#A65628", "#17A2B0", "#7FBF3F"

_LEVEL_COLOURS = {"p2": _BLUE, "p3": _ORANGE, "p4": _GREEN, "p5": _RED, "p6": _PINK, "p7": _SKY}
_SECOND_OF_STRIDE = {"p5": _OLIVE}  # `p5b`

_CODEC_LOOKS = {
    "factorized": (_RED, "o"),
    "fused": (_VIOLET, "h"),
    "linear": (_OLIVE, "p"),
    "jpeg": (_GREY, "s"),
    "webp": (_GREEN, "^"),
    "avif": (_ORANGE, "v"),
    "hevc": (_BLUE, "D"),
    "vvc": (_BROWN, "*"),
    "jxl": (_TEAL, "<"),
    "features_zstd": (_PINK, "P"),
    "features_hevc": (_SKY, "X"),
    "features_vvc": (_BROWN, "d"),
    "features_vvc_klt": (_TEAL, "8"),
    "boxes": (_LIME, "x"),
}
_OTHER_COLOURS = (_OLIVE, _PINK, _SKY, _GREEN, _BLUE, _ORANGE, _RED)
_OTHER_MARKERS = ("<", ">", "p", "h", "*", "d", "8")

DRAWING = threading.RLock()  # held by who draws: matplotlib's settings are the whole process's


@dataclass(frozen=True)
class CurveStyle:
    """Of one curve."""

    color: str
    marker: str
    dashes: Literal["-", "--"] = "-"


def level_color(level: str) -> str:
    """Color of `p2` to `p7`; a second level of a stride, such as `p5b`, has its own."""
    base = level[:2]
    if level != base and base in _SECOND_OF_STRIDE:
        return _SECOND_OF_STRIDE[base]
    return _LEVEL_COLOURS.get(base, _GREY)


SIZE_LOOKS = {"small": (_RED, "o"), "medium": (_SKY, "s"), "large": (_GREEN, "^")}  # of objects: color, marker


def codec_look(codec: str) -> CurveStyle:
    """Color and marker of a codec by name.

    `jpeg_original` is `jpeg_input` dashed, and `fused+search24`, by an encoder that searches, is `fused` dashed.
    """
    plain, searched, _ = codec.partition("+")
    base = plain.removesuffix("_input").removesuffix("_original")
    dashes: Literal["-", "--"] = "--" if searched or plain.endswith("_original") else "-"
    if base in _CODEC_LOOKS:
        return CurveStyle(*_CODEC_LOOKS[base], dashes)
    number = zlib.crc32(base.encode())  # not hash(), which changes from process to process
    return CurveStyle(
        _OTHER_COLOURS[number % len(_OTHER_COLOURS)], _OTHER_MARKERS[number % len(_OTHER_MARKERS)], dashes
    )


@contextmanager
def style(*, dark: bool = False) -> Iterator[None]:
    """Sizes and colors for the figures made within, by one thread at a time; settings outside are untouched."""
    ink, paper, grid = ("#E6E6E6", "#111111", "#444444") if dark else ("#1A1A1A", "#FFFFFF", "#D0D0D0")
    settings: dict[Any, object] = {
        "figure.facecolor": paper,
        "figure.dpi": 100,
        "savefig.facecolor": paper,
        "savefig.dpi": 200,
        "axes.facecolor": paper,
        "axes.edgecolor": ink,
        "axes.labelcolor": ink,
        "axes.titlecolor": ink,
        "axes.titlesize": 9,
        "axes.labelsize": 8,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": grid,
        "grid.linewidth": 0.5,
        "text.color": ink,
        "xtick.color": ink,
        "ytick.color": ink,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "legend.fontsize": 7,
        "legend.frameon": False,
        "lines.linewidth": 1.3,
        "lines.markersize": 4.5,
        "font.family": "sans-serif",
        "pdf.fonttype": 42,  # text stays text
        "svg.fonttype": "none",
        "svg.hashsalt": "fpnkit",  # the same figure gives the same file
    }
    with DRAWING, matplotlib.rc_context(settings):
        yield


def ink_color() -> str:
    """Color of axes and of anything that belongs to no level or codec."""
    return str(matplotlib.rcParams["axes.edgecolor"])


def guide() -> dict[str, Any]:
    """Style of a reference line."""
    return {"color": ink_color(), "linestyle": "--", "linewidth": 0.7}


def diamonds() -> dict[str, Any]:
    """Style of values drawn next to bars or boxes."""
    paper = matplotlib.rcParams["axes.facecolor"]
    return {"color": paper, "markeredgecolor": ink_color(), "marker": "D", "linestyle": "none"}


def new_axes(width_inches: float = PAGE_INCHES / 2, aspect: float = 0.75) -> Axes:
    """Axes of a new figure, made without pyplot, which would keep every figure alive."""
    figure = Figure(figsize=(width_inches, width_inches * aspect), layout="constrained")
    axes: Axes = figure.subplots()
    return axes
