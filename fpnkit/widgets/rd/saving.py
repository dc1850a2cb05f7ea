"""Save an R-D figure: the figure, its points and its origin as three files."""

from collections.abc import Callable
from pathlib import Path

import ipywidgets as widgets

from fpnkit.errors import UserError
from fpnkit.foundation import text
from fpnkit.widgets.common import html
from fpnkit.widgets.common.panel import LABEL, Confirmation, Panel


class SaveView(widgets.VBox):
    """A file name and a button. `save` writes to a path and reports what it wrote."""

    def __init__(self, panel: Panel, save: Callable[[Path], list[Path]]) -> None:
        self._save = save
        self.file = widgets.Text("rd.png", description="File", style=LABEL, layout={"flex": "1 1 260px"})
        tip = "As --output of python -m fpnkit.rd does: .png, .pdf or .svg, and beside it .csv and .json"
        self.button = panel.button("Save figure and points", "save", self.ask_save, tip=tip)
        self.confirmation = Confirmation(panel)
        self.said = widgets.HTML()
        panel.on(self.file, "save", self._typed)
        row = widgets.HBox([self.file, self.button], layout={"flex_flow": "row wrap"})
        super().__init__([row, self.confirmation, self.said])

    @property
    def path(self) -> Path:
        """Raises UserError: no name is given."""
        if not self.file.value.strip():
            raise UserError("file: required the name of a figure, such as rd.png; found none")
        path = Path(self.file.value.strip()).expanduser()
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
        """Write the files. Raises UserError or StorageError."""
        written = self._save(self.path)
        self.said.value = html.paragraph(f"saved: {', '.join(text.printable(each) for each in written)}", pale=True)

    def _typed(self) -> None:
        self.confirmation.withdraw()
        self.said.value = ""
