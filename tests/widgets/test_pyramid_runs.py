import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fpnkit.errors import RunError
from fpnkit.runs.store import NONE_YET, RunInfo
from fpnkit.widgets.pyramid.loading import _kept
from fpnkit.widgets.pyramid.sweeps import run_sets
from fpnkit.widgets.pyramid.viewer import PyramidViewer


def info(name: str, **facts: Any) -> RunInfo:
    known = {"lmbda": 1e-3, "codec": "factorized", "detector": "d", "dataset": "s", "lr": 1e-3, "batch_size": 4}
    created = datetime(2026, 1, int(name), tzinfo=UTC)
    return RunInfo(f"run_{name}", Path(f"/runs/run_{name}"), "finished", **{**known, "created": created, **facts})


def test_a_set_differs_in_lambda_alone_or_is_one_sweep() -> None:
    runs = [
        info("1", lmbda=1e-2),
        info("2", lmbda=1e-3),
        info("3", detector="other"),
        info("4", lmbda=1e-4, sweep="s", lr=1.0),
        info("5", lmbda=1e-5, sweep="s", lr=2.0),
        info("6", lmbda=None),  # a detector
        info("7", lmbda=float("nan")),
    ]
    sets = run_sets(runs)
    assert [[run.name for run in each.runs] for each in sets] == [["run_5", "run_4"], ["run_3"], ["run_2", "run_1"]]
    assert [each.newest.name for each in sets] == ["run_5", "run_3", "run_2"]
    assert sets[0].label == "2026-01-05 00:00 · sweep s · factorized for d · on s · λ 1e-5 to 1e-4 · 2 runs"


def test_labels_are_short_and_the_newest_are_offered() -> None:
    runs = [info(str(day), bpp=0.1 * day) for day in (1, 2, 3)]
    runs.append(replace(info("4", lmbda=1e-4, bpp_estimated=0.5), status="running"))
    (made,) = run_sets(runs)
    assert made.options(10) == [
        ("▶ 1e-4 · ≈0.500 bpp", Path("/runs/run_4")),
        ("λ 1e-3 · 0.100 bpp", Path("/runs/run_1")),
        ("λ 1e-3 · 0.200 bpp", Path("/runs/run_2")),
        ("λ 1e-3 · 0.300 bpp", Path("/runs/run_3")),
    ]
    assert [path.name for _, path in made.options(2)] == ["run_4", "run_3"]


def test_what_was_needed_last_stays_loaded() -> None:
    kept: dict[Any, int] = {}
    made = []

    def make(number: int) -> int:
        made.append(number)
        return number

    for number in (1, 2, 1, 3, 1, 2):
        assert _kept(kept, 2, number, lambda number=number: make(number)) == number
    assert made == [1, 2, 3, 2]
    assert len(kept) == 2


def test_torch_is_not_imported_before_something_is_loaded(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom fpnkit.widgets.pyramid.viewer import PyramidViewer\n"
        f"viewer = PyramidViewer({str(tmp_path)!r})\nviewer.finish()\nviewer.raise_failures()\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_no_runs_yet_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path))
    viewer = PyramidViewer()
    with pytest.raises(RunError) as caught:
        _ = viewer.view
    assert str(caught.value) == f"{tmp_path}/checkpoints/fpn_compression: {NONE_YET}"
    viewer.raise_failures()
    assert "python -m fpnkit.sweep --config" in viewer.said.value
    assert viewer.tabs.layout.display == "none"
