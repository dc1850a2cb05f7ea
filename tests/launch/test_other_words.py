"""Messages are for people: where every word of them is another, what is known of a process stays the same."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fpnkit.launch.launchers import look
from fpnkit.launch.local import LocalLaunch
from fpnkit.launch.protocol import SWEEP, TRAIN
from fpnkit.launch.sweep import write_sweep
from fpnkit.launch.watch import see
from tests.support import ROOT
from tests.support.launch_processes import PATIENCE
from tests.support.run_processes import until
from tests.support.sweep_runs import make_run, plan
from tests.support.train_process import write_config

Begin = Callable[..., LocalLaunch]


@pytest.fixture
def launch(launch: Begin, monkeypatch: pytest.MonkeyPatch) -> Begin:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests" / "support" / "other_words"), prepend=os.pathsep)
    return launch


def end(launched: LocalLaunch) -> None:
    until(lambda: not launched.lives(), PATIENCE)


def test_of_trainings_their_run_parameters_warnings_and_outcome_are_known(
    base: Path, launch: Begin, tmp_path: Path
) -> None:
    """The loss of the first explodes, with which its lambda has nothing to do."""
    config = write_config(tmp_path, tmp_path / "features")
    wild = ("--lambda", "1e-9", "--lr", "1e30")
    diverging = launch("--config", config, "--base-dir", base, *wild, module=TRAIN)
    end(diverging)
    state = look(diverging)
    assert "codec" not in diverging.log.read_text()
    assert state.run is not None
    assert state.run.parent == base
    record = state.record
    assert (record.parameters, record.phase, record.outcome, record.reason) == (
        105056,
        "training",
        "failed",
        "diverged",
    )
    assert [warning.kind for warning in record.warnings] == ["collapse"]
    refused = launch("--config", config, "--base-dir", base, "--epochs", 0, module=TRAIN)
    end(refused)
    told = "--epochs 0: training.epochs: required a number greater than 0, found 0"
    assert (see(refused.file).status, see(refused.file).failure) == ("failed", told)


def test_of_a_sweep_its_plan_and_what_the_trainer_refused_are_known(base: Path, launch: Begin, tmp_path: Path) -> None:
    config = write_config(tmp_path, tmp_path / "features")
    base.mkdir(parents=True)
    whole = plan(config, [1e-3, 2e-3])
    write_sweep(base, whole)
    for lmbda in (1e-3, 2e-3):
        make_run(base, whole.config(lmbda, 0), sweep=whole.id)
    arguments = ("--config", config, "--base-dir", base, "--lambdas")
    finished = launch(*arguments, "1e-3", "2e-3", module=SWEEP)
    end(finished)
    seen = see(finished.file)
    assert (seen.name, seen.status, seen.reason, seen.failure) == (f"sweep {whole.id}", "ended", None, None)
    assert [point.status for point in seen.sweep] == ["finished", "finished"]
    refused = launch(*arguments, "1e-3", "--set", "training.crop=50", module=SWEEP)
    end(refused)
    told = "training.crop: required a multiple of the coarsest stride, 32 pixels; found 50"
    assert (see(refused.file).status, see(refused.file).failure) == ("failed", told)
