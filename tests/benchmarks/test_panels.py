"""What panels cost: until they are seen, and while a training is watched. Prints tables; asserts what is counted.

pytest tests/benchmarks/test_panels.py -m benchmark -s
"""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.fake_runs import write_runs
from tests.support.panel_tools import Clock, count_traffic
from tests.support.sweep_runs import make_run, plan
from tests.support.train_process import write_config
from tests.support.training_panels import simulate, training_panels

pytestmark = pytest.mark.benchmark

RUNS, MANY_RUNS = 1000, 10_000
FIRST_PAINT_SECONDS, REFRESH_SECONDS = 0.5, 0.2  # what we want to stay below
KILOBYTES_A_SECOND, SHARE_OF_A_CORE = 50.0, 0.03
PANELS = {
    "TrainingPanel": ("fpnkit.widgets.training.panel", "TrainingPanel(configs, base, poll_seconds=0)"),
    "RunBrowser": ("fpnkit.widgets.runs.browser", "RunBrowser(base)"),
    "RDExplorer": ("fpnkit.widgets.rd.explorer", "RDExplorer(base)"),
    "PyramidViewer": ("fpnkit.widgets.pyramid.viewer", "PyramidViewer(base)"),
}
# All messages are made in the constructor, but for what is read or drawn in a thread, such as the first figure.
_FIRST_PAINT = """
import sys, time; from pathlib import Path
base, configs = Path(sys.argv[1]), Path(sys.argv[2])
start = time.perf_counter(); from {module} import {name}; imported = time.perf_counter() - start
start = time.perf_counter(); panel = {call}; panel._repr_mimebundle_(); painted = time.perf_counter() - start
{settle}
start = time.perf_counter(); {refresh}; refreshed = time.perf_counter() - start
print(imported, painted, refreshed)
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
    print(f"{'':16}{'import':>10}{'first paint':>13}{'refresh':>9}")
    refresh = {"TrainingPanel": "panel.list_running()"}
    settle = {"RDExplorer": "panel.finish()", "PyramidViewer": "panel._opening.join()"}  # what goes on beside them
    for name, (module, call) in PANELS.items():
        steps = {"settle": settle.get(name, ""), "refresh": refresh.get(name, "panel.refresh()")}
        code = _FIRST_PAINT.format(module=module, name=name, call=call, **steps)
        done = subprocess.run([sys.executable, "-c", code, bases[count], configs], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        imported, painted, refreshed = map(float, done.stdout.split())
        print(f"{name:16}{imported:8.2f} s{painted:11.2f} s{refreshed:7.2f} s")


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
