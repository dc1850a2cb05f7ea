"""Commands on a disk that cannot be written to say so in one message, before they compute anything long."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fpnkit import analyze, evaluate, init, sweep, train
from fpnkit.anchors import __main__ as anchors
from tests.support.curve_run import copy_run
from tests.support.disks import make_read_only, mounted
from tests.support.fault_config import write_config

Command = Callable[[Sequence[str]], int]
REQUIRED = "required a directory that can be written to: Read-only file system"


@pytest.fixture
def last_line(capsys: pytest.CaptureFixture[str]) -> Callable[[Command, list[str]], str]:
    def call(command: Command, arguments: list[str]) -> str:
        assert command(arguments) == 2
        out, err = capsys.readouterr()
        assert out == ""
        return err.splitlines()[-1]

    return call


def test_what_measures_names_the_place_of_its_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last_line: Callable[[Command, list[str]], str]
) -> None:
    root = tmp_path / "root"
    with mounted(root, "size=50m"):
        run = copy_run(root / "checkpoints" / "fpn_compression")
        monkeypatch.setenv("FPNKIT_HOME", str(root))
        make_read_only(root)
        (ceiling,) = {
            last_line(evaluate.main, [run.name]).removeprefix("fpnkit.evaluate: "),
            last_line(anchors.main, ["--config", f"{run}/config_used.yaml"]).removeprefix("fpnkit.anchors: "),
        }
        place = root / "checkpoints" / "ceilings" / "shapes_3_seed_7_shapes_fcos"
        assert ceiling.startswith(f"{place}/")
        assert ceiling.endswith(f": {REQUIRED}")
        told = last_line(analyze.main, [run.name])
        assert told.startswith(f"fpnkit.analyze: {run}/fpn_analysis/lambda_")
        assert told.endswith(f": {REQUIRED}")
        assert not (root / "checkpoints" / "ceilings").exists()


def test_what_trains_names_the_folder_of_its_runs(
    tmp_path: Path, last_line: Callable[[Command, list[str]], str]
) -> None:
    config = write_config(tmp_path, tmp_path / "features")
    with mounted(tmp_path / "root", "size=1m,ro"):
        base = tmp_path / "root" / "runs"
        arguments = ["--config", str(config), "--base-dir", str(base)]
        assert last_line(train.main, arguments) == f"fpnkit.train: base directory {base}: {REQUIRED}"
        told = last_line(sweep.main, [*arguments, "--lambdas", "1e-4", "1e-3"])
        assert told == f"fpnkit.sweep: base directory {base}: {REQUIRED}"
    assert not (tmp_path / "features").exists()


def test_a_run_on_such_a_disk_is_still_evaluated_where_its_results_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    with mounted(root, "size=50m"):
        run = copy_run(root / "checkpoints" / "fpn_compression")
        monkeypatch.setenv("FPNKIT_HOME", str(root))
        assert evaluate.main([run.name, "--qualities", "0"]) == 0
        before = capsys.readouterr().out
        make_read_only(root)
        assert evaluate.main([run.name, "--qualities", "0"]) == 0
        assert capsys.readouterr().out == before


def test_a_project_is_not_begun_there(tmp_path: Path, last_line: Callable[[Command, list[str]], str]) -> None:
    with mounted(tmp_path / "root", "size=1m,ro"):
        folder = tmp_path / "root" / "project"
        assert last_line(init.main, [str(folder)]) == f"fpnkit.init: {folder}: {REQUIRED}"


def test_a_disk_that_is_full_before_a_project_is_there_keeps_no_half_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    with mounted(root, "size=64k"):
        assert init.main([str(root)]) == 1
        told = f"fpnkit.init: {root}: could not be written: No space left on device\n"
        assert capsys.readouterr() == ("", told)
        assert list(root.iterdir()) == []
