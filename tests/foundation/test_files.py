import json
import math
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpnkit.errors import StorageError
from fpnkit.foundation import files
from tests.support.run_processes import python


def test_a_written_file_is_readable_for_others_as_the_umask_says(tmp_path):
    before = os.umask(0o022)
    try:
        files.write_bytes(tmp_path / "a", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["a"]


def test_who_has_the_old_file_open_reads_it_to_its_end(tmp_path):
    path = tmp_path / "run.json"
    files.write_text(path, "old")
    with open(path) as reader:
        files.write_text(path, "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"


def test_a_disk_that_refuses_leaves_the_old_file_whole_and_nothing_else(tmp_path):
    path = tmp_path / "best_model.pth"
    files.write_bytes(path, b"old")
    # The limit on file sizes stands for a full disk: the system takes a part, then refuses.
    code = """
import resource, sys
from pathlib import Path
from fpnkit.errors import StorageError
from fpnkit.foundation.files import write_bytes
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_bytes(Path(sys.argv[1]), b"new" * 10_000)
except StorageError as error:
    print(error)
"""
    assert python(code, path).stdout == f"{path}: could not be written: File too large\n"
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["best_model.pth"]


def test_a_missing_directory_is_a_storage_error_that_names_the_file(tmp_path):
    with pytest.raises(StorageError) as error:
        files.write_text(tmp_path / "none" / "a", "x")
    assert str(error.value) == f"{tmp_path}/none/a: could not be written: No such file or directory"


def test_a_name_of_255_bytes_can_be_written(tmp_path):
    path = tmp_path / ("x" * 255)
    files.write_text(path, "y")
    assert path.read_text() == "y"


def test_nan_and_infinities_become_null_with_their_name_beside(tmp_path):
    value = {"loss": math.nan, "snr_db": {"p2": math.inf, "p3": -math.inf, "p4": 1.5}, "list": [math.nan, 1]}
    files.write_json(tmp_path / "a.json", value)
    assert json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail) == {
        "loss": None,
        "loss_repr": "nan",
        "snr_db": {"p2": None, "p2_repr": "inf", "p3": None, "p3_repr": "-inf", "p4": 1.5},
        "list": [None, 1],
    }


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text().filter(lambda key: "_repr" not in key), inner | st.floats())
    ),
)


@given(_JSON)
def test_json_comes_back_with_its_nans(value):
    back = files.from_json(json.loads(json.dumps(files.to_json(value), allow_nan=False)))
    assert repr(back) == repr(value)
