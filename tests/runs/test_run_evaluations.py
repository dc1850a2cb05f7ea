import math

import pytest

from fpnkit.runs.evaluations import read_evaluations
from fpnkit.runs.store import list_runs
from tests.support.run_dirs import write_run, write_summary
from tests.support.run_processes import command_line


def test_the_list_has_rate_and_map_of_the_newest_evaluation(base):
    path = write_run(base, "run_a")
    write_summary(path, "coco", time=2000, bpp=0.25, map=0.375)
    write_summary(path, "shapes", time=1000, bpp=0.5, map=0.75)
    write_run(base, "run_b")
    rows = {row.name: (row.bpp, row.map) for row in list_runs(base)}
    assert rows == {"run_a": (0.25, 0.375), "run_b": (None, None)}
    found = [(each.dataset, each.checkpoint, each.summary.bpp) for each in read_evaluations(path)]
    assert found == [("shapes", "0123abcd", 0.5), ("coco", "0123abcd", 0.25)]
    text = command_line("--base-dir", base, "--query", "bpp < 0.3", "--csv", "--columns", "name,bpp,map").stdout
    assert text == "name,bpp,map\nrun_a,0.25,0.375\n"


def test_each_quality_of_a_checkpoint_is_an_evaluation(base):
    path = write_run(base, "run_a")
    write_summary(path, "coco", "0123abcd/q0", time=1000, bpp=0.1, quality=0)
    write_summary(path, "coco", "0123abcd/q2.5", time=1500, bpp=0.15, quality=2.5, map=0.25, encode_seconds=0.031)
    write_summary(path, "coco", "0123abcd/q2.5_s24", time=2000, bpp=0.2, quality=2.5, search_steps=24)
    write_summary(path, "coco", "0123abcd/streams", time=3000, bpp=0.3)
    found = [(each.checkpoint, each.quality, each.search_steps, each.summary.bpp) for each in read_evaluations(path)]
    assert found == [("0123abcd", 0.0, None, 0.1), ("0123abcd", 2.5, None, 0.15), ("0123abcd", 2.5, 24, 0.2)]
    shown = command_line("--base-dir", base, "--show-details", "run_a").stdout.splitlines()
    start = shown.index("Evaluation on coco")
    assert [" ".join(line.split()) for line in shown[start + 1 : start + 5]] == [
        "quality 0 0.1000 bpp 1.00 KB 0 ms to encode checkpoint 0123abcd",
        "quality 2.5 0.1500 bpp 1.00 KB mAP 25.0 31 ms to encode checkpoint 0123abcd",
        "Evaluation on coco with a search of 24 steps",
        "quality 2.5 0.2000 bpp 1.00 KB 0 ms to encode checkpoint 0123abcd",
    ]


def categories(*matched):
    keys = "id", "name", "class_id", "class_name"
    return [dict(zip(keys, each, strict=True)) for each in matched]


def labels_shown(base, dataset):
    lines = [
        " ".join(line.split())
        for line in command_line("--base-dir", base, "--show-details", "run_a").stdout.splitlines()
    ]
    section = lines[lines.index(f"Evaluation on {dataset}") + 1 :]
    end = next((at for at, line in enumerate(section) if line.startswith("Evaluation on")), len(section))
    return [line for line in section[:end] if line.startswith("labels")]


def test_details_say_what_labels_were_taken_for(base):
    path = write_run(base, "run_a")
    named = {
        "by": "name",
        "categories": categories((1, "cat", 3, "cat"), (2, "kitten", 3, "cat"), (7, "cup", None, None)),
    }
    write_summary(path, "single", labels=named)
    for quality in (0, 1):
        write_summary(path, "curve", f"0123abcd/q{quality}", quality=quality, labels=named)
    write_summary(path, "curve", "0123abcd/q2", quality=2)  # made before matchings were kept
    write_summary(path, "ids", labels={"by": "id", "categories": categories((1, "cat", 1, None))})
    write_summary(path, "old")
    line = "labels 2 of 3 categories matched with the detector's classes by name; kitten is cat; left out: cup"
    assert labels_shown(base, "single") == labels_shown(base, "curve") == [line]
    assert labels_shown(base, "ids") == ["labels matched with the detector's classes by id, since these have no names"]
    assert labels_shown(base, "old") == []
    assert all("labels" not in key for each in read_evaluations(path) for key in each.measured())


@pytest.mark.parametrize("content", ["", "{", "[]", "\0"])
def test_an_evaluation_under_way_or_spoilt_counts_as_none(base, content):
    path = write_run(base, "run_a")
    write_summary(path).write_text(content)
    (path / "evaluation" / "stray file").touch()
    (path / "evaluation" / "shapes" / "ffffffff").mkdir()
    assert read_evaluations(path) == []
    assert (list_runs(base)[0].bpp, list_runs(base)[0].status) == (None, "finished")


def test_a_value_that_is_no_number_is_kept_as_it_was(base):
    path = write_run(base, "run_a")
    write_summary(path, bpp=0.5, snr_db={"p2": None, "p2_repr": "inf"}, map=None)
    assert (list_runs(base)[0].bpp, list_runs(base)[0].map) == (0.5, None)
    assert read_evaluations(path)[0].summary.snr_db == {"p2": math.inf}
