"""A panel that stays open for days: looking again and again takes no more memory."""

import gc
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from fpnkit.widgets.rd.explorer import RDExplorer
from fpnkit.widgets.runs.browser import RunBrowser
from fpnkit.widgets.training.panel import TrainingPanel
from tests.support.effort import Effort, effort, sizes
from tests.support.panel_tools import opened
from tests.support.train_process import write_config

__all__ = ["effort"]
WARM = 10
MOST_BYTES = 300  # for each look; a widget or a figure that stays takes thousands
CACHES = 80_000  # bytes that fill up at first: regular expressions, strings

Look = Callable[[], object]


def _browser(folder: Path, base: Path) -> tuple[Look, Look]:
    panel = opened(RunBrowser(base))
    return panel.refresh, panel.finish


def _training(folder: Path, base: Path) -> tuple[Look, Look]:
    (folder / "configs").mkdir()
    write_config(folder / "configs", folder / "features")
    panel = TrainingPanel(folder / "configs", base, poll_seconds=0)
    panel.finish()
    panel.live.watch(sorted(base.glob("run_*"))[0])
    return panel.update, panel.finish


def _explorer(folder: Path, base: Path) -> tuple[Look, Look]:
    panel = opened(RDExplorer(base))
    return panel.refresh, panel.finish


@pytest.mark.parametrize("make", [_browser, _training, _explorer])
@sizes("refreshes", sample=30, long=500)
def test_looking_again_takes_no_more_memory(
    effort: Effort, make: Callable[[Path, Path], tuple[Look, Look]], tmp_path: Path, rd_runs: list[Path], rd_base: Path
) -> None:
    refresh, finish = make(tmp_path, rd_base)

    def look() -> None:
        (rd_runs[0] / "run.json").touch()
        refresh()
        finish()

    for _ in range(WARM):
        look()
    gc.collect()
    tracemalloc.start()
    try:
        look()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in effort.attempts():
            look()
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    effort.counted["bytes"] = grown
    assert grown < MOST_BYTES * effort.counted["attempts"] + CACHES
