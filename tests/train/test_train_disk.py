"""Disk that a training needs is looked for before it begins."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fpnkit.foundation import text
from fpnkit.train import main
from tests.support.disks import mounted
from tests.support.train_process import train, write_config

HUGE = ("--epochs", 10**9, "--set", "training.keep_best=1000000000")
FREE = 5_000_000
DETECTION = """\
task: detection
detector: {kind: shapes_fcos}
data: {train: {kind: shapes, images: 4}, val: {kind: shapes, images: 2, seed: 1}}
training: {epochs: 1, keep_best: 0, device: cpu}
"""


@pytest.mark.parametrize("dry", [["--dry-run"], []], ids=["dry run", "real"])
def test_checkpoints_that_no_disk_can_hold_are_refused_before_features_are_computed(
    dry: list[str], tmp_path: Path
) -> None:
    config = write_config(tmp_path, tmp_path / "features")
    done = train("--config", config, "--base-dir", tmp_path / "runs", *HUGE, *dry)
    assert (done.returncode, done.stdout) == (2, "")
    runs, last = tmp_path / "runs", done.stderr.splitlines()[-1]
    told = "required about 422 TB for 1 run (estimated from 105056 parameters)"
    beside = r" and \d.\d MB for the feature cache, which cache\.budget_gb bounds, found .* free"
    assert re.fullmatch(re.escape(f"fpnkit.train: {runs}: {told}") + beside, last)
    assert not runs.exists()
    kept = list((tmp_path / "features").rglob("*.safetensors"))
    assert len(kept) == (0 if dry else 6)  # of 10: those that the size was estimated from


@pytest.mark.parametrize("dry", [["--dry-run"], []], ids=["dry run", "real"])
def test_a_small_disk_is_told_of_before_anything_is_trained(dry: list[str], tmp_path: Path) -> None:
    base = tmp_path / "runs"
    with mounted(base, "size=2m"):
        done = train("--config", write_config(tmp_path, tmp_path / "features"), "--base-dir", base, *dry)
        told = f"{base}: required about 3.0 MB for 1 run (estimated from 105056 parameters), found 2.1 MB free"
        assert (done.returncode, done.stdout, done.stderr.splitlines()[-1]) == (2, "", f"fpnkit.train: {told}")
        assert list(base.iterdir()) == []


def test_a_small_disk_for_features_is_no_obstacle(tmp_path: Path) -> None:
    features = tmp_path / "features"
    with mounted(features, "size=2m"):
        config = write_config(tmp_path, features)
        dry = train("--config", config, "--base-dir", tmp_path / "runs", "--dry-run")
        assert dry.returncode == 0, dry.stderr
        assert "0 of 8 images present, 5 to add (about 2.0 MB, " in dry.stderr
        assert "3 do not fit (1.2 MB) and are computed whenever they are needed" in dry.stderr


@pytest.fixture
def small_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    def set_free(free: int) -> None:
        usage = shutil.disk_usage("/")._replace(free=free)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)

    return set_free


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder that is not on the disk of `tmp_path`."""
    place = "/dev/shm"
    if not os.path.isdir(place) or os.stat(place).st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second disk")
    with tempfile.TemporaryDirectory(dir=place) as folder:
        yield Path(folder)


def test_run_and_features_must_fit_together(
    tmp_path: Path, small_disk: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, tmp_path / "features")
    arguments = ["--config", str(config), "--base-dir", str(tmp_path / "runs"), "--dry-run"]
    small_disk(FREE)
    assert main(arguments) == 2
    needed = "about 3.0 MB for 1 run (estimated from 105056 parameters) and 3.9 MB for the feature cache"
    told = f"required {needed}, which cache.budget_gb bounds, found 5.0 MB free"
    out, err = capsys.readouterr()
    assert (out, err.splitlines()[-1]) == ("", f"fpnkit.train: {tmp_path / 'runs'}: {told}")
    assert f"disk: {needed.replace(' for 1 run', '')}, 5.0 MB free" in err.splitlines()

    assert main([*arguments, "--set", "cache.budget_gb=0.001"]) == 0
    beside = "and 783 kB for the feature cache, 5.0 MB free"  # two of ten
    assert f"disk: about 3.0 MB (estimated from 105056 parameters) {beside}" in capsys.readouterr().err

    small_disk(2_000_000)
    assert main([*arguments, "--set", "cache.budget_gb=0"]) == 2
    told = "required about 3.0 MB for 1 run (estimated from 105056 parameters), found 2.0 MB free"
    assert capsys.readouterr().err.splitlines()[-1] == f"fpnkit.train: {tmp_path / 'runs'}: {told}"


def test_features_on_another_disk_take_nothing_from_the_runs(
    tmp_path: Path, other_disk: Path, small_disk: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, other_disk / "features")
    small_disk(3_500_000)
    assert main(["--config", str(config), "--base-dir", str(tmp_path / "runs"), "--dry-run"]) == 0
    err = capsys.readouterr().err
    assert "disk: about 3.0 MB (estimated from 105056 parameters), 3.5 MB free" in err.splitlines()
    assert "validation features: feature cache" in err
    assert list(other_disk.iterdir()) == []


@pytest.mark.parametrize(("optimizer", "bytes_each"), [("sgd", 12), ("adamw", 16)])
def test_a_detectors_checkpoints_count_too(
    optimizer: str,
    bytes_each: int,
    tmp_path: Path,
    small_disk: Callable[[int], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(DETECTION)
    arguments = ["--config", str(config), "--base-dir", str(tmp_path / "runs"), "--dry-run"]
    arguments += ["--set", f"training.optimizer={optimizer}"]
    small_disk(1000)
    assert main(arguments) == 2
    begin, end = capsys.readouterr().err.splitlines()[-1].split(" parameters), found ")
    assert end == "1.0 kB free"
    told, parameters = begin.rsplit(" ", 1)
    size = text.size(bytes_each * int(parameters) + 102_000)
    assert told == f"fpnkit.train: {tmp_path / 'runs'}: required about {size} for 1 run (estimated from"
    assert int(parameters) > 100_000
    small_disk(10**9)
    assert main(arguments) == 0
