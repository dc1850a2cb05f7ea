"""Note and tags of a run, editable in place."""

from pathlib import Path

import ipywidgets as widgets

from fpnkit.errors import RunError
from fpnkit.foundation import text
from fpnkit.runs import layout
from fpnkit.runs.notes import read_note, read_tags, replace_note, set_tags
from fpnkit.widgets.common import html
from fpnkit.widgets.common.panel import LABEL, WIDE, Panel


class NotesView(widgets.VBox):
    """Two fields and a button. Saving is refused if someone else changed the note meanwhile."""

    def __init__(self, panel: Panel) -> None:
        self.tags = widgets.Text(description="Tags, commas between", style=LABEL, layout=WIDE)
        self.note = widgets.Textarea(description="Note", style=LABEL, layout=WIDE, rows=6)
        self.button = panel.button("Save note and tags", "save note and tags", self.save, look="primary")
        self.said = widgets.HTML()
        self._run: Path | None = None
        self._note = self._tags = ""  # as they are on disk
        super().__init__([self.tags, self.note, self.button, self.said])

    def show(self, run: Path | None) -> None:
        """Read a run's note and tags, keeping unsaved edits. Raises RunError, and then nothing can be saved."""
        if run is not None and run == self._run and self._edited():
            return
        self._run, self._note, self.note.value, self.tags.value, self.said.value = None, "", "", "", ""
        self.button.disabled = True
        if run is not None:
            note, tags = read_note(run), read_tags(run)
            _require_text(run / layout.NOTE, note)
            self.note.value, self.tags.value = note, ", ".join(tags)
            self._run, self._note, self._tags = run, self.note.value, self.tags.value
            self.button.disabled = False

    def save(self) -> None:
        """Save the fields. Raises RunError or StorageError."""
        if self._run is None:
            raise RunError("no run is chosen")
        wanted = [tag.strip() for tag in self.tags.value.split(",") if tag.strip()]
        before = read_tags(self._run)
        if list(before) != wanted:
            set_tags(self._run, add=wanted, remove=set(before) - set(wanted))
        if self.note.value != self._note:
            replace_note(self._run, self.note.value, before=self._note)
        run, self._run = self._run, None
        self.show(run)
        self.said.value = html.paragraph(f"saved in {text.printable(run)}", pale=True)

    def _edited(self) -> bool:
        return (self.note.value, self.tags.value) != (self._note, self._tags)


def _require_text(path: Path, note: str) -> None:
    try:
        note.encode()
    except UnicodeEncodeError as error:
        raise RunError(f"{path}: must be UTF-8 to be edited here; edit it by hand") from error
