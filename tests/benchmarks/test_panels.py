"""What panels cost: until they are seen, and while a training is watched. Prints tables; asserts what is counted.

pytest tests/benchmarks/test_panels.py -m benchmark -s
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fpnkit.widgets.common.panel import Panel
from fpnkit.widgets.pyramid.viewer import PyramidViewer
from fpnkit.widgets.rd.explorer import RDExplorer
from fpnkit.widgets.runs.browser import RunBrowser
from fpnkit.widgets.training.panel import TrainingPanel
from tests.support.fake_runs import write_runs
from tests.support.panel_tools import Clock, count_traffic
from tests.support.store import store
from tests.support.sweep_runs import make_run, plan
from tests.support.train_process import write_config
from tests.support.training_panels import simulate, training_panels

pytestmark = pytest.mark.benchmark

RUNS, MANY_RUNS = 1000, 10_000
FIRST_PAINT_SECONDS, REFRESH_SECONDS = 0.5, 0.2  # what we want to stay below
CALLBACK_SECONDS = 0.2
KILOBYTES_A_SECOND, SHARE_OF_A_CORE = 50.0, 0.03
PANELS = {
    "TrainingPanel": ("fpnkit.widgets.training.panel", "TrainingPanel(configs, base, poll_seconds=0)"),
    "RunBrowser": ("fpnkit.widgets.runs.browser", "RunBrowser(base)"),
    "RDExplorer": ("fpnkit.widgets.rd.explorer", "RDExplorer(base)"),
    "PyramidViewer": ("fpnkit.widgets.pyramid.viewer", "PyramidViewer(base)"),
}
# What is read, loaded or drawn comes in a thread after the first paint.
_FIRST_PAINT = """
import sys, time; from pathlib import Path
base, configs = Path(sys.argv[1]), Path(sys.argv[2])
start = time.perf_counter(); from {module} import {name}; imported = time.perf_counter() - start
start = time.perf_counter(); panel = {call}; panel._repr_mimebundle_(); painted = time.perf_counter() - start
panel.finish(); filled = time.perf_counter() - start
start = time.perf_counter(); {refresh}; panel.finish(); refreshed = time.perf_counter() - start
print(imported, painted, filled, refreshed)
"""


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("panels")
    for count in (RUNS, MANY_RUNS):
        write_runs(folder / str(count), count, lines=20)
    return {count: folder / str(count) for count in (RUNS, MANY_RUNS)}


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("configs")
    write_config(folder, folder / "features")
    return folder


@pytest.mark.parametrize("count", [RUNS, MANY_RUNS])
def test_first_paint_and_refresh(count: int, bases: dict[int, Path], configs: Path) -> None:
    wanted = f"first paint under {FIRST_PAINT_SECONDS} s, refresh under {REFRESH_SECONDS} s"
    print(f"\n{count} runs, which the first panel reads and the others remember; wanted: {wanted}")
    print(f"{'':16}{'import':>10}{'first paint':>13}{'filled':>9}{'refresh':>10}")
    refresh = {"TrainingPanel": "panel.list_running()"}
    for name, (module, call) in PANELS.items():
        code = _FIRST_PAINT.format(module=module, name=name, call=call, refresh=refresh.get(name, "panel.refresh()"))
        done = subprocess.run([sys.executable, "-c", code, bases[count], configs], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        imported, painted, filled, refreshed = map(float, done.stdout.split())
        print(f"{name:16}{imported:8.2f} s{painted:11.2f} s{filled:7.2f} s{refreshed:8.2f} s")


def test_a_live_panel(bases: dict[int, Path], configs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training that writes a line of metrics and of log each second, among many other runs."""
    base = bases[RUNS]
    run = make_run(base, plan(configs / "config.yaml", [1e-3]).config(1e-3, 0), "running")
    clock = Clock()
    print(f"\nwanted: under {KILOBYTES_A_SECOND:.0f} kB/s and {SHARE_OF_A_CORE:.0%} of a core")
    print(f"{'watched':>10}{'pictures':>10}{'messages':>10}{'kB/s':>8}{'of a core':>11}")
    with training_panels(configs, base) as make:
        panel = make(now=clock)
        panel.live.watch(run)
        sent = count_traffic(monkeypatch)
        for minutes in (1, 4, 10, 45):
            sent.clear()
            start = time.process_time()
            pictures = simulate(panel, run, clock, 60 * minutes)
            share = (time.process_time() - start) / (60 * minutes)  # what writes the lines included
            rate = sum(sent) / (60 * minutes) / 1000
            print(f"{f'{minutes} min':>10}{pictures:10}{len(sent):10}{rate:8.1f}{share:11.2%}")
            assert pictures > 0
            assert rate < KILOBYTES_A_SECOND  # bytes are counted, not timed
        panel.raise_failures()


def test_how_long_a_callback_holds_up_the_kernel(bases: dict[int, Path], configs: Path) -> None:
    """Also while the panel works: each control is moved twice, the second time beside what the first has asked for."""
    runs, trained = bases[MANY_RUNS], store() / "checkpoints" / "fpn_compression"
    browser, explorer, viewer = RunBrowser(runs), RDExplorer(runs, poll_seconds=0), PyramidViewer(trained)
    training = TrainingPanel(configs, runs, poll_seconds=0)
    panels: list[Panel] = [browser, explorer, viewer, training]
    for panel in panels:
        panel.raise_failures()
    browser.tabs.selected_index = 1
    some = tuple(info.path for info in browser.matches[1:31])
    actions: list[tuple[Panel, str, Callable[[int], object]]] = [
        (browser, "refresh", lambda _: browser.refresh()),
        (browser, "compare 30 runs", _setter(browser.compare.others, some, some[:20])),
        (browser, "search", _setter(browser.search, "paper", "note")),
        (explorer, "refresh", lambda _: explorer.refresh()),
        (explorer, "x axis", _setter(explorer.axes.x, "kb_per_image", "bpp")),
        (viewer, "image", _setter(viewer.image, 2, 3)),
        (viewer, "lambda", _setter(viewer.lmbda, *(path for _, path in viewer.lmbda.options[:3:2]))),
        (viewer, "channel", _setter(viewer.channels.channel, 2, 3)),
        (viewer, "tab", _setter(viewer.tabs, 1, 2, trait="selected_index")),
        (training, "look for what runs", lambda _: training.list_running()),
        (training, "settings", _setter(training.setup.lambdas, "1e-3", "2e-3")),
    ]
    print(f"\nwanted: a callback under {1000 * CALLBACK_SECONDS:.0f} ms; {MANY_RUNS:,} runs")
    print(f"{'':16}{'':22}{'held up':>10}{'beside work':>13}{'shown after':>13}")
    held, whole = 0.0, 0.0
    for panel, what, act in actions:
        begin, seconds = time.perf_counter(), list[float]()
        for time_ in (0, 1):
            start = time.perf_counter()
            act(time_)
            seconds.append(time.perf_counter() - start)
            time.sleep(0.05)
        panel.raise_failures()
        shown = time.perf_counter() - begin
        held, whole = held + sum(seconds), whole + shown
        first, second = (1000 * each for each in seconds)
        print(f"{type(panel).__name__:16}{what:22}{first:7.0f} ms{second:10.0f} ms{shown:11.2f} s")
    assert held < 0.3 * whole


def _setter(control: Any, *values: object, trait: str = "value") -> Callable[[int], object]:
    return lambda time_: setattr(control, trait, values[time_])
