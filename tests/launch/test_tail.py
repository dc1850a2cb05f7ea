"""metrics.jsonl while it grows."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from fpnkit.launch.tail import MOST_LINES, MetricsTail, pace
from fpnkit.runs.metrics import MetricsLine, MetricsWriter, Split, read_metrics
from fpnkit.runs.record import RunRecord


def line(step: int, split: Split = "train", epoch: int = 1, **values: Any) -> MetricsLine:
    return MetricsLine("", split, epoch, step, 1.0 / step, **values)


def write(path: Path, *lines: MetricsLine) -> None:
    writer = MetricsWriter(path)
    for each in lines:
        writer.append(each)
    writer.close()


def test_only_whole_lines_count_and_each_once(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    tail = MetricsTail(path)
    assert not tail.read()
    write(path, line(1), line(2))
    torn = json.dumps(line(3).to_dict())
    with open(path, "a") as file:
        file.write(torn[:20])
    assert tail.read()
    assert not tail.read()
    with open(path, "a") as file:
        file.write(torn[20:] + "\nno metrics\n")
    assert tail.read()
    assert tail.lines("train") == [line(1), line(2), line(3)]


def test_after_a_resume_the_later_line_stands_as_in_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, *(line(step, seconds=float(step)) for step in range(1, 100)))
    tail = MetricsTail(path)
    tail.read()
    again = [replace(line(step, seconds=50.0 + step), loss=9.0) for step in range(40, 103)]
    write(path, *again)
    tail.read()
    whole = sorted(read_metrics(path), key=lambda each: each.step)
    assert [each.step for each in tail.lines("train")] == [each.step for each in whole]
    assert tail.lines("train")[60:] == whole[60:]
    assert [each.step for each in tail.recent] == list(range(53, 103))


def test_another_file_in_its_place_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, line(1), line(2))
    tail = MetricsTail(path)
    tail.read()
    path.unlink()
    write(path, line(5))
    assert tail.read()
    assert tail.lines("train") == [line(5)]


def test_of_a_long_training_few_lines_stay_and_the_newest_does(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    count = 10 * MOST_LINES
    text = "".join(json.dumps(line(step).to_dict()) + "\n" for step in range(1, count + 1))
    path.write_text(text + json.dumps(line(count, "val").to_dict()) + "\n")
    tail = MetricsTail(path)
    tail.read()
    kept = [each.step for each in tail.lines("train")]
    assert MOST_LINES / 2 < len(kept) <= MOST_LINES + 50
    assert kept[-1] == count
    gaps = [later - earlier for earlier, later in itertools.pairwise(kept)]
    assert max(gaps) <= 16
    assert tail.lines("val") == [line(count, "val")]


def test_the_pace_is_known_once_an_epoch_is(tmp_path: Path) -> None:
    record = RunRecord("i", "n", "fpn_compression", "t", epochs=4, epoch=1, step=10)
    path = tmp_path / "metrics.jsonl"
    tail = MetricsTail(path)
    found = pace(tail, record)
    assert (found.share, found.steps_per_second, found.seconds_left) == (None, None, None)
    write(path, line(10, seconds=5.0), line(20, seconds=7.0))
    tail.read()
    found = pace(tail, record)
    assert (found.share, found.steps_per_second, found.seconds_left) == (None, 5.0, None)
    write(path, line(20, "val", seconds=10.0), line(30, epoch=2, seconds=15.0))
    tail.read()
    found = pace(tail, replace(record, epoch=2, step=30))
    assert found.share == 30 / 80  # 20 steps an epoch, 4 epochs
    assert found.steps_per_second == 2.0  # 20 steps in 10 s, validation included
    assert found.seconds_left == 25.0
