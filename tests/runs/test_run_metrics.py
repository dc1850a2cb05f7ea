import math
import os
import signal
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpnkit.runs.metrics import MetricsLine, MetricsWriter, read_metrics
from tests.support.run_processes import python, wait_for

FULL = MetricsLine(
    "2026-12-16T14:30:22.000+01:00", "val", 3, 120, 2.5, 0.5, 0.25, 12.0, 5e-5, 1.5, {"p2": 3.0}, {"p2": 0.25}
)


def write(path, *lines):
    writer = MetricsWriter(path)
    for item in lines:
        writer.append(item)
    writer.close()


def test_a_line_has_the_agreed_keys_in_order(tmp_path):
    write(tmp_path / "m", FULL)
    assert (tmp_path / "m").read_text() == (
        '{"time": "2026-12-16T14:30:22.000+01:00", "split": "val", "epoch": 3, "step": 120, "loss": 2.5, '
        '"bpp_estimated": 0.5, "distortion": 0.25, "aux_loss": 12.0, "lr": 5e-05, "seconds": 1.5, '
        '"snr_db": {"p2": 3.0}, "bpp_level": {"p2": 0.25}}\n'
    )


def test_a_detector_line_leaves_out_what_does_not_apply_and_adds_its_own(tmp_path):
    detector = MetricsLine("t", "val", 1, 2, 0.5, lr=1e-3, extra={"map": 0.4, "map50": 0.6})
    write(tmp_path / "m", detector)
    assert (tmp_path / "m").read_text() == (
        '{"time": "t", "split": "val", "epoch": 1, "step": 2, "loss": 0.5, "lr": 0.001, "map": 0.4, "map50": 0.6}\n'
    )
    assert read_metrics(tmp_path / "m") == [detector]


def test_lines_come_back_as_written_nan_included(tmp_path):
    broken = MetricsLine("t", "train", 0, 1, math.nan, snr_db={"p2": -math.inf, "p3": 2.0})
    write(tmp_path / "m", FULL, broken)
    assert repr(read_metrics(tmp_path / "m")) == repr([FULL, broken])


def test_a_missing_file_has_no_lines(tmp_path):
    assert read_metrics(tmp_path / "none") == []


def test_a_later_line_takes_the_place_of_the_earlier_with_the_same_key(tmp_path):
    lines = [MetricsLine("t", split, 1, step, loss) for split, step, loss in [("train", 1, 9.0), ("val", 1, 8.0)]]
    again = MetricsLine("t", "train", 1, 1, 7.0)
    write(tmp_path / "m", *lines)
    write(tmp_path / "m", again)
    assert read_metrics(tmp_path / "m") == [again, lines[1]]


@given(st.data())
def test_a_torn_tail_is_skipped_by_readers_and_mended_by_writers(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("torn") / "m"
    write(path, FULL)
    whole = path.read_bytes()
    cut = data.draw(st.integers(1, len(whole) - 2))
    path.write_bytes(whole + whole[:cut] + data.draw(st.sampled_from([b"", b"\0" * 10])))
    other = MetricsLine("t", "train", 9, 9, 1.0)
    assert read_metrics(path) == [FULL]
    write(path, other)
    assert read_metrics(path) == [FULL, other]
    assert path.read_bytes().startswith(whole + b'{"time": "t"')


def test_a_last_line_that_lacks_only_its_newline_is_kept(tmp_path):
    path = tmp_path / "m"
    write(path, MetricsLine("t", "train", 1, 1, 1.0), MetricsLine("t", "train", 1, 2, 2.0))
    path.write_bytes(path.read_bytes()[:-1])
    assert [item.step for item in read_metrics(path)] == [1, 2]
    write(path, MetricsLine("t", "train", 1, 3, 3.0))
    assert [item.step for item in read_metrics(path)] == [1, 2, 3]
    assert path.read_text().count("\n") == 3


def test_every_line_that_was_logged_survives_kill_9(base, trainer):
    process, path = trainer("create", base, "--lines", 200)
    wait_for(process, "line 150")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    steps = [item.step for item in read_metrics(path / "metrics.jsonl")]
    assert steps == list(range(len(steps)))
    assert len(steps) > 150


def test_a_full_disk_leaves_no_half_line(tmp_path):
    code = """
import resource, sys
from pathlib import Path
from fpnkit.errors import StorageError
from fpnkit.runs.metrics import MetricsLine, MetricsWriter
writer = MetricsWriter(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 2000))
try:
    for step in range(100):
        writer.append(MetricsLine("t", "train", 0, step, 1.0))
except StorageError as error:
    print(step, error)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
writer.append(MetricsLine("t", "train", 1, 0, 1.0))
"""
    path = tmp_path / "m"
    done = python(code, path)
    step, _, message = done.stdout.partition(" ")
    assert message == f"{path}: could not be written: File too large\n"
    keys = [(item.epoch, item.step) for item in read_metrics(path)]
    assert keys == [*((0, number) for number in range(int(step))), (1, 0)]
    assert path.read_bytes().count(b"\n") == len(keys)


def test_lines_that_are_no_metrics_are_skipped(tmp_path):
    path = tmp_path / "m"
    write(path, FULL)
    path.write_bytes(b'[1]\n{"epoch": 1}\nnull\n\xff\xfe\n' + path.read_bytes())
    assert read_metrics(path) == [FULL]


def test_reading_while_another_process_writes_gives_a_prefix(base, trainer):
    _, path = trainer("create", base, "--lines", 300)
    seen, deadline = 0, time.monotonic() + 30
    while seen < 300 and time.monotonic() < deadline:
        steps = [item.step for item in read_metrics(path / "metrics.jsonl")]
        assert steps == list(range(len(steps)))
        assert len(steps) >= seen
        seen = len(steps)
    assert seen == 300


@pytest.mark.parametrize("missing", ["split", "epoch", "step", "loss"])
def test_a_line_needs_its_key_and_loss(missing):
    data = FULL.to_dict()
    del data[missing]
    with pytest.raises(KeyError):
        MetricsLine.from_dict(data)
