import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpnkit.errors import RunError
from fpnkit.foundation.files import write_json
from fpnkit.runs.record import (
    Best,
    ConfigSummary,
    Parallel,
    RunRecord,
    read_record,
    record_to_dict,
    trained_seconds,
)
from fpnkit.runs.status import run_status
from fpnkit.runs.store import run_info
from fpnkit.runs.table import plain_table

RECORD = RunRecord(
    id="abc",
    name="run_x",
    kind="fpn_compression",
    created="2026-12-16T14:30:22.000+01:00",
    pid=17,
    pid_created="2026-12-16T14:30:20.000+01:00",
    host="lab",
    heartbeat="2026-12-16T14:31:22.000+01:00",
    started="2026-12-16T14:30:22.000+01:00",
    epoch=3,
    epochs=5,
    step=120,
    config=ConfigSummary(2.5e-4, 5e-5, 4, "factorized", "shapes_fcos", "shapes", 0),
    best=Best(2, math.inf, "best_model.pth", {"snr_db": {"p2": math.nan}}),
    last={"split": "val", "epoch": 3, "loss": math.nan, "snr_db": {"p2": 1.5}},
    sweep="s1",
    resumed=("2026-12-16T14:30:22.000+01:00",),
    size_bytes=1234,
    settings_hash="0123456789abcdef",
    detector_fingerprint="f" * 64,
    parallel=Parallel(2, ("cuda:0", "cuda:1"), ("lab", "lab"), (17, 18), before=(1,)),
)


def message(run_dir):
    with pytest.raises(RunError) as error:
        read_record(run_dir)
    return str(error.value)


def test_a_record_comes_back_as_written(tmp_path):
    write_json(tmp_path / "run.json", record_to_dict(RECORD))
    assert repr(read_record(tmp_path)) == repr(RECORD)


def test_the_keys_are_the_agreed_ones():
    keys = (
        "schema_version id name kind created pid pid_created pid_start host heartbeat heartbeat_seconds started ended "
        "exit_reason exit_code epoch epochs step config best last sweep resumed seconds_before seconds size_bytes "
        "settings_hash detector_fingerprint parallel"
    )
    data = record_to_dict(RECORD)
    assert list(data) == keys.split()
    assert list(data["config"]) == ["lmbda", "lr", "batch_size", "codec", "detector", "dataset", "seed"]
    assert list(data["parallel"]) == ["world_size", "devices", "hosts", "pids", "before"]
    assert list(data["best"]) == ["epoch", "loss", "file", "metrics", "model_hash"]


def test_unknown_keys_are_ignored(tmp_path):
    write_json(tmp_path / "run.json", record_to_dict(RECORD) | {"mood": "good"})
    assert repr(read_record(tmp_path)) == repr(RECORD)


def test_a_newer_schema_is_refused(tmp_path):
    write_json(tmp_path / "run.json", record_to_dict(RECORD) | {"schema_version": 2})
    assert message(tmp_path) == (f"{tmp_path}/run.json: has schema version 2, this fpnkit reads up to 1; update fpnkit")


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"", "is empty"),
        (b"  \n", "is empty"),
        (b"\0" * 100, "is not complete JSON"),
        (b'{"schema_version": 1, "id', "is not complete JSON"),
        (b"\xff\xfe", "is not complete JSON"),
        (b"[" * 100_000, "is not complete JSON"),
        (b"[]", "must hold a JSON object, found list"),
        (b'{"schema_version": 1, "kind": "detection"}', "lacks id, name, created"),
    ],
)
def test_what_is_no_record_is_named(tmp_path, content, wrong):
    (tmp_path / "run.json").write_bytes(content)
    assert message(tmp_path) == f"{tmp_path}/run.json: {wrong}"


def test_a_missing_record_is_named(tmp_path):
    assert message(tmp_path) == f"{tmp_path}/run.json: does not exist"


@given(st.binary(max_size=2000))
def test_garbage_never_raises_anything_but_a_run_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("garbage")
    (path / "run.json").write_bytes(content)
    with pytest.raises(RunError):
        read_record(path)


_ANYTHING = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text()
    | st.lists(st.integers())
    | st.dictionaries(st.text(), st.integers())
)


@given(st.dictionaries(st.sampled_from(sorted(set(record_to_dict(RECORD)) - {"schema_version"})), _ANYTHING))
def test_fields_of_the_wrong_type_are_named_in_one_line_or_do_no_harm(tmp_path_factory, wrong):
    path = tmp_path_factory.mktemp("wrong")
    write_json(path / "run.json", record_to_dict(RECORD) | wrong)
    try:
        record = read_record(path)
    except RunError as error:
        (line,) = str(error).splitlines()
        assert line.startswith(f"{path}/run.json: ")
        assert run_info(path).status == "incomplete"
    else:
        assert run_status(record).word
        assert plain_table([run_info(path)], None)
        assert isinstance(record.config, ConfigSummary)


def test_a_field_of_the_wrong_type_is_named(tmp_path):
    write_json(tmp_path / "run.json", record_to_dict(RECORD) | {"best": {"epoch": "two", "loss": 1, "file": "x"}})
    told = "holds something else: Expected `int`, got `str` - at `$.best.epoch`"
    assert message(tmp_path) == f"{tmp_path}/run.json: {told}"


def test_trained_time_counts_to_the_end_else_to_the_last_sign_of_life():
    assert trained_seconds(RECORD) == 60.0
    ended = dataclasses.replace(RECORD, ended="2026-12-16T14:30:32.000+01:00", seconds_before=100.0)
    assert trained_seconds(ended) == 110.0


def test_trained_time_is_never_negative_though_the_clock_jumped_back():
    assert trained_seconds(dataclasses.replace(RECORD, heartbeat="2020-01-01T00:00:00+00:00")) == 0.0
