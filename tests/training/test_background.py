"""What is written beside the steps: in order, completely, and with its errors told."""

import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from fpnkit.codecs.saved import load_codec
from fpnkit.errors import DivergedError, StorageError
from fpnkit.runs.metrics import read_metrics
from fpnkit.runs.writer import RunWriter
from fpnkit.torch_files import load_checkpoint
from fpnkit.training import loop
from fpnkit.training.background import BackgroundWriter
from fpnkit.training.codec_learner import CodecLearner
from fpnkit.training.loop import EpochEnd, train
from fpnkit.training.tally import Tally
from tests.support import tiny
from tests.support.trainings_alike import assert_same_state


class Watched:
    """A learner that calls a function before each step, with the number of finished ones."""

    def __init__(self, learner: CodecLearner, before_step: Callable[[int], None]) -> None:
        self._learner, self._before_step, self._steps = learner, before_step, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._learner, name)

    def step(self, epoch: int, index: int, lr: float) -> Tally:
        self._before_step(self._steps)
        self._steps += 1
        return self._learner.step(epoch, index, lr)


def no_thread_writes() -> bool:
    return not any(thread.name.startswith("files") for thread in threading.enumerate())


def test_what_is_given_is_done_in_order_and_before_the_context_ends() -> None:
    done: list[int] = []
    hold = threading.Event()
    with BackgroundWriter() as files:
        files.submit(lambda: done.append(int(hold.wait(10))))
        files.submit(lambda: done.append(2))
        assert done == []
        hold.set()
        files.submit(lambda: done.append(3))
    assert done == [1, 2, 3]
    assert no_thread_writes()


def fail() -> None:
    raise StorageError("the disk is full")


def write(functions: Sequence[Callable[[], None]], error: Exception | None = None) -> None:
    with BackgroundWriter() as files:
        for function in functions:
            files.submit(function)
        if error is not None:
            raise error


def test_after_a_failure_nothing_more_is_done_and_the_error_is_raised_where_the_work_came_from() -> None:
    done: list[int] = []
    with pytest.raises(StorageError) as error:
        write([fail, lambda: done.append(1)])
    assert str(error.value) == "the disk is full"
    assert done == []


def test_an_error_of_the_training_passes_and_that_of_a_file_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(DivergedError):
        write([fail], DivergedError("the loss is nan"))
    assert [(record.levelname, record.message) for record in caplog.records] == [("WARNING", "the disk is full")]


def test_files_written_during_later_steps_hold_the_end_of_their_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tiny.config(epochs=2)
    run = tiny.run(settings, tmp_path)
    later = threading.Event()
    learner = Watched(tiny.learner(settings, tmp_path), lambda steps: later.set() if steps == 6 else None)
    save_best, save_checkpoint = loop.save_best, loop.save_checkpoint

    def late_best(*arguments: Any) -> str:
        assert later.wait(60)
        return save_best(*arguments)

    def late_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
        save_checkpoint(path, content)
        shutil.copy(path, tmp_path / f"step_{content['progress']['step']}.pth")

    monkeypatch.setattr(loop, "save_best", late_best)
    monkeypatch.setattr(loop, "save_checkpoint", late_checkpoint)
    assert train(learner, run, settings.training).finished
    run.end("finished", 0)

    (best,) = run.path.glob("best_model_epoch_1_*.pth")
    codec = load_codec(best).codec
    pyramids = [tiny.features(seed).pyramid for seed in (100, 101, 102)]
    with torch.no_grad():
        bits = sum(float(bits.sum()) for pyramid in pyramids for bits in codec(pyramid).bits.values())
    line = next(line for line in read_metrics(run.path / "metrics.jsonl") if line.split == "val")
    assert line.bpp_estimated == pytest.approx(
        bits / sum(tiny.features(seed).original_pixels for seed in (100, 101, 102)), rel=1e-6
    )
    whole = load_checkpoint(run.path / "last.pth", "last")
    again = RunWriter.resume(run.path, argv=["train"])
    state = load_checkpoint(tmp_path / "step_4.pth", "last")
    assert train(tiny.learner(settings, tmp_path), again, settings.training, resume=state).finished
    again.end("finished", 0)
    assert_same_state(load_checkpoint(run.path / "last.pth", "last"), whole)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), DivergedError("the loss is nan")], ids=["interrupt", "diverge"])
def test_a_training_that_ends_in_a_step_has_written_the_files_of_the_epoch_before(
    tmp_path: Path, error: BaseException
) -> None:
    settings = tiny.config()
    run = tiny.run(settings, tmp_path)

    def end(steps: int) -> None:
        if steps == 4:
            raise error

    with pytest.raises(type(error)):
        train(Watched(tiny.learner(settings, tmp_path), end), run, settings.training)
    assert no_thread_writes()
    assert load_checkpoint(run.path / "last.pth", "last")["progress"]["step"] == 4
    assert run.record.best is not None
    assert load_codec(run.path / run.record.best.file).epoch == run.record.best.epoch == 1
    run.end("ended", 1)


def test_a_file_that_cannot_be_written_ends_the_training_with_the_files_before_it_in_place(tmp_path: Path) -> None:
    settings = tiny.config(epochs=50, save_every_seconds=1e9)
    run = tiny.run(settings, tmp_path)
    (run.path / "last.pth").mkdir()
    with pytest.raises(StorageError) as error:
        train(tiny.learner(settings, tmp_path), run, settings.training)
    run.end("a file could not be written", 1)
    assert str(error.value) == f"{run.path / 'last.pth'}: could not be written: Is a directory"
    assert no_thread_writes()
    assert run.record.epoch < 50
    assert run.record.best is not None
    assert load_codec(run.path / run.record.best.file).epoch == 1
    assert not list(run.path.glob(".*.tmp"))


def test_what_comes_after_an_epoch_can_wait_for_its_best_model(tmp_path: Path) -> None:
    settings = tiny.config()
    run = tiny.run(settings, tmp_path)
    read: list[int] = []

    def look(end: EpochEnd) -> None:
        end.wait_for_files()
        read.append(load_codec(end.directory / "best_model.pth").epoch)

    train(tiny.learner(settings, tmp_path), run, settings.training, after_epoch=[look])
    run.end("finished", 0)
    assert read[0] == 1
    assert run.record.best is not None
    assert read[-1] == run.record.best.epoch
