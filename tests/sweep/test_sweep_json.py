"""`python -m fpnkit.sweep --json`: one document on stdout, whatever became of the runs."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fpnkit.launch.sweep import sweep_path, sweep_state
from fpnkit.runs.metrics import read_metrics
from tests.support.run_processes import until
from tests.support.sweep_runs import make_run, plan, sweep
from tests.support.train_process import write_config

pytestmark = pytest.mark.usefixtures("warm_processes")

KEYS = ["lmbda", "seed", "action", "status", "reason", "run", "path", "best_loss", "bpp_estimated"]
NO_RUN = dict.fromkeys(["reason", "run", "path", "best_loss", "bpp_estimated"])


def points(document: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document["points"]
    assert [list(point) for point in found] == [KEYS] * len(found)
    return found


def test_the_document_says_what_was_done_and_what_became_of_it(config: Path, base: Path) -> None:
    arguments = ["--config", config, "--epochs", 1, "--base-dir", base, "--json"]
    done = sweep(*arguments, "--lambdas", "1e30", "1e-3", "--seeds", 3)
    whole = plan(config, [1e-3, 1e30], [3], "training.epochs=1")
    state = {point.lmbda: point.run for point in sweep_state(base, whole.id)}
    document = json.loads(done.stdout)
    assert done.returncode == 1
    assert list(document) == ["sweep", "plan", "dry_run", "points"]
    assert (document["sweep"], document["dry_run"]) == (whole.id, False)
    assert document["plan"] == str(sweep_path(base, whole.id))
    bad, good = points(document)
    run = state[1e30]
    assert run is not None
    assert bad == {
        "lmbda": 1e30,
        "seed": 3,
        "action": "train",
        "status": "crashed",
        "reason": "diverged",
        "run": run.name,
        "path": str(run.path),
        "best_loss": None,
        "bpp_estimated": None,
    }
    run = state[1e-3]
    assert run is not None
    assert good == {
        "lmbda": 1e-3,
        "seed": 3,
        "action": "train",
        "status": "finished",
        "reason": None,
        "run": run.name,
        "path": str(run.path),
        "best_loss": run.best_loss,
        "bpp_estimated": run.bpp_estimated,
    }
    assert isinstance(good["best_loss"], float)
    assert isinstance(good["bpp_estimated"], float)
    told = done.stderr.splitlines()
    assert told[0] == f"sweep {whole.id}: 2 to train"
    assert f"{run.path}" in told  # the trainer's own stdout
    assert told[-1] == "1 of 2 not finished: lambda 1e30, seed 3 crashed (diverged)"

    again = sweep(*arguments, "--lambdas", "1e30", "1e-3", "--seeds", 3)
    assert again.returncode == 1
    assert points(json.loads(again.stdout)) == [{**bad, "action": "give_up"}, {**good, "action": "skip"}]

    planned = sweep(*arguments, "--lambdas", "1e-3", "2e-3", "--seeds", 3, "--dry-run")
    assert planned.returncode == 0
    document = json.loads(planned.stdout)
    assert (document["sweep"], document["dry_run"]) == (whole.id, True)
    missing = {"lmbda": 2e-3, "seed": 3, "action": "train", "status": "missing", **NO_RUN}
    assert points(document) == [{**good, "action": "skip"}, missing]
    assert planned.stderr.splitlines()[-1] == "dry run: nothing was started"


def test_a_run_to_resume_is_planned_as_such(config: Path, base: Path) -> None:
    whole = plan(config, [1e-3])
    path = make_run(base, whole.config(1e-3, 0), ("SIGINT", 130), sweep=whole.id)
    done = sweep("--config", config, "--lambdas", "1e-3", "--base-dir", base, "--json", "--dry-run")
    (point,) = points(json.loads(done.stdout))
    assert (point["action"], point["status"], point["reason"]) == ("resume", "stopped", "SIGINT")
    assert (point["run"], point["path"]) == (path.name, str(path))


def test_stopped_it_still_says_how_far_it_came(
    tmp_path: Path, base: Path, begin: "Callable[..., subprocess.Popen[bytes]]"
) -> None:
    config = write_config(tmp_path, tmp_path / "features", crops=500)
    process = begin("--config", config, "--lambdas", "2e-3", "1e-3", "--base-dir", base, "--json")
    until(lambda: any(read_metrics(path) for path in base.glob("run_*/metrics.jsonl")), 120)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) == 130
    first, second = points(json.loads((tmp_path / "out").read_text()))
    assert (first["action"], first["status"], first["reason"]) == ("train", "stopped", "SIGINT")
    assert second == {"lmbda": 1e-3, "seed": 0, "action": None, "status": "missing", **NO_RUN}
    last = (tmp_path / "err").read_text().splitlines()[-1]
    assert last == "stopped by SIGINT; to go on, type the same command again"


def test_what_is_refused_has_no_document(config: Path, base: Path) -> None:
    arguments = ["--config", config, "--base-dir", base, "--json"]
    done = sweep(*arguments, "--lambdas", "0")
    told = "fpnkit.sweep: --lambdas 0: loss.lambda: required a number greater than 0, found 0\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", told)
    done = sweep(*arguments, "--lambdas", "1", "--set", "training.crop=50")
    told = "fpnkit.train: training.crop: required a multiple of the coarsest stride, 32 pixels; found 50"
    assert (done.returncode, done.stdout, done.stderr.splitlines()[-1]) == (2, "", told)
