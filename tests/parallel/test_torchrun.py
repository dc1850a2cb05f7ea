"""One training with several processes: the same as with one, and all end together. Real ones, under torchrun."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch

import fpnkit as fk
from fpnkit.data.shapes import ShapesSet
from tests.support import ROOT, plugins, torchrun
from tests.support.train_process import lines, only_run, status, wait_for_lines
from tests.support.trainings_alike import assert_same_state

WEIGHTS = 1e-4  # relative; sums of floats in another order grow apart from step to step
NONE = torch.zeros(0)
IMPORT = "import fpnkit.errors"
STEPS = 42  # of an epoch of the long training


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("features")


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory, features: Path) -> Path:
    """A config whose training can be interrupted."""
    return torchrun.write_config(tmp_path_factory.mktemp("long") / "config.yaml", features, crops=12)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, long: Path) -> Path:
    """Two processes, nothing in their way."""
    base_dir = tmp_path_factory.mktemp("whole")
    done = torchrun.train(2, "--config", long, "--base-dir", base_dir)
    assert done.returncode == 0, done.stderr
    return only_run(base_dir)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(torchrun.FACTORIZED, id="factorized", marks=pytest.mark.slow),
        pytest.param(torchrun.FUSED, id="fused"),
    ],
)
def test_two_processes_train_as_one(kind: tuple[str, str], features: Path, tmp_path: Path) -> None:
    config = torchrun.write_config(tmp_path / "config.yaml", features, kind)
    record = tmp_path / "record.json"
    alone = torchrun.train(0, "--config", config, "--base-dir", tmp_path / "alone")
    together = torchrun.train(2, "--config", config, "--base-dir", tmp_path / "together", FPNKIT_RECORD=str(record))
    assert (alone.returncode, together.returncode) == (0, 0), together.stderr
    one, two = only_run(tmp_path / "alone"), only_run(tmp_path / "together")
    assert together.stdout.splitlines()[-1] == str(two)
    assert len(together.stdout.splitlines()) == len(alone.stdout.splitlines()) == 2
    assert [(line["split"], line["step"]) for line in lines(two)] == [(x["split"], x["step"]) for x in lines(one)]
    for ours, theirs in zip(lines(two), lines(one), strict=True):
        for key in ("loss", "bpp_estimated", "distortion", "aux_loss"):
            assert ours[key] == pytest.approx(theirs[key], rel=WEIGHTS), (key, ours["step"])

    found = json.loads((two / "run.json").read_text())["parallel"]
    assert (found["world_size"], found["devices"], found["before"]) == (2, ["cpu", "cpu"], [])
    assert json.loads((two / "env" / "system.json").read_text())["parallel"] == found
    assert json.loads((one / "run.json").read_text())["parallel"] is None
    recorded = json.loads(record.read_text())
    assert (recorded["pid"], recorded["run"], recorded["outcome"]) == (found["pids"][0], str(two), "finished")
    assert len(list(two.glob("train_*.log"))) == 1
    rates = (two / "training_diagnostics_epoch_2.txt").read_text().split("images a second, each rank  ")[1]
    assert len([float(rate) for rate in rates.splitlines()[0].split(", ")]) == 2

    ours, theirs = torchrun.learned(two), torchrun.learned(one)
    for name, value in theirs["codec"].items():
        assert torch.allclose(ours["codec"][name], value, rtol=1e-3, atol=1e-4), name
    assert torch.allclose(ours.get("balance", NONE), theirs.get("balance", NONE), rtol=WEIGHTS)

    image = ShapesSet(1, seed=5)[0].image.permute(1, 2, 0).numpy()
    pyramid, coded = fk.run(one).detector().pyramid(image), []
    for run in (one, two):
        codec = fk.run(run).codec()
        data = codec.encode(pyramid, quality=None if kind is torchrun.FACTORIZED else 1)
        decoded = codec.decode(data)
        coded.append([len(data), *((decoded[name] - pyramid[name]).square().mean().item() for name in decoded)])
    assert coded[0] == pytest.approx(coded[1], rel=0.01)


def test_stopped_killed_and_resumed_equals_uninterrupted(whole: Path, long: Path, tmp_path: Path) -> None:
    process = torchrun.start(2, "--config", long, "--base-dir", tmp_path)
    path = wait_for_lines(tmp_path, 10)
    process.send_signal(signal.SIGTERM)
    stopped = torchrun.ended(process)
    assert status(path) == ("stopped", "SIGTERM"), stopped.stderr
    assert stopped.stdout == f"{path}\n"
    assert f"; to go on: torchrun … -m fpnkit.train --resume {path}\n" in stopped.stderr

    process = torchrun.start(2, "--resume", path)
    wait_for_lines(tmp_path, STEPS + 10)
    os.kill(pids(path)[1], signal.SIGKILL)
    killed = torchrun.ended(process)
    assert killed.returncode == 1
    word, reason = status(path)
    assert (word, reason.split(": ")[0]) == ("crashed", "another process of this training ended or does not answer")
    assert [line for line in torchrun.said(killed.stderr) if "another process" in line] == [f"ERROR: {reason}"]

    done = torchrun.train(2, "--resume", path)
    assert done.returncode == 0, done.stderr
    assert status(path) == ("finished", None)
    assert lines(path) == lines(whole)
    assert_same_state(torchrun.learned(path), torchrun.learned(whole))


@pytest.mark.slow
def test_a_stop_asked_of_one_stops_all_and_another_number_goes_on(long: Path, tmp_path: Path) -> None:
    process = torchrun.start(2, "--config", long, "--base-dir", tmp_path)
    path = wait_for_lines(tmp_path, 10)
    os.kill(pids(path)[1], signal.SIGINT)
    stopped = torchrun.ended(process)
    assert status(path) == ("stopped", "SIGINT"), stopped.stderr
    assert stopped.stderr.count("exitcode  : 130") == 2
    done = torchrun.train(0, "--resume", path)
    assert done.returncode == 0, done.stderr
    told = "1 process goes on with what 2 have trained: what follows is not the same bit for bit"
    assert told in done.stderr.splitlines()
    found = json.loads((path / "run.json").read_text())["parallel"]
    assert (found["world_size"], found["before"]) == (1, [2])


CAMERA = """
import os
import lab_means

class Camera(lab_means.Mean):
    seen = 0

    def pyramid(self, batch):
        self.seen += 1
        if os.environ["RANK"] == "1" and self.seen > LAST:
            raise ERROR("the camera is gone")
        return super().pyramid(batch)
"""


@pytest.mark.parametrize(
    ("last", "kind", "code", "told"),
    [
        (0, "fpnkit.errors.DataError", 2, ["fpnkit.train: rank 1: the camera is gone"]),
        (30, "OSError", 1, ["ERROR: rank 1: OSError: the camera is gone", "rank 1: ERROR: crashed"]),
    ],
    ids=["before", "while"],
)
def test_an_error_of_one_ends_all_and_is_told_once(
    last: int, kind: str, code: int, told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the training nothing is made, in the middle the run says why."""
    (tmp_path / "lab_means.py").write_text(plugins.MEAN)
    source = CAMERA.replace("LAST", str(last)).replace("ERROR", kind).replace("import os", f"import os\n{IMPORT}")
    plugins.install(tmp_path, monkeypatch, source, {"fpnkit.detectors": "camera = lab_detectors:Camera"})
    config = torchrun.write_config(tmp_path / "config.yaml", tmp_path / "features", crops=30)
    text = config.read_text().replace("kind: shapes_fcos", "kind: plugin, name: camera, options: {label: 1}")
    config.write_text(text.replace("{directory:", "{budget_gb: 0, directory:"))
    base_dir = tmp_path / "runs"
    done = torchrun.train(2, "--config", config, "--base-dir", base_dir, PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert done.returncode == 1
    assert sorted(line for line in torchrun.said(done.stderr) if line in told) == told
    assert done.stderr.count(f"exitcode  : {code}") == 2
    assert "Traceback" not in "".join(torchrun.said(done.stderr)) or code == 1
    if code == 2:
        assert not base_dir.exists()
    else:
        assert status(only_run(base_dir)) == ("crashed", "rank 1: OSError: the camera is gone")


def test_a_batch_that_cannot_be_shared_is_refused_once(long: Path, tmp_path: Path) -> None:
    done = torchrun.train(2, "--config", long, "--base-dir", tmp_path, "--batch-size", "3")
    assert torchrun.said(done.stderr) == [
        "fpnkit.train: training.batch_size: required a multiple of the number of processes, 2; found 3"
    ]
    assert done.stdout == ""
    assert done.stderr.count("exitcode  : 2") == 2
    assert list(tmp_path.iterdir()) == []


def pids(run: Path) -> list[int]:
    """By rank."""
    found: list[int] = json.loads((run / "run.json").read_text())["parallel"]["pids"]
    return found
