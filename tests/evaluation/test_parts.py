"""Masks and keypoints from the detector to the tables: real files, real heads, random weights."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from fpnkit import rd
from fpnkit.anchors import __main__ as anchors
from fpnkit.anchors.boxes import Boxes, SeenBoxes
from fpnkit.anchors.catalogue import select
from fpnkit.codecs.coder import CodedImage, Coder, CoderInput, ReceivedFeatures, ReceivedImage
from fpnkit.config.load import plain, to_yaml
from fpnkit.data import segments
from fpnkit.errors import UserError
from fpnkit.evaluation.run import Job, Origin, evaluate
from fpnkit.evaluation.task import Task, build_task
from fpnkit.metrics.matches import Matches, average_precision_of
from fpnkit.runs.results import PARTS, Part, Summary, part_matches, read_images
from tests.support.labeled_parts import their_scores
from tests.support.part_tasks import IMAGES, part_config

CLOCK = ("encode_seconds", "decode_seconds", "peak_memory_mb", "created", "commit")
THEIR_NAMES = {"mask": "segm", "keypoint": "keypoints"}


class Stopping:
    """A coder that is interrupted."""

    def __init__(self, coder: Coder, after: int) -> None:
        self.name, self.suffix, self._coder, self._left = coder.name, coder.suffix, coder, after

    def encode(self, source: CoderInput) -> CodedImage:
        if not self._left:
            raise KeyboardInterrupt
        self._left -= 1
        return self._coder.encode(source)

    def decode(self, data: bytes) -> ReceivedFeatures | ReceivedImage:
        return self._coder.decode(data)


def zstandard(task: Task) -> Coder:
    (anchor,) = select(["features_zstd"])
    return anchor.build(8, task.detector.spec, lambda: pytest.fail("nothing to fit"))


def measured(coder: Coder, task: Task, folder: Path) -> Summary:
    (summary,) = evaluate([Job(coder, folder, Origin(quality=8.0))], task)
    return summary


@pytest.mark.parametrize("part", PARTS)
def test_parts_are_scored_through_real_files_and_an_interruption_changes_nothing(
    part: Part, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    config = part_config(part, tmp_path / "data")
    task = build_task(config)
    assert task.parts == (part,)
    ceiling = getattr(task.reference.ceiling, f"{part}_map")
    assert ceiling > 0.01

    whole = measured(zstandard(task), task, tmp_path / "whole")

    found = getattr(whole, f"{part}_map")
    results = json.loads((tmp_path / "whole" / "detections.json").read_text())
    labels = json.loads((tmp_path / "data" / "labels.json").read_text())
    assert 0 < found < ceiling
    assert found == pytest.approx(their_scores(labels, results, THEIR_NAMES[part])[0], abs=1e-9)
    assert getattr(whole, f"{part}_share_of_ceiling") == found / ceiling
    assert getattr(whole, f"{part}_map_interval") is None  # so few images
    assert average_precision_of(Matches.load(tmp_path / "whole" / part_matches(part))).map == found

    alone = measured(Boxes(20, SeenBoxes([], [], (1,), "no images")), task, tmp_path / "boxes")
    assert alone.map is not None
    assert getattr(alone, f"{part}_map") is None  # it sends boxes alone

    with pytest.raises(KeyboardInterrupt):
        measured(Stopping(zstandard(task), after=2), task, tmp_path / "stopped")
    assert len(read_images(tmp_path / "stopped")) == 2
    again = measured(zstandard(task), build_task(config), tmp_path / "stopped")  # the ceiling from its files
    assert {**vars(again), **dict.fromkeys(CLOCK)} == {**vars(whole), **dict.fromkeys(CLOCK)}
    for name in ("detections.json", "identity.json"):
        assert (tmp_path / "stopped" / name).read_text() == (tmp_path / "whole" / name).read_text()


def test_tables_and_curves_show_parts(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part: Part = "mask"
    (tmp_path / "data").mkdir()
    (tmp_path / "config.yaml").write_text(to_yaml(plain(part_config(part, tmp_path / "data"))))
    chosen = ["--only", "features_zstd", "--qualities", "2", "8", "--workers", "2"]
    assert anchors.main(["--config", str(tmp_path / "config.yaml"), *chosen]) == 0
    header, *rows, last = capsys.readouterr().out.splitlines()
    assert header.endswith(f"of ceiling  {part} mAP")
    assert len(rows) == 2
    assert last.startswith(f"{IMAGES} images; without compression mAP ")
    ceiling = float(last.rpartition(f"{part} mAP ")[2])

    (tmp_path / "checkpoints" / "fpn_compression").mkdir(parents=True)
    assert rd.main(["--y", f"{part}_map", "--csv", str(tmp_path / "rd.csv")]) == 0
    said = capsys.readouterr().out
    assert f"; {part} mAP on uncompressed features {ceiling:.1f}\n" in said
    columns = next(re.split(" {2,}", line.strip()) for line in said.splitlines() if line.startswith("curve "))
    assert columns[5:10] == ["mAP", f"{part} mAP", "self-mAP", "of ceiling", f"of {part} ceiling"]
    table = pd.read_csv(tmp_path / "rd.csv")
    assert [f"{100 * value:.1f}" for value in table[f"{part}_map"]] == [row.split()[-1] for row in rows]
    assert list(table[f"{part}_share_of_ceiling"]) == pytest.approx(
        list(table[f"{part}_map"] / table[f"ceiling_{part}_map"])
    )
    other = next(each for each in PARTS if each != part)
    assert not [column for column in table.columns if column.startswith(other)]


def test_without_pycocotools_masks_are_refused_at_once(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = part_config("mask", tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "pycocotools", None)
    with pytest.raises(UserError) as error:
        build_task(config)
    assert str(error.value) == segments.MISSING
    assert not (tmp_path / "checkpoints").exists()
