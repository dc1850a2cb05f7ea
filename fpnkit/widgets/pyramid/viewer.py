"""Look inside the pyramid: what a codec does to each channel, where its bits go, which objects are lost.

from fpnkit.widgets import PyramidViewer

viewer = PyramidViewer()
viewer.view.levels             # bits, bpp and SNR of what is shown, for the cells below
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import ipywidgets as widgets
from matplotlib.axes import Axes

from fpnkit.config.curve import Qualities, middle
from fpnkit.config.load import load_config
from fpnkit.config.schema import CodecConfig, Config
from fpnkit.errors import RunError
from fpnkit.foundation import text
from fpnkit.foundation.steps import Step, Tell
from fpnkit.plots.maps import Photo, plot_photo
from fpnkit.plots.panels import new_panels
from fpnkit.runs import layout
from fpnkit.runs.index import RunIndex
from fpnkit.runs.store import NONE_YET, RunInfo
from fpnkit.widgets.common import html
from fpnkit.widgets.common.panel import LABEL, WIDE, Choices, Panel
from fpnkit.widgets.common.picture import picture
from fpnkit.widgets.common.run_list import ANY_STATUS, NO_RUNS, choose, prepare_search
from fpnkit.widgets.common.work import Show, raising
from fpnkit.widgets.pyramid.sweeps import RunSet, run_sets
from fpnkit.widgets.pyramid.tabs import BitsView, ChannelsView, ObjectsView

if TYPE_CHECKING:
    from fpnkit.widgets.pyramid.loading import Loader, View

MOST_SHOWN = 200  # sets in the list, runs on the slider
_TABS = ("Channels", "Bits", "Objects")
_SPLITS = {"val": "validation", "test": "test"}
_PHOTO_INCHES = 2.2
_NOTHING = Path()  # a slider cannot be empty or have the value None


@dataclass(frozen=True)
class _Wanted:
    """What the controls say."""

    run: Path
    split: str
    index: int
    quality: float | None


class PyramidViewer(Panel):
    """Shows the codecs in `base_dir` (default: the usual one).

    Reading, loading, coding and drawing run in the background. The controls stay usable and the last choice counts;
    what was shown before stays until then, pale.
    """

    def __init__(
        self,
        base_dir: Path | str | None = None,
        *,
        device: Literal["auto", "cpu", "cuda", "mps"] = "cpu",
        dark: bool | None = None,
    ) -> None:
        """`device`: where networks run."""
        self._device = device
        self.base_dir = layout.default_base_dir("fpn_compression") if base_dir is None else Path(base_dir)
        super().__init__("Inside the pyramid", dark=dark)
        self._index, self._runs = RunIndex(self.base_dir), list[RunInfo]()
        self._unread, self._gone = True, ""
        self._sets: dict[Any, RunSet] = {}
        self._loader: Loader | None = None
        self._view: View | None = None
        self._loaded: _Wanted | None = None  # that `_view` is of
        self._drawn: Photo | None = None  # of the last image that was drawn
        self._curve: Qualities | None = None  # of the run that is shown
        self._quiet = False  # while controls follow what is shown
        self._make_controls()
        self._loading, self._drawing = self.work("show"), self.work("draw")
        parts = ChannelsView(self, self._drawing), BitsView(self, self._drawing), ObjectsView(self, self._drawing)
        self.channels, self.bits, self.objects = parts
        self._loading.replaces = [
            self.photo,
            self.said,
            *(each for part in parts for each in (part.picture, part.words)),
        ]
        self.tabs = widgets.Tab([self.channels, self.bits, self.objects], titles=_TABS)
        self.on(self.tabs, "show", self._show_tab, "selected_index")
        self._arrange()
        self.refresh()

    @property
    def view(self) -> View:
        """The view that is chosen; waits until it is loaded.

        Raises the failure, or RunError if there is nothing to show.
        """
        self._loading.wait()
        if self._view is None:
            nothing = "no codec is shown" if self._runs else NONE_YET
            raise self.failures.get("show", RunError(f"{self.base_dir}: {nothing}"))
        return self._view

    def refresh(self) -> None:
        """Reread the base directory and the selected run's best model, in the background."""
        self._unread = True
        self.show_chosen()

    def show_chosen(self) -> None:
        """Load and show the selection, in the background; on failure nothing is shown."""
        self._loading.ask(self._catch_up)

    def redraw(self) -> None:
        """Redraw photo and open figure in the other colors."""
        self._drawn = None
        self.show_chosen()

    def _catch_up(self, tell: Tell) -> Show:
        """Do what lies between what is shown and what is chosen."""
        if self._unread:
            self._read(tell)
        with self.acting:
            run = self.lmbda.value
        if run == _NOTHING:
            return self._show_nothing
        try:
            config = _config(run)
            with self.acting:
                wanted = self._offer(run, config)
            known = self._view if wanted == self._loaded else None
            view = known or self._load(wanted, tell)
        except Exception as error:
            failure = error
            return lambda: self._fail(failure)
        tell(Step("drawing"))
        self._draw_photo(view)
        return lambda: self._show_view(view, wanted)

    def _make_controls(self) -> None:
        half = {"width": "auto", "flex": "1 1 260px"}
        # A partial word would load a codec that nobody is looking for, so the search waits for the whole text.
        self.search = widgets.Text(description="Search", continuous_update=False, style=LABEL, layout=half)
        self.search.placeholder = "search in name, note, tags …"
        self.on(self.search, "search", self._search)
        self.reload = self.button("Refresh", "refresh", self.refresh, tip="Read the directory and the best model again")
        self.choice = widgets.Dropdown(description="Runs", style=LABEL, layout=WIDE)
        self._choice = Choices(self, self.choice, "show", self._choose)
        # Without continuous updates this slider sends nothing when moved by keys. While it is dragged,
        # ipywidgets sends no more updates than the kernel has processed.
        self.lmbda = widgets.SelectionSlider(options=[("no codec", _NOTHING)], description="Lambda", style=LABEL)
        self.lmbda.layout = {**WIDE, "margin": "2px 8px 2px 2px"}  # its label stands out of it
        self._lmbda = Choices(self, self.lmbda, "show", self.show_chosen)
        self.quality = widgets.FloatSlider(0.0, min=0.0, max=0.0, step=0.1, description="Quality", style=LABEL)
        self.quality.continuous_update = False  # each value codes the image anew
        self.quality.layout = {**WIDE, "display": "none"}
        self.on(self.quality, "show", self._moved)
        self.split = widgets.Dropdown(options=[("validation", "val")], description="Images", style=LABEL)
        self.split.layout = {"width": "auto"}
        self._split = Choices(self, self.split, "show", self.show_chosen)
        self.image = widgets.IntSlider(1, 1, 1, description="Image", continuous_update=False, style=LABEL, layout=half)
        self.on(self.image, "show", self._moved)
        self.photo, self.said = picture(), widgets.HTML(layout={"flex": "1 1 300px"})

    def _arrange(self) -> None:
        wrapped = {"flex_flow": "row wrap", "align_items": "flex-start"}
        self.image.disabled = True
        self.tabs.layout.display = "none"  # until there is something in them
        first = widgets.HBox([self.search, self.reload], layout=wrapped)
        images = widgets.HBox([self.split, self.image], layout=wrapped)
        about = widgets.HBox([self.photo, self.said], layout=wrapped)
        working = widgets.HBox([self._loading, self._drawing], layout=wrapped)
        self.show([first, self.choice, self.lmbda, self.quality, images, working, about, self.tabs])

    def _read(self, tell: Tell) -> None:
        """Read the base directory and offer what is there."""
        missing, failure = layout.is_usual(self.base_dir) and not self.base_dir.exists(), None
        try:
            runs = [] if missing else self._index.read(tell)
        except RunError as error:
            runs, failure = [], error
        prepare_search(runs)
        with self.acting:
            self._runs, before = runs, self.lmbda.value
            self.attempt("refresh", raising(failure))
            self._list()
            self._gone = "" if before in (_NOTHING, self.lmbda.value) else before.name
            self._unread, self._loaded = False, None

    def _list(self) -> bool:
        """List the sets that match the search; return whether the selection changed, as it does if it is gone."""
        sets = run_sets(choose(self._runs, self.search.value, ANY_STATUS, "", "newest first"))
        self._sets = {each.key: each for each in sets[:MOST_SHOWN]}
        options = [(each.label, each.key) for each in self._sets.values()]
        self._choice.replace(options, otherwise=sets[0].key if sets else None)
        return self._offer_runs()

    def _search(self) -> None:
        if self._list():
            self.show_chosen()

    def _choose(self) -> None:
        self._offer_runs()
        self.show_chosen()

    def _offer_runs(self) -> bool:
        """Put the selected set on the slider; return whether the selection changed."""
        chosen = self._sets.get(self.choice.value)
        options = chosen.options(MOST_SHOWN) if chosen else [("no codec", _NOTHING)]
        changed = self._lmbda.replace(options, otherwise=chosen.newest.path if chosen else _NOTHING)
        self.lmbda.disabled = len(options) == 1
        return changed

    def _offer(self, run: Path, config: Config | None) -> _Wanted:
        """Images and qualities that the run has; → what is chosen of them."""
        if config is not None:
            has_test = isinstance(config, CodecConfig) and config.data.test is not None
            self._offer_qualities(config.qualities if isinstance(config, CodecConfig) else None)
            names = [name for name in _SPLITS if name == "val" or has_test]
            self._split.replace([(_SPLITS[name], name) for name in names], otherwise="val")
        quality = None if self._curve is None else round(self.quality.value, 3)
        return _Wanted(run, self.split.value, self.image.value - 1, quality)

    def _offer_qualities(self, curve: Qualities | None) -> None:
        """Keep the value unless the curve is another; codecs of one rate have none."""
        self.quality.layout.display = "none" if curve is None else None
        before, self._curve = self._curve, curve
        if curve is None or curve == before:
            return
        self._quiet = True
        self.quality.max, self.quality.value = curve[1], middle(curve)
        self._quiet = False

    def _load(self, wanted: _Wanted, tell: Tell) -> View:
        if self._loader is None:
            tell(Step("loading PyTorch"))
            from fpnkit.detectors.device import measuring_device  # torch takes seconds
            from fpnkit.widgets.pyramid.loading import Loader

            self._loader = Loader(measuring_device(self._device, "device"))
        return self._loader.view(wanted.run, wanted.split, wanted.index, wanted.quality, tell)

    def _moved(self) -> None:
        if not self._quiet:
            self.show_chosen()

    def _show_view(self, view: View, wanted: _Wanted) -> None:
        self._view, self._loaded = view, replace(wanted, index=view.index)
        self._quiet = True
        self.image.max, self.image.value = view.images, view.index + 1
        self._quiet = False
        status = next((run.status for run in self._runs if run.path == view.run), "")
        gone = f"{text.printable(self._gone)} is gone." if self._gone else ""
        self.said.value = (html.paragraph(gone) if gone else "") + _facts(view, status)
        self._gone = ""
        self._show_parts(True)
        self._show_tab()

    def _show_nothing(self) -> None:
        self._view = None
        self._show_parts(False)
        nothing = "No run with a codec here. Choose another directory, or search for something else."
        self.said.value = html.paragraph(nothing if self._runs else NO_RUNS)

    def _fail(self, failure: Exception) -> None:
        """What was shown is not what is chosen."""
        self._view = None
        self._show_parts(False)
        self.said.value = ""
        raise failure

    def _show_parts(self, visible: bool) -> None:
        self.image.disabled = not visible
        for part in (self.photo, self.tabs):
            part.layout.display = None if visible else "none"

    def _draw_photo(self, view: View) -> None:
        """Unless it already exists."""
        if view.photo is self._drawn:
            return

        def plot() -> Axes:
            (ax,) = new_panels(1, 1, view.photo.size[0] / view.photo.size[1], _PHOTO_INCHES)
            return plot_photo(view.photo, ax=ax)

        self.draw(self.photo, plot, f"image {view.title}")
        self._drawn = view.photo

    def _show_tab(self) -> None:
        if self._view is not None:
            (self.channels, self.bits, self.objects)[self.tabs.selected_index].show(self._view)


def _config(run: Path) -> Config | None:
    """None if it is missing; the loader says what is wrong with the run."""
    file = run / layout.CONFIG_USED
    return load_config(file) if file.is_file() else None


def _facts(view: View, status: str) -> str:
    height, width = view.photo.size
    own = view.levels.dropna(subset="payload_bits")  # a level of a shared payload has none
    shares = own["payload_bits"] / (own["payload_bits"].sum() or 1)
    levels = ", ".join(f"{name} {share:.0%}" for name, share in zip(own["level"], shares, strict=True))
    lines = [
        f"{text.printable(view.title)}, {width} x {height} pixels; image {view.index + 1} of {view.images}",
        f"{view.bpp:.4f} bpp: a file of {view.file_bytes:,} bytes, of whose payload {levels}",
    ]
    quality = "" if view.quality is None else f"quality {view.quality:g} (λ {text.rate(view.lmbda)}), "
    run = f"{text.printable(view.run.name)}, {quality}best model of epoch {view.epoch} ({view.model})"
    return "".join(html.paragraph(line) for line in lines) + html.status_line(status, run)
