"""The viewer's tabs for one image and one codec: channels, bits, objects. A tab draws only while it is open.

They draw in the background, as `drawing` does it; a figure that is replaced stays until then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import pandas as pd
from matplotlib.figure import Figure

from fpnkit.container import SHARED
from fpnkit.foundation import text
from fpnkit.foundation.html import Html
from fpnkit.foundation.steps import Step, Tell
from fpnkit.plots.images import plot_bits_maps, plot_channel, plot_detections, plot_level_bits
from fpnkit.plots.maps import without_counterpart
from fpnkit.widgets.common import html
from fpnkit.widgets.common.panel import AS_WIDE_AS_NEEDED, LABEL, WIDE, WRAPPED, Choices, Panel
from fpnkit.widgets.common.picture import picture
from fpnkit.widgets.common.work import Work

if TYPE_CHECKING:
    from fpnkit.widgets.pyramid.loading import View

ALL_LEVELS = "all levels"
_ACTIVE = 6  # channels that are named
_NAMED = 5  # objects that are named
_NO_MAP = "No map of the bits: the codec does not show them for each level."
_DRAWING = Step("drawing")
_COMPUTING = html.paragraph("computing …", pale=True)  # until a tab is drawn for the first time


class ChannelsView(widgets.VBox):
    """A channel of a level, or the mean of all: original, decoded, difference."""

    def __init__(self, panel: Panel, drawing: Work) -> None:
        self._panel, self._drawing, self._quiet = panel, drawing, False
        self._view: View | None = None
        self.level = widgets.ToggleButtons(options=[], description="Level", style={"button_width": "auto"})
        self.level.layout.display = "none"
        self._level = Choices(panel, self.level, "show the level", self.show_level)
        self.channel = widgets.IntSlider(0, 0, 0, description="Channel", continuous_update=False, style=LABEL)
        self.channel.layout = {**WIDE, "flex": "1 1 240px"}
        self.mean = widgets.Checkbox(False, description="mean of all channels", indent=False)
        self.mean.layout = AS_WIDE_AS_NEEDED
        panel.on(self.channel, "show the channel", self._moved)
        panel.on(self.mean, "show the channel", self._moved)
        self.picture, self.words = picture(), widgets.HTML(_COMPUTING)
        row = widgets.HBox([self.channel, self.mean], layout=WRAPPED)
        super().__init__([self.level, row, self.picture, self.words])

    def show(self, view: View) -> None:
        """Keep level and channel if the codec has them."""
        self._view = view
        names = view.spec.names
        self.level.layout.display = None
        self._level.replace([(name, name) for name in names], otherwise=names[0])
        self.show_level()

    def show_level(self) -> None:
        """Keep the channel if the level has that many."""
        if self._view is not None:
            self._quiet = True
            self.channel.max = self._view.spec[self.level.value].channels - 1
            self._quiet = False
            self.draw()

    def draw(self) -> None:
        """Draw the figure and describe it, in the background."""
        view, level = self._view, self.level.value
        if view is None:
            return
        self.channel.disabled = self.mean.value
        channel = None if self.mean.value else self.channel.value
        self._drawing.ask(lambda tell: self._draw(view, level, channel, tell))

    def _draw(self, view: View, level: str, channel: int | None, tell: Tell) -> None:
        tell(_DRAWING)
        name = f"{level} mean of channels" if channel is None else f"{level} channel {channel}"
        self.words.value = html.paragraph(_channel_words(view, level, channel))
        cells = view.cells(level, channel)

        def plot() -> Figure:
            return plot_channel(view.photo.size, cells, name)

        self._panel.draw(self.picture, plot, f"{name} of {view.title}: original, decoded, difference")

    def _moved(self) -> None:
        if not self._quiet:
            self.draw()


class BitsView(widgets.VBox):
    """Where in the image the bits went, as estimated by the entropy model, and the payload of each level."""

    def __init__(self, panel: Panel, drawing: Work) -> None:
        self._panel, self._drawing = panel, drawing
        self._view: View | None = None
        self.level = widgets.ToggleButtons(options=[], description="Level", style={"button_width": "auto"})
        self.level.layout.display = "none"
        self._level = Choices(panel, self.level, "show the bits", self.draw)
        self.picture, self.words = picture(), widgets.HTML(_COMPUTING)
        super().__init__([self.level, self.picture, self.words])

    def show(self, view: View) -> None:
        """Keep the level if the codec has it."""
        self._view = view
        names = (ALL_LEVELS, *view.spec.names)
        self._level.replace([(name, name) for name in names], otherwise=ALL_LEVELS)
        self.draw()

    def draw(self) -> None:
        """Draw the figure and its numbers, in the background."""
        view, level = self._view, self.level.value
        if view is None:
            return
        self.level.layout.display = "none" if view.bits is None else None
        self._drawing.ask(lambda tell: self._draw(view, level, tell))

    def _draw(self, view: View, level: str, tell: Tell) -> None:
        tell(_DRAWING)
        bits = view.bits
        self.words.value = html.bounded(_bits_table(view))
        if bits is None:
            self.picture.layout.display = "none"
            self.words.value += html.paragraph(_NO_MAP, pale=True)
            return

        def plot() -> Figure:
            if level == ALL_LEVELS:
                return plot_bits_maps(view.photo, bits)
            return plot_level_bits(view.photo, bits[bits["level"] == level])

        self._panel.draw(self.picture, plot, f"Heat over {view.title}: bits of {level}; the table has the sums")


class ObjectsView(widgets.VBox):
    """Detections before and after."""

    def __init__(self, panel: Panel, drawing: Work) -> None:
        self._panel, self._drawing = panel, drawing
        self._view: View | None = None
        # The first value is that of the report and of self-mAP.
        self.threshold = widgets.FloatSlider(
            0.3, min=0.05, max=0.95, step=0.05, description="Score at least", continuous_update=False, style=LABEL
        )
        self.threshold.layout = WIDE
        panel.on(self.threshold, "show the objects", self.draw)
        self.picture, self.words = picture(), widgets.HTML(_COMPUTING)
        super().__init__([self.threshold, self.picture, self.words])

    def show(self, view: View) -> None:
        """Keep the threshold."""
        self._view = view
        self.draw()

    def draw(self) -> None:
        """Draw the figure and describe it, in the background."""
        view = self._view
        if view is None:
            return
        threshold = self.threshold.value
        self._drawing.ask(lambda tell: self._draw(view, threshold, tell))

    def _draw(self, view: View, threshold: float, tell: Tell) -> None:
        tell(_DRAWING)
        boxes = view.boxes(threshold)
        told = _object_words(boxes)
        self.words.value = html.paragraph(told)

        def plot() -> Figure:
            return plot_detections(view.photo, boxes)

        self._panel.draw(self.picture, plot, f"Detections in {view.title}: {told} {plot_detections.reading}")


def _channel_words(view: View, level: str, channel: int | None) -> str:
    whole = view.levels.set_index("level").loc[level]
    channels = view.channels[view.channels["level"] == level]
    height, width = view.original.sizes[level]
    parts = [f"{level}: {len(channels)} channels of {width} x {height} cells, SNR {_decibels(whole['snr_db'])}"]
    if channel is not None:
        row = channels[channels["channel"] == channel].iloc[0]
        parts.append(f"Channel {channel}: SNR {_decibels(row['snr_db'])}, {_share(row, channels)} of the variance")
    most = channels.sort_values("variance", ascending=False, kind="stable")["channel"].head(_ACTIVE)
    return ". ".join([*parts, f"Most active here: channels {', '.join(map(str, most))}."])


def _share(row: pd.Series, channels: pd.DataFrame) -> str:
    return f"{row['variance'] / (channels['variance'].sum() or 1.0):.1%}"


def _decibels(value: Any) -> str:
    return "–, it is constant" if value != value else f"{value:.1f} dB"


def _bits_table(view: View) -> Html:
    total = int(view.levels["payload_bits"].sum())
    rows = []
    for row in view.levels.to_dict("records"):
        if pd.isna(row["payload_bits"]):  # the level's bits are among the shared ones
            rows.append((row["level"], *[text.NOTHING] * 5, _decibels(row["snr_db"])))
            continue
        share = row["payload_bits"] / (total or 1)
        positions = 0 if view.bits is None else int((view.bits["level"] == row["level"]).sum())
        each = f"{row['estimated_bits'] / positions:.1f}" if positions else text.NOTHING
        bits = (f"{row['payload_bits']:,.0f}", f"{share:.0%}", f"{row['estimated_bits']:,.0f}")
        snr = text.NOTHING if row["level"] == SHARED else _decibels(row["snr_db"])
        rows.append((row["level"], *bits, each, f"{row['bpp']:.4f}", snr))
    header = ("", "payload (bits)", "share", "estimated (bits)", "per position", "bpp", "SNR")
    return html.table(rows, header, whole=True)


def _object_words(boxes: pd.DataFrame) -> str:
    before, after = (boxes[boxes["features"] == features] for features in ("uncompressed", "decoded"))
    lost, new = before[without_counterpart(before, after)], after[without_counterpart(after, before)]
    parts = [f"{_count(len(before), 'object')} before, {len(after)} after: {len(lost)} lost, {len(new)} new."]
    if len(before) - len(lost) != len(after) - len(new):
        parts.append("Overlapping boxes may share one counterpart.")
    parts += [f"{name}: {_names(found)}." for name, found in (("Lost", lost), ("New", new)) if len(found)]
    return " ".join(parts)


def _names(boxes: pd.DataFrame) -> str:
    named = [
        f"{text.printable(str(category))} {score:.2f}"
        for category, score in boxes[["category", "score"]].head(_NAMED).to_numpy().tolist()
    ]
    more = len(boxes) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"
