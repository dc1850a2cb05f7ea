"""Save an R-D figure: the figure, its points and its origin as three files."""

import os
from collections.abc import Callable
from pathlib import Path

import ipywidgets as widgets

from fpnkit.errors import UserError
from fpnkit.foundation import text
from fpnkit.foundation.steps import Step, Tell
from fpnkit.widgets.common import html
from fpnkit.widgets.common.panel import LABEL, Confirmation, Panel
from fpnkit.widgets.common.work import Show, raising


class SaveView(widgets.VBox):
    """A file name and a button. `prepare` gives what will write to a path, and reports what it wrote."""

    def __init__(self, panel: Panel, prepare: Callable[[Path], Callable[[], list[Path]]]) -> None:
        self._prepare, self._saving = prepare, panel.work("save", lasting=True)
        self.file = widgets.Text("rd.png", description="File", style=LABEL, layout={"flex": "1 1 260px"})
        tip = "As --output of python -m fpnkit.rd does: .png, .pdf or .svg, and beside it .csv and .json"
        self.button = panel.button("Save figure and points", "save", self.ask_save, tip=tip)
        self.confirmation = Confirmation(panel)
        self.said = widgets.HTML()
        panel.on(self.file, "save", self._typed)
        row = widgets.HBox([self.file, self.button], layout={"flex_flow": "row wrap"})
        super().__init__([row, self.confirmation, self._saving, self.said])

    @property
    def path(self) -> Path:
        """Raises UserError: no name is given."""
        if not self.file.value.strip():
            raise UserError("file: required the name of a figure, such as rd.png; found none")
        path = Path(os.path.expanduser(self.file.value.strip()))
        if path.is_dir():
            raise UserError(f"{path}: required the name of a figure, such as {path / 'rd.png'}; found a folder")
        return path

    def ask_save(self) -> None:
        """Write the files, or ask first if some exist. Raises UserError or StorageError."""
        self.said.value = ""
        path = self.path
        there = [each for each in (path, path.with_suffix(".csv"), path.with_suffix(".json")) if each.exists()]
        if there:
            names = ", ".join(each.name for each in there)
            self.confirmation.ask(f"Replace {names}?", "Yes, replace", "save", self.save, look="warning")
        else:
            self.save()

    def save(self) -> None:
        """Write the files, in the background. Raises UserError."""
        if self.button.disabled:
            raise UserError("another figure is being saved; wait until it is")
        write = self._prepare(self.path)
        self.button.disabled = True
        self._saving.ask(lambda tell: self._write(write, tell))

    def _write(self, write: Callable[[], list[Path]], tell: Tell) -> Show:
        tell(Step("saving"))
        written, failure = list[Path](), None
        try:
            written = write()
        except Exception as error:
            failure = error

        def show() -> None:
            self.button.disabled = False
            raising(failure)()
            self.said.value = html.paragraph(f"saved: {', '.join(text.printable(each) for each in written)}", pale=True)

        return show

    def _typed(self) -> None:
        self.confirmation.withdraw()
        self.said.value = ""
