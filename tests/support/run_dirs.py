"""Run directories with whatever facts a test wants, written without a trainer."""

import json
import os

import pytest
import yaml

from fpnkit.config.load import load_config, plain, to_yaml
from fpnkit.errors import RunError
from fpnkit.foundation.files import write_json
from fpnkit.runs.record import RunRecord, record_to_dict
from tests.support.fake_trainer import SUMMARY

ODD_NAMES = [
    "run with spaces",
    "run_'quotes\"",
    "run_<script>alert(1)<",
    "run_new\nline",
    "run_\x1b[31mred",
    "run_ünïcödé_漢字",
    "run_" + "x" * 251,
    "run_[bold]markup[",
    os.fsdecode(b"run_\xff\xfe"),
]


def write_run(base, name, **facts):
    kind, created = facts.pop("kind", "fpn_compression"), facts.pop("created", "2026-12-16T14:30:22.000+01:00")
    facts = {"exit_code": 0, "exit_reason": "finished", "config": SUMMARY} | facts
    (base / name).mkdir(parents=True)
    record = RunRecord(name, name, kind, created, **facts)
    write_json(base / name / "run.json", record_to_dict(record))
    return base / name


def write_summary(path, dataset="shapes", checkpoint="0123abcd", time=None, **values):
    file = path / "evaluation" / dataset / checkpoint / "summary.json"
    file.parent.mkdir(parents=True)
    required = {
        **{"codec": "factorized", "dataset": dataset, "data_id": "d" * 16, "detector": "shapes_fcos"},
        **{"detector_id": "e" * 16, "images": 24, "pixels": 1000, "bpp": 1.0, "kb_per_image": 1.0, "snr_db": {}},
        **{"self_map": None, "encode_seconds": 0.0, "decode_seconds": 0.0, "peak_memory_mb": 1.0},
        "ceiling": {"map": None, "map50": None},
    }
    file.write_text(json.dumps({"schema_version": 1, **required, **values}))
    if time is not None:
        os.utime(file, (time, time))
    return file


CONFIG = {
    "task": "fpn_compression",
    "detector": {"kind": "shapes_fcos"},
    "data": {"train": {"kind": "shapes", "images": 9}},
    "loss": {"lambda": 0.01},
    "training": {"epochs": 3},
}


def trained(base, name, config=CONFIG, commit="a" * 40, versions="torch==2.6.0\n", **facts):
    """A run with the whole configuration in its file, as a trainer writes it."""
    path = write_run(base, name, **facts)
    (path / "short.yaml").write_text(yaml.safe_dump(config))
    (path / "config_used.yaml").write_text(to_yaml(plain(load_config(path / "short.yaml"))))
    (path / "env").mkdir()
    (path / "env" / "git.json").write_text(json.dumps({"commit": commit, "dirty": False}))
    (path / "env" / "packages.txt").write_text(versions)
    return path


def content(folder):
    """Every file below, with its bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


def message(call, *arguments):
    """Of the RunError that it raises."""
    with pytest.raises(RunError) as error:
        call(*arguments)
    return str(error.value)
