"""While a run is measured or analyzed, nobody moves it away; pictures may be called anything that a disk can hold."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from fpnkit import analyze, evaluate
from fpnkit.analysis import report
from fpnkit.evaluation import run as measuring
from tests.support.curve_run import copy_run
from tests.support.run_processes import python

MOVE = "import sys; from pathlib import Path; from fpnkit.foundation.lock import DirectoryLock; "
MOVE += "DirectoryLock(Path(sys.argv[1]), 'archive')"
Command = Callable[[list[str]], int]


@pytest.mark.parametrize(
    ("command", "module", "name"),
    [(evaluate.main, measuring, "_measure"), (analyze.main, report, "save_all")],
    ids=["evaluate", "analyze"],
)
def test_what_is_worked_on_cannot_be_moved_until_it_is_done(
    command: Command, module: object, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, told = copy_run(tmp_path / "runs"), []
    step = getattr(module, name)

    def tried(*arguments: object, **options: object) -> object:
        told.append(python(MOVE, run).stderr.splitlines()[-1])
        return step(*arguments, **options)

    monkeypatch.setattr(module, name, tried)
    assert command([str(run), *(["--small", "--images", "1"] if command is analyze.main else [])]) == 0
    assert told == [f"fpnkit.errors.RunError: {run}: another process is evaluating or analyzing this run"]
    assert python(MOVE, run).returncode == 0


def test_a_picture_whose_name_is_no_utf_8_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path))
    run, images = copy_run(tmp_path / "runs"), tmp_path / "images"
    images.mkdir()
    Image.new("RGB", (64, 64), (200, 10, 10)).save(images / os.fsdecode(b"\xe9.png"), "PNG")
    source = json.dumps({"kind": "folder", "images": str(images)})
    assert evaluate.main([str(run), "--qualities", "0", "--set", f"data.test={source}"]) == 0
    (summary,) = run.glob("evaluation/*/*/**/summary.json")
    assert json.loads(summary.read_text())["images"] == 1


def test_a_folder_whose_name_is_no_utf_8_is_refused_by_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path))
    source = json.dumps({"kind": "folder", "images": os.fsdecode(b"im\xffages")})
    assert evaluate.main([str(copy_run(tmp_path / "runs")), "--set", f"data.test={source}"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"fpnkit.evaluate: --set data.test={source}: data.test.images: required text in UTF-8, found other bytes"
    )
