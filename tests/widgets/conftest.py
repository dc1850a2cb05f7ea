"""Runs whose AP is known, trainings to start, and panels that show them."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fpnkit.widgets.common import work
from fpnkit.widgets.common.panel import Panel
from fpnkit.widgets.rd.explorer import RDExplorer
from tests.support.panel_tools import Clock, Held
from tests.support.rd_panels import BPP, FOUND, LAMBDAS
from tests.support.rd_store import write_anchor, write_ceiling, write_run
from tests.support.train_process import write_config
from tests.support.training_panels import Open, training_panels


@pytest.fixture(autouse=True)
def _light_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new kernel; what a test ticks is forgotten after it."""
    monkeypatch.setattr(Panel, "dark_figures", None)
    monkeypatch.setattr(Panel, "_dark_page", False)


@pytest.fixture
def rd_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)  # where a relative name of a figure leads
    return tmp_path / "home"


@pytest.fixture
def rd_base(rd_home: Path) -> Path:
    return rd_home / "checkpoints" / "fpn_compression"


@pytest.fixture(scope="module")
def rd_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a sweep, an anchor and a ceiling."""
    rd_home = tmp_path_factory.mktemp("made") / "home"
    for each in zip(LAMBDAS, FOUND, BPP, strict=True):
        write_run(rd_home / "checkpoints" / "fpn_compression", *each)
    for quality, (found, bpp) in enumerate(zip(FOUND, BPP, strict=True), start=1):
        write_anchor(rd_home, "jpeg_input", 20 * quality, found, 2 * bpp)
    write_ceiling(rd_home)
    return rd_home


@pytest.fixture
def rd_runs(rd_made: Path, rd_home: Path, rd_base: Path) -> list[Path]:
    """In order of lambda."""
    shutil.copytree(rd_made, rd_home)
    return sorted(rd_base.glob("run_*"))


@pytest.fixture
def seconds() -> Clock:
    return Clock()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    """Lets work wait; lines about it come at once."""
    monkeypatch.setattr(work, "_SILENT_SECONDS", 0.01)
    monkeypatch.setattr(work, "_TICK_SECONDS", 0.01)
    made = Held()
    yield made
    made.go()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "configs").mkdir()
    return write_config(tmp_path / "configs", tmp_path / "features")


@pytest.fixture
def open_panel(config: Path, base: Path) -> Iterator[Open]:
    with training_panels(config.parent, base) as make:
        yield make


@pytest.fixture
def open_explorer(seconds: Clock) -> Iterator[Callable[..., RDExplorer]]:
    """Panels without a poll thread, with everything read and computed."""
    panels: list[RDExplorer] = []

    def make(base_dir: Path | None = None, **options: Any) -> RDExplorer:
        panels.append(RDExplorer(base_dir, **({"poll_seconds": 0, "now": seconds} | options)))
        panels[-1].finish()
        return panels[-1]

    yield make
    for panel in panels:
        panel.close()
