"""How fast runs are listed, beside the tools that others use. Prints a table; asserts what is counted, not how fast.

pytest tests/benchmarks/test_run_listing.py -m benchmark -s
"""

import importlib.util
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fpnkit.runs.metrics import read_metrics
from fpnkit.runs.query import select
from fpnkit.runs.store import list_runs, runs_frame
from tests.support.fake_runs import write_runs

pytestmark = pytest.mark.benchmark

COUNTS = (100, 1000, 10_000)
QUERY = "lmbda < 1e-3 and status == 'finished'"


def best_of(times: int, function: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of the fastest call, for other people's processes slow this one; and its result."""
    seconds = []
    for _ in range(times):
        start = time.process_time()
        result = function()
        seconds.append(time.process_time() - start)
    return min(seconds), result


def command(*arguments: object) -> tuple[float, float, str]:
    """CPU seconds, peak MB and output of `python -m fpnkit.runs …`, the fastest of three."""
    code = (
        "import sys; from fpnkit.runs.__main__ import main; code = main(); "
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM')); "
        "print(peak.split()[1], file=sys.stderr); sys.exit(code)"
    )
    found = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        found.append((seconds, int(done.stderr) / 1000, done.stdout))
    return min(found)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("runs")
    made = {count: folder / str(count) for count in (10, *COUNTS)}
    for count, base in made.items():
        write_runs(base, count)
    return made


def test_list_query_and_details_of_many_runs(bases: dict[int, Path]) -> None:
    print(
        f"\n{'runs':>6} {'list_runs':>10} {'us a run':>9} {'query':>7} {'frame':>7}"
        f" {'command':>8} {'peak MB':>8} {'details':>8}"
    )
    for count in COUNTS:
        base = bases[count]
        listing, runs = best_of(5, lambda base=base: list_runs(base))
        query, chosen = best_of(3, lambda runs=runs: select(runs, QUERY))
        frame, table = best_of(3, lambda base=base: runs_frame(base))
        whole, peak, text = command("--base-dir", base)
        details, _, shown = command("--base-dir", base, "--show-details", runs[count // 2].path.name)
        print(
            f"{count:6} {listing:8.3f} s {1e6 * listing / count:9.0f} {query:5.3f} s {frame:5.2f} s {whole:6.2f} s"
            f" {peak:8.0f} {details:6.2f} s"
        )
        assert len(runs) == len(table) == len(text.splitlines()) - 1 == count
        assert chosen == [run for run in runs if run.lmbda < 1e-3 and run.status == "finished"]
        assert shown.startswith(runs[count // 2].path.name)


def test_the_command_starts_quickly(bases: dict[int, Path]) -> None:
    seconds, peak, text = command("--base-dir", bases[10])
    print(f"\nten runs: {seconds:.2f} s of CPU, {peak:.0f} MB")
    assert len(text.splitlines()) == 11


def test_reading_metrics_beside_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from fpnkit.runs.tensorboard import write_events

    paths = write_runs(tmp_path, 50, lines=100)
    for path in paths:
        write_events(path)
    ours, lines = best_of(3, lambda: [read_metrics(path / "metrics.jsonl") for path in paths])

    def read_events() -> list[Any]:
        return [EventAccumulator(str(path / "tb" / split)).Reload() for path in paths for split in ("train", "val")]

    theirs, events = best_of(3, read_events)
    print(f"\n50 runs of 100 lines: metrics.jsonl {ours:.3f} s, TensorBoard {theirs:.3f} s, ratio {theirs / ours:.1f}")
    assert [len(each) for each in lines] == [100] * 50
    assert sum(len(each.Scalars("loss")) for each in events) == 5000


@pytest.mark.parametrize("tool", ["mlflow", "trackio"])
def test_listing_beside_a_tracker(bases: dict[int, Path], tmp_path: Path, tool: str) -> None:
    if importlib.util.find_spec(tool) is None:
        pytest.skip(f"needs {tool}")
    count = 1000
    code = {"mlflow": _MLFLOW, "trackio": _TRACKIO}[tool]
    environment = os.environ | {"TRACKIO_DIR": str(tmp_path), "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(count)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout.splitlines()[-1])
    ours, runs = best_of(5, lambda: list_runs(bases[count]))
    print(
        f"\n{count} runs: fpnkit {ours:.3f} s, {tool} {theirs['seconds']:.3f} s, ratio {theirs['seconds'] / ours:.1f}"
    )
    assert len(runs) == theirs["runs"] == count


_MLFLOW = """
import json, sys, time
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient
client, count = MlflowClient(), int(sys.argv[1])
experiment = client.create_experiment("speed")
for number in range(count):
    run = client.create_run(experiment)
    metrics = [Metric("loss", 1.0 / (step + 1), 0, step) for step in range(2)]
    client.log_batch(run.info.run_id, metrics, [Param("lmbda", str(number))])
    client.set_terminated(run.info.run_id)
seconds = []
for _ in range(3):
    start, found, token = time.process_time(), 0, None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        found, token = found + len(page), page.token
        if not token:
            break
    seconds.append(time.process_time() - start)
print(json.dumps({"seconds": min(seconds), "runs": found}))
"""

_TRACKIO = """
import json, sys, time
from trackio.sqlite_storage import SQLiteStorage
count = int(sys.argv[1])
for number in range(count):
    SQLiteStorage.bulk_log("speed", f"run {number}", [{"loss": 1.0}, {"loss": 0.5}], config={"lmbda": number})
seconds = []
for _ in range(3):
    start = time.process_time()
    runs = SQLiteStorage.get_runs("speed")
    configs = [SQLiteStorage.get_run_config("speed", run) for run in runs]
    seconds.append(time.process_time() - start)
print(json.dumps({"seconds": min(seconds), "runs": len(runs)}))
"""
