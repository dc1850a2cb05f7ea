"""What is measured between the qualities that an anchor is measured at."""

import json
import math
import re
import subprocess
from pathlib import Path

import pytest

from fpnkit.anchors.catalogue import select
from fpnkit.anchors.fill import Missing, missing, share_of
from fpnkit.runs.results import read_summary
from tests.anchors.test_anchors_command import CONFIG, anchors, points
from tests.support.rd_store import write_evaluation

(VVC,), (JPEG,), (ZSTD,) = select(["vvc_input"]), select(["jpeg_input"]), select(["features_zstd"])


def test_the_middle_of_a_gap_is_missing_whichever_way_the_scale_goes() -> None:
    shares = {44: 0.45, 40: 0.61, 36: 0.74, 34: 0.83, 23: 0.99}
    assert missing(VVC, shares) == [
        Missing(42, "between 44 (45 %) and 40 (61 %)"),
        Missing(38, "between 40 (61 %) and 36 (74 %)"),
        Missing(28, "between 34 (83 %) and 23 (99 %)"),
    ]
    assert missing(JPEG, {12: 0.4, 25: 0.7, 60: 0.99}) == [
        Missing(18, "between 12 (40 %) and 25 (70 %)"),
        Missing(42, "between 25 (70 %) and 60 (99 %)"),
    ]


def test_neighbors_on_the_scale_and_what_lies_below_or_above_the_range_are_left() -> None:
    assert missing(ZSTD, {2: 0.2, 3: 0.6, 4: 0.99}) == []
    assert missing(JPEG, {4: 0.05, 20: 0.3, 30: 0.5, 40: 0.595, 50: 0.69, 60: 0.78, 70: 0.87, 80: 0.96, 90: 0.99}) == []


def test_an_end_that_does_not_reach_far_enough_is_moved_as_far_as_the_scale_goes() -> None:
    assert missing(VVC, {48: 0.62, 44: 0.7, 40: 0.78, 36: 0.86, 31: 0.94}) == [
        Missing(52, "starts at 48 (62 %)"),
        Missing(26, "ends at 31 (94 %)"),
    ]
    assert missing(VVC, {62: 0.6, 58: 0.65, 4: 0.66, 2: 0.67}) == [
        Missing(63, "starts at 62 (60 %)"),
        Missing(1, "ends at 2 (67 %)"),
    ]
    assert missing(VVC, {63: 0.6, 32: 0.65, 1: 0.7}) == []


def test_a_single_quality_goes_out_by_the_steps_of_the_anchors_own() -> None:
    own = JPEG.qualities
    step = (own[1] - own[0], own[-1] - own[-2])
    told = [Missing(40 - step[0], "starts at 40 (70 %)"), Missing(40 + step[1], "ends at 40 (70 %)")]
    assert missing(JPEG, {40: 0.7}) == told


def test_without_labels_the_detectors_own_detections_count_and_without_any_nothing_is_missing(tmp_path: Path) -> None:
    unlabeled = write_evaluation(tmp_path / "a", 0.4, 0.1, share_of_ceiling=None, map=None, self_map=0.5)
    assert share_of(unlabeled) == 0.5
    assert share_of(write_evaluation(tmp_path / "b", 0.4, 0.1)) == pytest.approx(0.5, abs=0.02)
    nothing = share_of(write_evaluation(tmp_path / "c", 0.4, 0.1, share_of_ceiling=None, self_map=None))
    assert math.isnan(nothing)
    assert missing(VVC, {40: nothing, 20: nothing}) == []


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


def choices(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith(("jpeg_input: ", "features_zstd: "))]


def measured(home: Path, name: str) -> dict[int, float]:
    found = {int(path.name): path for key, path in points(home).items() if key.startswith(f"{name}/")}
    return {quality: share_of(read_summary(path)) for quality, path in found.items()}


def test_gaps_are_measured_until_there_are_none(tmp_path: Path, config: Path) -> None:
    """Real coders on three images; 2 and 3 bits have nothing between them."""
    arguments = ("--config", config, "--only", "jpeg_input", "features_zstd")
    ends = ("--qualities", 2, 8)
    dry = (*arguments, *ends, "--fill", "--dry-run")
    assert choices(anchors(tmp_path, *dry)) == [
        "jpeg_input: not measured yet: 2 8",
        "features_zstd: not measured yet: 2 8",
    ]
    assert not (tmp_path / "checkpoints").exists()
    assert anchors(tmp_path, *arguments, *ends).returncode == 0
    first = {name: missing(anchor, measured(tmp_path, name)) for name, anchor in ANCHORS.items()}
    assert first["jpeg_input"]
    expected = [f"{name}: {each.reason}: {each.quality}" for name in ANCHORS for each in first[name]]
    announced = choices(anchors(tmp_path, *dry))
    assert announced == (expected if first["features_zstd"] else [*expected, "features_zstd: nothing is missing"])

    done = anchors(tmp_path, *arguments, *ends, "--fill")
    told = choices(done)
    assert told[: len(announced)] == announced
    for name, anchor in ANCHORS.items():
        known = measured(tmp_path, name)
        lines = [line for line in told if line.startswith(f"{name}: ")]
        chosen = {int(found[1]) for line in lines if (found := re.search(r": (\d+)$", line))}
        assert set(known) == chosen | {2, 8}
        left = [f"{name}: {each.reason}: {each.quality} is left out after 4 rounds" for each in missing(anchor, known)]
        assert lines[-max(1, len(left)) :] == (left or [f"{name}: nothing is missing"])
    rows = [tuple(line.split()[:2]) for line in done.stdout.splitlines()[1:-1]]
    assert rows == [(name, str(quality)) for name in ANCHORS for quality in sorted(measured(tmp_path, name))]

    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("checkpoints/anchors/**/*") if path.is_file()}
    again = anchors(tmp_path, "--config", config, "--only", "features_zstd", *ends, "--fill", "--json")
    assert sorted(each["quality"] for each in json.loads(again.stdout)) == sorted(measured(tmp_path, "features_zstd"))
    assert {path: path.stat().st_mtime_ns for path in before} == before


ANCHORS = {"jpeg_input": JPEG, "features_zstd": ZSTD}


def test_what_another_version_of_the_encoder_measured_is_not_taken_for_this_ones(tmp_path: Path, config: Path) -> None:
    arguments = ("--config", config, "--only", "jpeg_input", "--qualities", 2)
    assert anchors(tmp_path, *arguments).returncode == 0
    (folder,) = (tmp_path / "checkpoints" / "anchors").glob("*/*/jpeg_input")
    folder.parent.rename(folder.parent.with_name("00000000"))
    assert choices(anchors(tmp_path, *arguments, "--fill", "--dry-run")) == ["jpeg_input: not measured yet: 2"]
