from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpnkit.errors import RunError
from fpnkit.runs import layout

TIME = datetime(2026, 12, 16, 14, 30, 22)
NAMES = [
    "run_20261216_143022_lambda_2.50e-04_lr_5.00e-05_bs_4",
    "run_20261216_143022_lambda_2.50e-04_lr_5.00e-05_bs_4_1",
    "run_20261217_090000_lambda_1.00e-03_lr_5.00e-05_bs_4",
]


@pytest.fixture
def base(tmp_path):
    for name in NAMES:
        (tmp_path / "base" / name).mkdir(parents=True)
        (tmp_path / "base" / name / "run.json").touch()
    (tmp_path / "base" / "sweeps").mkdir()
    (tmp_path / "base" / ".trash" / "run_old").mkdir(parents=True)
    return tmp_path / "base"


def test_name_of_a_codec_run_has_time_lambda_lr_and_batch_size():
    assert layout.run_name(TIME, 2.5e-4, 5e-5, 4) == "run_20261216_143022_lambda_2.50e-04_lr_5.00e-05_bs_4"


def test_name_of_a_detector_run_has_no_lambda():
    assert layout.run_name(TIME, None, 5e-3, 16) == "run_20261216_143022_lr_5.00e-03_bs_16"


def test_names_of_files_that_carry_a_time_or_epoch():
    assert layout.log_name(TIME) == "train_20261216_143022.log"
    assert layout.best_model_name(15, 0.12341, TIME) == "best_model_epoch_15_loss_0.1234_20261216_143022.pth"
    assert layout.diagnostics_name(15) == "training_diagnostics_epoch_15.txt"


@given(
    st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)),
    st.none() | st.floats(1e-30, 1e30),
    st.floats(1e-30, 1e3),
    st.integers(1, 10**6),
    st.none() | st.integers(1, 99),
)
def test_short_name_is_time_and_suffix_for_every_generated_name(time, lmbda, lr, batch_size, number):
    suffix = "" if number is None else f"_{number}"
    name = layout.run_name(time, lmbda, lr, batch_size) + suffix
    assert layout.short_name(name) == f"{time:%Y%m%d_%H%M%S}{suffix}"


def test_short_name_leaves_other_names_alone():
    assert layout.short_name("run_my_good_one") == "run_my_good_one"


def test_home_is_the_variable_first(tmp_path, monkeypatch):
    (tmp_path / "checkpoints").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path / "elsewhere"))
    assert layout.home() == tmp_path / "elsewhere"
    assert layout.default_base_dir("detection") == tmp_path / "elsewhere" / "checkpoints" / "detection"


def test_home_is_the_nearest_parent_with_checkpoints_then_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.delenv("FPNKIT_HOME", raising=False)
    inner = tmp_path / "project" / "notebooks" / "deep"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    if not any((folder / "checkpoints").is_dir() for folder in tmp_path.parents):
        assert layout.home() == inner
    (tmp_path / "checkpoints").mkdir()
    assert layout.home() == tmp_path
    (tmp_path / "project" / "checkpoints").mkdir()
    assert layout.home() == tmp_path / "project"


def test_a_run_is_found_by_path_by_name_by_short_name_and_by_a_part(base, monkeypatch):
    assert layout.find_run(str(base / NAMES[0]), Path("/nowhere")) == base / NAMES[0]
    assert layout.find_run(NAMES[0], base) == base / NAMES[0]
    assert layout.find_run("20261216_143022", base) == base / NAMES[0]
    assert layout.find_run("20261216_143022_1", base) == base / NAMES[1]
    assert layout.find_run("1.00e-03", base) == base / NAMES[2]
    monkeypatch.chdir(base / NAMES[2])
    assert layout.find_run(".", base) == Path(".")


def test_an_accent_may_be_typed_in_either_way(base):
    composed, decomposed = "run_caf\u00e9", "run_nai\u0308ve"
    for name in (composed, decomposed):
        (base / name).mkdir()
        (base / name / "run.json").touch()
    assert layout.find_run("cafe\u0301", base) == base / composed
    assert layout.find_run("na\u00efve", base) == base / decomposed
    (base / "run_cafe\u0301").mkdir()
    (base / "run_cafe\u0301" / "run.json").touch()
    assert layout.find_run(composed, base) == base / composed  # two that look alike: what was typed


def test_several_runs_that_fit_are_listed_newest_first(base):
    with pytest.raises(RunError) as error:
        layout.find_run("2.50e-04", base)
    assert str(error.value) == (
        f"run '2.50e-04': 2 runs in {base} match; name one of them:\n  {NAMES[1]}\n  {NAMES[0]}"
    )


def test_a_long_list_of_runs_that_fit_is_cut_and_says_so(tmp_path):
    for number in range(13):
        (tmp_path / f"run_{number:02}").mkdir()
    with pytest.raises(RunError) as error:
        layout.find_run("run_", tmp_path)
    shown = "".join(f"  run_{number:02}\n" for number in range(12, 2, -1))
    assert str(error.value) == f"run 'run_': 13 runs in {tmp_path} match; name one of them:\n{shown}  and 3 more"


def test_a_mistyped_name_gets_the_nearest(base):
    with pytest.raises(RunError) as error:
        layout.find_run("run_20261217_091000_lambda_1.00e-03", base)
    assert str(error.value) == (
        f"run 'run_20261217_091000_lambda_1.00e-03': no run in {base} has this in its name; did you mean '{NAMES[2]}'?"
    )


def test_no_run_in_an_empty_base_directory(tmp_path):
    with pytest.raises(RunError) as error:
        layout.find_run("x", tmp_path)
    assert str(error.value) == f"run 'x': no run in {tmp_path} has this in its name"


def test_a_missing_base_directory_is_named(tmp_path):
    with pytest.raises(RunError) as error:
        layout.find_run("x", tmp_path / "none")
    assert str(error.value) == (
        f"run 'x': no such directory, nor a base directory {tmp_path}/none: No such file or directory"
    )


def test_a_directory_that_is_no_run_is_refused(base, tmp_path):
    (tmp_path / "pictures").mkdir()
    with pytest.raises(RunError) as error:
        layout.find_run(f"{tmp_path}/pictures", base)
    assert str(error.value) == f"run '{tmp_path}/pictures': not a run directory, it has no run.json"


def test_trash_and_sweeps_are_never_found(base):
    for text in ("run_old", "sweeps"):
        with pytest.raises(RunError, match="has this in its name"):
            layout.find_run(text, base)


def test_a_user_that_there_is_not_is_part_of_a_name(base):
    with pytest.raises(RunError) as error:
        layout.find_run("~nobody_has_this_name/run", base)
    assert str(error.value).startswith("run '~nobody_has_this_name/run': no run in ")
