import json
import math
from dataclasses import asdict, replace

import pytest

from fpnkit.errors import RunError
from fpnkit.foundation.files import to_json
from fpnkit.runs.results import Ceiling, ImageRow, Summary, read_images, read_summary, write_summary

SUMMARY = Summary(
    codec="factorized",
    dataset="shapes",
    data_id="d" * 16,
    detector="shapes_fcos",
    detector_id="e" * 16,
    images=24,
    pixels=1000,
    bpp=0.5,
    kb_per_image=1.5,
    snr_db={"p2": math.inf, "p3": 3.0},
    self_map=math.nan,
    encode_seconds=0.1,
    decode_seconds=0.2,
    peak_memory_mb=100.0,
    ceiling=Ceiling(0.5, None),
    map_interval=(0.25, 0.5),
)
ROW = ImageRow(1, 120, 90, 50, {"p2": 300}, {"p2": 290.5}, ("p2",), {"p2": 0.0}, {"p2": math.inf}, 0.1, 0.2)


def message(directory):
    with pytest.raises(RunError) as error:
        read_summary(directory)
    return str(error.value)


def test_a_summary_comes_back_as_written_and_unknown_keys_are_ignored(tmp_path):
    write_summary(tmp_path, SUMMARY)
    assert repr(read_summary(tmp_path)) == repr(SUMMARY)
    file = tmp_path / "summary.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"mood": "good"}))
    assert repr(read_summary(tmp_path)) == repr(SUMMARY)


def test_what_is_no_summary_is_named(tmp_path):
    file = tmp_path / "summary.json"
    assert message(tmp_path) == f"{file}: does not exist"
    file.write_text("{")
    assert message(tmp_path) == f"{file}: is not complete JSON"
    write_summary(tmp_path, replace(SUMMARY, schema_version=2))
    assert message(tmp_path) == f"{file}: has schema version 2, this fpnkit reads up to 1; update fpnkit"
    values = {key: value for key, value in to_json(asdict(SUMMARY)).items() if key not in ("bpp", "codec")}
    file.write_text(json.dumps(values))
    assert message(tmp_path) == f"{file}: lacks codec, bpp"


def test_images_come_back_as_written_without_a_torn_last_line(tmp_path):
    assert read_images(tmp_path) == []
    line = json.dumps(to_json(asdict(ROW)))
    (tmp_path / "images.jsonl").write_text(f"{line}\n{line}\n{line[:-9]}")
    assert read_images(tmp_path) == [ROW, ROW]


@pytest.mark.parametrize(("images", "shown"), [(1, None), (19, None), (20, (0.25, 0.5))])
def test_an_interval_that_an_older_version_made_of_too_few_images_is_not_shown(tmp_path, images, shown):
    write_summary(tmp_path, replace(SUMMARY, images=images, self_map_interval=(0.25, 0.5)))
    summary = read_summary(tmp_path)
    assert (summary.map_interval, summary.self_map_interval) == (shown, shown)
