"""A detector that is an object: commands run in this process, and leave it as it was."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import fpnkit as fk
from fpnkit.api.runs import Run
from fpnkit.data.shapes import ShapesSet
from fpnkit.detectors.base import Detections
from fpnkit.detectors.plugin import given, own_name
from fpnkit.errors import FpnkitError, UserError, WeightsError
from fpnkit.foundation.guest import Guest, as_guest
from fpnkit.pyramid import Pyramid
from fpnkit.training.stop import StopRequest
from tests.support import ROOT, warm
from tests.support.plugins import Mean
from tests.support.train_process import only_run, status, wait_for_lines

FEW: dict[str, Any] = {"training__epochs": 1, "training__crop": 64, "training__device": "cpu"}
LONG = {**FEW, "training__epochs": 3000}  # until it is stopped
LOST = (
    "detector `Mean`: required an installed entry point of the group fpnkit.detectors, found none; an object made in a "
    "notebook has to be given again as detector=…, or its class put into a file that detector.class names, such as "
    "file.py:Mean"
)


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path))
    return tmp_path / "checkpoints" / "fpn_compression"


def config(base: Path) -> dict[str, Any]:
    """Without a detector."""
    return {
        "task": "fpn_compression",
        "data": {
            "train": {"kind": "shapes", "images": 4},
            "val": {"kind": "shapes", "images": 1, "seed": 5},
            "test": {"kind": "shapes", "images": 2, "seed": 7},
        },
        "codec": {"kind": "factorized", "channels": 4, "latent_channels": 4},
        "loss": {"lambda": 1e-4},
        "cache": {"directory": str(base.parent / "features")},
    }


def refused(call: Callable[[], object], kind: type[Exception] = UserError) -> str:
    with pytest.raises(kind) as error:
        call()
    return str(error.value)


def test_a_codec_is_trained_for_an_object_and_used_with_it(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mean = Mean()
    run = fk.train(config(base), detector=mean, **FEW)
    assert (run.info.status, run.info.detector) == ("finished", "Mean")
    assert run.config.model_dump()["detector"] == {"kind": "plugin", "name": "Mean", "code": None, "options": {}}
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == str(run.path)
    assert "in place of" not in said.out
    assert said.err == ""
    table = fk.evaluate(run)
    assert f"{run.name} on shapes_2_seed_7 (2 images): " in capsys.readouterr().out
    assert table["run"].tolist() == [run.name]

    image = ShapesSet(1, 3)[0].image
    later = fk.run(run.name)
    detector, codec = later.detector(Mean()), later.codec()
    data = codec.encode(detector.pyramid(image))
    found = detector.detect(codec.decode(data))
    assert found.names == ("all",)
    assert fk.plot_boxes(image, found)._repr_png_()
    assert run.codec().encode(run.detector().pyramid(image)) == data
    assert fk.evaluate(later)["bpp"].tolist() == table["bpp"].tolist()
    assert fk.evaluate(run.name, detector=detector)["bpp"].tolist() == table["bpp"].tolist()


def test_it_is_called_by_its_own_name(base: Path) -> None:
    run = fk.train(config(base), detector=Mean(name="mean of four"), **FEW)
    assert run.info.detector == run.detector().name == "mean of four"
    fk.evaluate(run)
    assert [path.name for path in (base.parent / "ceilings").iterdir()] == ["shapes_2_seed_7_mean of four"]
    assert str(fk.check(Mean(name="mean of four"))).startswith("mean of four")
    assert own_name(Mean(name="")) == "Mean"


def test_the_detector_of_the_config_is_replaced_and_that_is_said(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "detector: Mean, the object given, in place of the config's shapes_fcos"
    other = {**config(base), "detector": {"kind": "shapes_fcos"}}
    assert fk.train(other, detector=Mean(), **FEW).info.detector == "Mean"
    assert capsys.readouterr().out.splitlines()[0] == line
    file = tmp_path / "config.yaml"
    file.write_text("detector: {kind: shapes_fcos}\nwrong: 1\n")
    assert refused(lambda: fk.train(file, detector=Mean())).startswith(f"{file}:1: task: required, but missing")
    assert capsys.readouterr().out.splitlines()[0] == line


def test_another_object_is_told_apart_by_its_fingerprint(base: Path) -> None:
    run = fk.train(config(base), detector=Mean(), **FEW)
    text = f"run {run.path}: required the detector it was trained with (fingerprint mean 1), found another one "
    assert refused(lambda: fk.evaluate(run, detector=Mean("mean 2"))) == f"{text}(Mean, mean 2)"
    assert refused(lambda: fk.evaluate(run, detector=Mean("mean 2", name="two"))) == f"{text}(two, mean 2)"
    run.detector(Mean("mean 2"))
    assert refused(run.codec, WeightsError) == f"{text}(Mean, mean 2)"
    run.detector(Mean())
    assert run.codec().encode(run.detector().pyramid(ShapesSet(1, 3)[0].image))
    assert refused(lambda: fk.train(run, detector=Mean("mean 2"), training__epochs=2)) == (
        f"{run.path}/last.pth: detector: required the one that the run began with, fingerprint mean 1; found mean 2: "
        "its weights or its preprocessing changed"
    )
    assert refused(lambda: fk.train(run, detector=Mean(name="two"), training__epochs=2)) == (
        f"run {run.path}: required its detector Mean, found one of the name two"
    )


def test_without_the_object_it_is_said_what_to_do(base: Path, warm_processes: None) -> None:
    run = fk.run(fk.train(config(base), detector=Mean(), **FEW).path)
    assert refused(lambda: fk.evaluate(run)) == LOST
    assert refused(run.detector) == LOST
    assert refused(run.codec) == LOST
    assert refused(lambda: fk.train(run, training__epochs=2)) == LOST
    done = subprocess.run([sys.executable, "-m", "fpnkit.evaluate", run.name], capture_output=True, text=True)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, f"fpnkit.evaluate: {LOST}")
    source = base.parent / "lab.py"
    source.write_text("from tests.support.plugins import Mean as Known\nMean = lambda options: Known()\n")
    command = [sys.executable, "-m", "fpnkit.evaluate", run.name, "--set", f"detector.class={source}:Mean"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_what_is_no_detector_is_refused(base: Path) -> None:
    required = "detector: required an object with spec, prepare, pyramid, complete, detect and fingerprint, found "
    assert refused(lambda: fk.train(config(base), detector=Mean)) == f"{required}the class Mean"

    class Half:
        spec, prepare, pyramid, fingerprint = Mean().spec, Mean.prepare, Mean.pyramid, Mean.fingerprint

    assert refused(lambda: fk.train(config(base), detector=Half())) == f"{required}Half without complete, detect"
    assert refused(lambda: fk.check(Half())) == f"{required}Half without complete, detect"
    assert not base.exists()


class Broken(Mean):
    def pyramid(self, batch: Any) -> Pyramid:
        raise ZeroDivisionError("no pixels")


def state(mean: Mean) -> dict[str, object]:
    loggers = [logging.getLogger(name) for name in (None, "fpnkit")]
    return {
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
        "logging": [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers],
        "streams": (sys.stdout, sys.stderr),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "threads": ([each.name for each in threading.enumerate()], torch.get_num_threads()),
        "random": torch.get_rng_state().tolist(),
        "torch": (torch.is_grad_enabled(), torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled()),
        "modes": [module.training for module in mean.module.modules()],
        "weights": [(weight.requires_grad, weight.device) for weight in mean.module.parameters()],
        "registry": refused(lambda: Run(Path("none")).detector(), FpnkitError),
    }


def test_afterwards_everything_is_as_before(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.NullHandler()])
    mean, broken = Mean(), Broken("broken")
    fk.train(config(base), detector=mean, **FEW)  # imports what sets variables of its own
    mean.module.train()
    mean.module[1].eval()
    before = state(mean)
    run = fk.train(config(base), detector=mean, **FEW)
    assert state(mean) == before
    fk.evaluate(run)
    assert state(mean) == before
    assert refused(lambda: fk.train(config(base), detector=mean, training__epoch=1)).endswith("did you mean epochs?")
    assert state(mean) == before
    with pytest.raises(FpnkitError) as error:
        fk.train(config(base), detector=broken, **FEW)
    assert str(error.value) == "ZeroDivisionError: no pixels"
    assert isinstance(error.value.__cause__, ZeroDivisionError)
    assert state(mean) == before
    fk.sweep(config(base), [1e-4], detector=mean, **FEW)
    assert state(mean) == before


def interrupt_once_it_trains(base: Path, *, lines: int) -> threading.Thread:
    def wait() -> None:
        wait_for_lines(base, lines)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_an_interrupt_stops_it_with_its_state_saved(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mean = Mean()
    before = state(mean)
    thread = interrupt_once_it_trains(base, lines=3)
    assert refused(lambda: fk.train(config(base), detector=mean, **LONG), FpnkitError) == "SIGINT"
    thread.join()
    assert state(mean) == before
    path = only_run(base)
    assert status(path) == ("stopped", "SIGINT")
    said = capsys.readouterr().out
    assert f'to go on: fpnkit.train(fpnkit.run("{path}"), detector=…)\n' in said
    run = fk.run(path)
    epochs = run.info.epoch
    assert epochs is not None
    done = fk.train(run, detector=mean, training__epochs=epochs + 1)
    assert (done.path, done.info.status, done.info.epoch) == (path, "finished", epochs + 1)


def test_a_second_interrupt_ends_the_command_and_not_its_host() -> None:
    with as_guest(Guest(())) as _, StopRequest(lambda: False) as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.requested()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


SCRIPT = """
import sys
import fpnkit as fk
from tests.api.test_given_detector import LONG, config, Path
from tests.support.plugins import Mean
fk.train(config(Path(sys.argv[1])), detector=Mean(), **LONG)
"""


def test_a_signal_that_means_the_process_ends_it_once_the_state_is_saved(base: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(base)]
    process = warm.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    path = wait_for_lines(base, 3)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM, said
    assert status(path) == ("stopped", "SIGTERM")


def test_another_thread_can_train_and_only_one_at_a_time(base: Path) -> None:
    ended: list[str] = []
    call = lambda: fk.train(config(base), detector=Mean(), **LONG)  # noqa: E731
    thread = threading.Thread(target=lambda: ended.append(refused(call, FpnkitError)))
    thread.start()
    path = wait_for_lines(base, 2)
    assert refused(lambda: fk.evaluate(path, detector=Mean())) == (
        "fpnkit.evaluate: required no other command in this process, found one in another thread"
    )
    (path / "STOP").touch()
    thread.join(60)
    assert ended == ["STOP file"]
    assert status(path) == ("stopped", "STOP file")


def test_a_sweep_goes_on_and_keeps_to_its_detector(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = fk.sweep(config(base), [1e-5, 1e-4], detector=Mean(), evaluate=True, **FEW)
    assert sorted(table["lmbda"]) == [1e-5, 1e-4]
    assert table["bpp"].notna().all()
    capsys.readouterr()
    again = fk.sweep(config(base), [1e-5, 1e-3], detector=Mean(), anchors=["features_zstd"], **FEW)
    assert len(again) == 3
    (name,) = again.loc[again["lmbda"] == 1e-5, "name"]
    assert f"[1/2] lambda 1e-5, seed 0: {name} is finished\n" in capsys.readouterr().out
    assert list((base.parent / "anchors").glob("shapes_2_seed_7_Mean/*/features_zstd/*/summary.json"))
    (sweep,) = set(again["sweep"])
    assert refused(lambda: fk.sweep(config(base), [1e-5, 1e-2], detector=Mean("mean 2"), **FEW)) == (
        f"sweep {sweep}: required the detector of {name} (fingerprint mean 1), found another one (Mean, mean 2); "
        "under another name it gets a sweep of its own"
    )


def test_an_object_trains_one_run_at_a_time(base: Path) -> None:
    assert refused(lambda: fk.sweep(config(base), [1e-5, 1e-4], detector=Mean(), jobs=2, **FEW)) == (
        "--jobs 2: required 1 with a detector that is an object, found 2"
    )
    assert refused(lambda: fk.sweep(config(base), [1e-5], detector=Mean(), devices=["GPU-0"], **FEW)).startswith(
        "--devices GPU-0: required "
    )


def test_an_object_cannot_be_measured_by_other_processes(base: Path) -> None:
    run = fk.train(config(base), detector=Mean(), **FEW)
    told = "--workers: required 1 for a detector that is an object of this process, found 2"
    assert refused(lambda: fk.evaluate(run, workers=2)) == told


def test_an_interrupted_sweep_trains_no_further_run(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mean = Mean()
    before = state(mean)
    thread = interrupt_once_it_trains(base, lines=3)
    assert refused(lambda: fk.sweep(config(base), [1e-5, 1e-4], detector=mean, **LONG), FpnkitError) == "SIGINT"
    thread.join()
    assert state(mean) == before
    assert status(only_run(base)) == ("stopped", "SIGINT")
    assert capsys.readouterr().out.endswith("\nstopped by SIGINT; to go on, type the same command again\n")


def test_a_sweep_says_why_its_detector_fails(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = refused(lambda: fk.sweep(config(base), [1e-5], detector=Broken("broken"), **FEW), FpnkitError)
    assert text == "ZeroDivisionError: no pixels"
    assert "Traceback (most recent call last):\n" in capsys.readouterr().out


class Interrupted(Mean):
    """Ctrl-C while it looks at the second image."""

    seen = 0

    def detect(self, pyramid: Pyramid, geometry: Any) -> list[Detections]:
        self.seen += 1
        if self.seen == 2:
            signal.raise_signal(signal.SIGINT)
        return super().detect(pyramid, geometry)


LOCK = """
import sys
from pathlib import Path
from fpnkit.evaluation.journal import Journal
Journal(Path(sys.argv[1]), {})
"""


def test_an_interrupted_evaluation_goes_on_in_any_process(base: Path) -> None:
    run = fk.train(config(base), detector=Mean(), **FEW)
    interrupted = Interrupted(name="Mean")
    text = refused(lambda: fk.evaluate(run, detector=interrupted), FpnkitError)
    assert text == "interrupted; the same command goes on where it stopped"
    (folder,) = (base.parent / "ceilings").glob("*/*")
    assert len((folder / "images.jsonl").read_text().splitlines()) == 1
    done = warm.run([sys.executable, "-c", LOCK, str(folder)])
    assert (done.returncode, done.stderr) == (0, "")
    assert len(fk.evaluate(run)) == 1


def test_an_object_is_used_on_the_cpu_and_goes_back_to_where_it_was() -> None:
    from fpnkit.config.schema import PluginDetector
    from fpnkit.detectors.build import build_detector

    mean = Mean()
    mean.module.to("meta")
    moved = []
    mean.to = lambda device: moved.append(str(device))  # type: ignore[attr-defined]
    with given(mean):
        built = build_detector(PluginDetector(kind="plugin", name="Mean"))
        assert built.spec == mean.spec
        assert moved == ["cpu"]
    assert moved == ["cpu", "meta"]
