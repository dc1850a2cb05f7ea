import sys

import pytest

from fpnkit.errors import RunError
from fpnkit.runs.metrics import MetricsWriter
from fpnkit.runs.tensorboard import write_events
from tests.support.fake_trainer import line
from tests.support.run_dirs import write_run
from tests.support.run_processes import command_line


@pytest.fixture
def measured(base):
    path = write_run(base, "run_a")
    writer = MetricsWriter(path / "metrics.jsonl")
    for step in range(5):
        writer.append(line(step))
        writer.append(line(step).from_dict(line(step).to_dict() | {"split": "val", "map": 0.5}))
    writer.close()
    return path


def test_tensorboard_reads_the_metrics_of_each_split(base, measured):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):  # the second time takes the place of the first
        done = command_line("--base-dir", base, "tensorboard", "run_a")
        assert (done.returncode, done.stdout) == (0, f"wrote {measured}/tb\n")
    for split, tags in (("train", ["loss", "snr_db/p2"]), ("val", ["loss", "map", "snr_db/p2"])):
        events = EventAccumulator(str(measured / "tb" / split)).Reload()
        assert sorted(events.Tags()["scalars"]) == tags
        assert [event.step for event in events.Scalars("loss")] == list(range(5))
        assert events.Scalars("loss")[1].value == 0.5
    assert not [path for path in measured.iterdir() if path.name.endswith(".tmp")]


def test_without_metrics_there_is_nothing_to_write(base):
    pytest.importorskip("tensorboard")
    path = write_run(base, "run_a")
    with pytest.raises(RunError) as error:
        write_events(path)
    assert str(error.value) == f"{path}: required metrics, found none in metrics.jsonl"


def test_metrics_that_cannot_be_read_and_a_lone_log_are_one_message(base):
    pytest.importorskip("tensorboard")
    path = write_run(base, "run_a")
    (path / "metrics.jsonl").mkdir()
    (base / "train.log").write_text("Epoch 1")
    for name, told in [
        ("run_a", f"{path}/metrics.jsonl: cannot be read: Is a directory\n"),
        ("train.log", f"{base}/train.log: required metrics, found none in metrics.jsonl\n"),
    ]:
        done = command_line("--base-dir", base, "tensorboard", name)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", told)


def test_without_tensorboard_its_extra_is_named(measured, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.event_pb2", None)
    with pytest.raises(RunError) as error:
        write_events(measured)
    assert str(error.value) == "tensorboard: not installed; pip install 'fpnkit[tensorboard]'"
