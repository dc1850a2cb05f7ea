"""Remove a run, and restore it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import ipywidgets as widgets

from fpnkit.errors import RunError
from fpnkit.foundation import text
from fpnkit.foundation.steps import Tell
from fpnkit.runs import archive, ranking, trash
from fpnkit.runs.store import RunInfo
from fpnkit.widgets.common import html
from fpnkit.widgets.common.panel import LABEL, WIDE, WRAPPED, Choices, Confirmation, Panel
from fpnkit.widgets.common.work import Show, raising


class MovesView(widgets.VBox):
    """Archive and trash, each after a question; restoring asks none. `moved` is called after each.

    Archiving goes on in the background, also when the panel is closed.
    """

    # Of all panels of this process, which does not lock itself out of a directory.
    _under_way: ClassVar[set[Path]] = set()

    def __init__(self, panel: Panel, base_dir: Path, moved: Callable[[], None]) -> None:
        self._base_dir, self._moved = base_dir, moved
        self._run: Path | None = None
        self._runs: Sequence[RunInfo] = ()
        self._archiving = panel.work("archive", lasting=True)
        self._packed: Path | None = None  # just now
        self.confirmation = Confirmation(panel)
        self.trash_button = panel.button("Move to the trash…", "move to the trash", self.ask_trash, look="warning")
        self.archive_button = panel.button("Archive…", "archive", self.ask_archive, look="warning")
        self.trashed = widgets.Dropdown(description="In the trash", style=LABEL, layout=WIDE)
        self._choices = Choices(panel, self.trashed, "choose in the trash", self._enable)
        self.restore_button = panel.button("Restore", "restore", self.restore)
        self.said = widgets.HTML()
        buttons = widgets.HBox([self.trash_button, self.archive_button], layout=WRAPPED)
        restoring = widgets.HBox([self.trashed, self.restore_button])
        super().__init__([buttons, self.confirmation, self._archiving, self.said, restoring])
        self._enable()

    def show(self, run: Path | None, runs: Sequence[RunInfo]) -> None:
        """Show this run; a question about another one is withdrawn. Raises RunError if the trash is unreadable."""
        if run not in (self._run, None):  # what was done to a run is told when it is gone
            self.said.value = ""
        self._run, self._runs = run, runs
        self.confirmation.withdraw()
        items = trash.list_trash(self._base_dir) if self._base_dir.exists() else []
        self._choices.replace([(_trashed_label(item), item.path) for item in items])
        self._enable()

    def ask_trash(self) -> None:
        """Ask. Raises RunError if the run cannot be moved."""
        info = self._movable()
        self.confirmation.ask(
            f"Move {text.printable(info.name)} to the trash?{self._warnings(info)}",
            "Yes, move it",
            "move to the trash",
            self.trash,
        )

    def ask_archive(self) -> None:
        """Ask. Raises RunError if the run cannot be moved."""
        info = self._movable()
        self.confirmation.ask(
            f"Pack {text.printable(info.name)}, {text.size(info.size_bytes)}, into one file and remove the directory?"
            f"{self._warnings(info)}",
            "Yes, archive it",
            "archive",
            self.archive,
        )

    def trash(self) -> None:
        """Move the run into the trash. Raises RunError or StorageError."""
        info = self._movable()
        trash.trash(info, self._base_dir)
        self._done(f"in the trash: {info.name}")

    def archive(self) -> None:
        """Pack, compare, remove, in the background. Raises RunError."""
        info = self._movable()
        if self._packed is not None:
            raise RunError(f"{info.name}: {self._packed.name} is being archived; wait until it is")
        self._packed = info.path
        self._under_way.add(info.path)
        self._enable()
        self._archiving.ask(lambda tell: self._pack(info, tell))

    def _pack(self, info: RunInfo, tell: Tell) -> Show:
        made, failure = None, None
        try:
            made = archive.archive(info, self._base_dir, tell)
        except Exception as error:
            failure = error
        finally:
            self._under_way.discard(info.path)

        def show() -> None:
            self._packed = None
            self._enable()
            raising(failure)()
            self._done(f"archived: {made}")

        return show

    def restore(self) -> None:
        """Restore the selected run from the trash. Raises RunError or StorageError."""
        items = [item for item in trash.list_trash(self._base_dir) if item.path == self.trashed.value]
        if not items:
            raise RunError("nothing is chosen in the trash")
        self._done(f"restored: {trash.restore(items[0], self._base_dir)}")

    def _movable(self) -> RunInfo:
        if self._run is None:
            raise RunError("no run is chosen")
        if self._run in self._under_way:
            raise RunError(f"{self._run.name}: is being archived")
        return trash.require_movable(str(self._run), self._base_dir)

    def _warnings(self, info: RunInfo) -> str:
        warnings = []
        if info.status == "stale":
            warnings.append(f"\nIt may still be training on {info.host}: {info.reason}.")
        if ranking.is_best(info, self._runs):
            of = "its kind" if info.lmbda is None else f"lambda {text.rate(info.lmbda)}"
            warnings.append(f"\nIt has the best loss of {of}, {text.number(info.best_loss)}.")
        return "".join(warnings)

    def _enable(self) -> None:
        self.trash_button.disabled = self._run is None or self._run in self._under_way
        self.archive_button.disabled = self.trash_button.disabled or self._packed is not None
        self.restore_button.disabled = self.trashed.value is None
        self.trashed.disabled = not self.trashed.options

    def _done(self, what: str) -> None:
        self._moved()
        self.said.value = html.paragraph(text.printable(what))


def _trashed_label(item: trash.Trashed) -> str:
    return f"{text.printable(item.name)} · removed {item.removed} · {text.size(item.size_bytes)}"
