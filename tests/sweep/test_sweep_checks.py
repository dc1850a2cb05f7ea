"""What a sweep looks for before it starts: all that training, evaluation and anchors will need."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from fpnkit.errors import RunError
from fpnkit.launch.needs import Needs
from fpnkit.sweep import main
from tests.support.anchor_inputs import needs_av
from tests.support.sweep_runs import make_run, plan, sweep

pytestmark = pytest.mark.usefixtures("warm_processes")

INSTALL = 'HEVC: required PyAV, found none; pip install "fpnkit[hevc]" installs it'
NO_TEST = "data.test: required the images to evaluate on, found none; --set data.test.kind=… adds them"
TEST = "data.test={kind: shapes, images: 2, seed: 9}"
DRY = pytest.mark.parametrize("dry", [["--dry-run"], []], ids=["dry run", "real"])


@pytest.fixture
def arguments(config: Path, base: Path) -> list[str]:
    return ["--config", str(config), "--lambdas", "1e-3", "--base-dir", str(base)]


@pytest.fixture
def without_av(tmp_path: Path) -> dict[str, str]:
    """An environment in which `import av` fails, as without the extra."""
    folder = tmp_path / "shadow"
    folder.mkdir()
    (folder / "av.py").write_text("raise ImportError('No module named av')\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@DRY
def test_an_anchor_whose_library_is_missing_is_refused_before_anything(
    dry: list[str], arguments: list[str], base: Path, without_av: dict[str, str]
) -> None:
    asked = [*arguments, "--set", TEST, *dry, "--anchors", "jpeg_input", "hevc_input", "features"]
    done = sweep(*asked, env=without_av)
    told = f"fpnkit.sweep: --anchors hevc_input, features_hevc: {INSTALL}\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", told)
    assert list(base.iterdir()) == []


@pytest.fixture
def without_avif() -> Iterator[None]:
    Image.init()
    save = Image.SAVE.pop("AVIF")
    yield
    Image.SAVE["AVIF"] = save


@pytest.mark.usefixtures("without_avif")
def test_so_is_one_that_pillow_was_built_without(
    arguments: list[str], base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import __version__

    assert main([*arguments, "--set", TEST, "--anchors", "avif", "webp"]) == 2
    told = f"avif: required Pillow with avif, found Pillow {__version__} without it"
    assert capsys.readouterr() == ("", f"fpnkit.sweep: --anchors avif_original, avif_input: {told}\n")
    assert list(base.iterdir()) == []


@DRY
@pytest.mark.parametrize("following", [["--evaluate"], ["--anchors", "zstd"]], ids=lambda given: str(given[0]))
def test_nothing_is_trained_that_could_not_be_measured(
    dry: list[str], following: list[str], arguments: list[str], base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, *following, *dry]) == 2
    assert capsys.readouterr() == ("", f"fpnkit.sweep: {NO_TEST}\n")
    assert list(base.iterdir()) == []


@DRY
def test_nor_beside_a_finished_run_that_cannot_be(
    dry: list[str], config: Path, base: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(base, plan(config, [1e-2]).config(1e-2, 0))
    (run / "best_model.pth").write_bytes(b"x")
    before = sorted(base.rglob("*"))
    both = [*arguments, "--lambdas", "1e-2", "1e-3"]
    assert main([*both, "--set", TEST, "--evaluate", *dry]) == 2
    assert capsys.readouterr() == ("", f"fpnkit.sweep: run {run}: {NO_TEST}\n")
    assert sorted(base.rglob("*")) == before
    (run / "best_model.pth").unlink()
    assert main([*both, "--set", TEST, "--evaluate", *dry]) == 2
    told = "required best_model.pth, found none; it has not finished an epoch"
    assert capsys.readouterr() == ("", f"fpnkit.sweep: run {run}: {told}\n")
    assert not (base / "sweeps").exists()


def test_test_images_are_opened_first_even_if_disk_and_time_are_known(
    config: Path, base: Path, arguments: list[str], tmp_path: Path
) -> None:
    make_run(base, plan(config, [0.5]).config(0.5, 0))
    gone = tmp_path / "gone"
    done = sweep(*arguments, "--set", f"data.test={{kind: folder, images: {gone}}}", "--evaluate")
    told = f"fpnkit.train: {gone}: required a folder of images, found nothing"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, told)
    assert not (base / "sweeps").exists()


def test_with_nothing_left_to_train_a_dry_run_tries_what_follows(
    config: Path, base: Path, arguments: list[str], home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = plan(config, [1e-3], None, TEST)
    run = make_run(base, whole.config(1e-3, 0))
    before = sorted(base.rglob("*"))
    given = [*arguments, "--dry-run", "--set", TEST]

    assert main([*given, "--evaluate"]) == 2
    told = f"fpnkit.evaluate: run {run}: required best_model.pth, found none; it has not finished an epoch\n"
    assert capfd.readouterr().err == told

    assert main([*given, "--anchors", "zstd"]) == 0
    out, err = capfd.readouterr()
    assert out.splitlines() == [
        f"sweep {whole.id}: 1 finished",
        f"plan: {base}/sweeps/{whole.id}.yaml",
        "dry run: nothing was started",
    ]
    assert err.splitlines()[-1] == "dry run: everything is in order; nothing was measured"

    assert main([*given, "--set", "data.test={kind: folder, images: gone}", "--anchors", "zstd"]) == 2
    told = f"fpnkit.anchors: {Path.cwd() / 'gone'}: required a folder of images, found nothing\n"
    assert capfd.readouterr().err == told

    assert main([*arguments, "--anchors", "zstd"]) == 2
    assert capfd.readouterr() == ("", f"fpnkit.sweep: {NO_TEST}\n")
    assert sorted(base.rglob("*")) == before
    assert not home.exists()


@needs_av
def test_a_dry_run_of_everything_finds_it_in_order_and_leaves_nothing(
    arguments: list[str], base: Path, home: Path, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    done = sweep(*arguments, "--set", TEST, "--evaluate", "--anchors", "hevc", "avif", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "dry run: nothing was started"
    assert sorted(tmp_path.rglob("*")) == before


def test_a_dry_run_opens_the_model_of_a_finished_run(arguments: list[str], base: Path, home: Path) -> None:
    done = sweep(*arguments, "--set", TEST, "--epochs", 1)
    assert done.returncode == 0, done.stderr
    given = [*arguments, "--set", TEST, "--epochs", 1, "--evaluate", "--dry-run"]
    fine = sweep(*given)
    assert fine.returncode == 0, fine.stderr
    assert fine.stderr.splitlines()[-1] == "dry run: everything is in order; nothing was measured"
    (run,) = base.glob("run_*")
    assert not (run / "evaluation").exists()
    (run / "best_model.pth").write_bytes(b"no model")
    broken = sweep(*given)
    assert broken.returncode == 2
    assert broken.stderr.splitlines()[-1].startswith(f"fpnkit.evaluate: {run / 'best_model.pth'}: ")
    assert not home.exists()


def test_runs_and_features_on_one_disk_must_both_fit(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    fitting = Needs(2, 10**6, None, free, "unknown", free // 2)
    fitting.require_disk(tmp_path)
    with pytest.raises(RunError) as error:
        Needs(2, 10**6, None, 10**9, "unknown", 10**9).require_disk(tmp_path)
    told = "required about 1.0 MB for 2 runs (unknown) and 1.0 GB for the feature cache, which cache.budget_gb bounds"
    assert str(error.value) == f"{tmp_path}: {told}, found 1.0 GB free"


def test_what_the_trainer_says_of_the_cache_counts_once_for_the_sweep(arguments: list[str]) -> None:
    done = sweep(*arguments, "--seeds", 0, 1, "--dry-run")
    (of_all,) = [line for line in done.stdout.splitlines() if line.startswith("disk: ")]
    (of_one,) = [line for line in done.stderr.splitlines() if "disk: " in line]
    told = "(estimated from 105056 parameters) and 3.9 MB for the feature cache, "
    assert of_all.startswith(f"disk: about 6.1 MB {told}")
    assert of_one.startswith(f"disk: about 3.0 MB {told}")
