import csv
import io
import json
import os
import re
import subprocess
import sys

import pytest

from fpnkit.runs.record import Best
from fpnkit.runs.store import COLUMNS
from tests.support.fake_trainer import SUMMARY, line
from tests.support.run_dirs import ODD_NAMES, write_run, write_summary
from tests.support.run_processes import command_line, python
from tests.support.terminal import on_a_terminal

NAME = "run_20261216_143022_lambda_2.50e-04_lr_5.00e-05_bs_4"


def good_run(base, name=NAME, **facts):
    facts = {
        "epoch": 12,
        "epochs": 100,
        "step": 4000,
        "started": "2026-12-16T14:30:22+01:00",
        "ended": "2026-12-16T17:42:22+01:00",
        "best": Best(11, 0.1234, "best_model.pth", {"bpp_estimated": 0.25}),
        "size_bytes": 12_345_678,
    } | facts
    return write_run(base, name, **facts)


def test_a_pipe_gets_plain_aligned_text_newest_first(base):
    good_run(base)
    good_run(base, "run_b", created="2027-01-01T00:00:00+00:00", exit_code=1, exit_reason="diverged", best=None)
    done = command_line("--base-dir", base)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "run                                                   status     epoch  lambda    lr  bs    loss   time"
        "   size  reason\n"
        "run_b                                                 crashed   12/100  2.5e-4  5e-5   4       -  3h12m"
        "  12 MB  diverged\n"
        f"{NAME}  finished  12/100  2.5e-4  5e-5   4  0.1234  3h12m  12 MB  -\n"
    )


@pytest.mark.parametrize("width", [80, 120, 200])
def test_a_terminal_shows_every_number_whole_and_no_line_is_wrapped(base, width):
    for name in (NAME, f"{NAME}_1"):
        good_run(base, name)
    write_run(base, "run_broken", created="2027-01-01T00:00:00+00:00", best=None)
    lines = on_a_terminal(width, "--base-dir", base)
    assert len(lines) == 1 + 3 + 1
    assert all(len(text) <= width for text in lines[:4])
    for text in lines[2:4]:
        assert re.search(r"finished +12/100 +2.5e-4 +5e-5 +4 +0.1234 +3h12m +12 MB", text)
    assert lines[4] == f"3 runs in {base}"
    assert lines[1].startswith("run_broken ")
    assert lines[3].startswith("20261216_143022 " if width == 80 else NAME)
    assert ("bpp est." in lines[0]) == (width == 200)


def test_an_odd_name_cannot_break_the_list_or_steer_the_terminal(base):
    for name in ODD_NAMES:
        write_run(base, name)
    wide = "".join(on_a_terminal(300, "--base-dir", base))
    plain = command_line("--base-dir", base, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert (plain.returncode, plain.stderr) == (0, "")
    assert len(plain.stdout.splitlines()) == 1 + len(ODD_NAMES)
    for output in (wide, plain.stdout):
        assert "run_new\\nline" in output
        assert "run_\\x1b[31mred" in output
        assert "run_[bold]markup[" in output
        assert "\x1b" not in output.replace("\r", "")
    rows = json.loads(command_line("--base-dir", base, "--json").stdout)
    assert {row["name"] for row in rows} == set(ODD_NAMES)
    text = command_line("--base-dir", base, "--csv").stdout
    assert len(list(csv.DictReader(io.StringIO(text)))) == len(ODD_NAMES)


def test_json_has_all_columns_with_nan_spelled_out(base):
    good_run(base, best=Best(1, float("nan"), "best_model.pth"))
    (row,) = json.loads(command_line("--base-dir", base, "--json").stdout, parse_constant=pytest.fail)
    assert set(row) == {*COLUMNS, "best_loss_repr"}
    assert (row["best_loss"], row["best_loss_repr"], row["lmbda"]) == (None, "nan", 2.5e-4)
    assert row["path"] == str(base / NAME)


def test_columns_are_chosen_apart_or_with_commas_and_lambda_is_understood(base):
    good_run(base)
    text = command_line("--base-dir", base, "--csv", "--columns", "name,lambda", "tags").stdout
    assert text == f"name,lmbda,tags\n{NAME},0.00025,\n"


def test_sorting_puts_the_smallest_first_and_what_is_not_known_last(base):
    for name, loss in [("run_a", 3.0), ("run_b", float("nan")), ("run_c", 1.0), ("run_d", 2.0)]:
        good_run(base, name, best=Best(1, loss, "f"))
    good_run(base, "run_e", best=None)
    rows = json.loads(command_line("--base-dir", base, "--json", "--sort", "best_loss", "--reverse").stdout)
    assert [row["name"] for row in rows][:3] == ["run_a", "run_d", "run_c"]
    rows = json.loads(command_line("--base-dir", base, "--json", "--sort", "best_loss").stdout)
    assert [row["name"] for row in rows][:3] == ["run_c", "run_d", "run_a"]
    code = """
import sys
from fpnkit.runs.__main__ import main
print([main([*sys.argv[1:3], "--sort", column]) for column in sys.argv[3:]])
"""
    done = python(code, "--base-dir", base, *COLUMNS)
    assert (done.stderr, done.stdout.splitlines()[-1]) == ("", str([0] * len(COLUMNS)))


def test_a_mistyped_column_gets_the_nearest(base):
    base.mkdir(parents=True)
    for option in ("--sort", "--columns"):
        done = command_line("--base-dir", base, option, "best_los")
        assert done.returncode == 2
        assert done.stderr == (
            f"column 'best_los': unknown, did you mean 'best_loss'?; there are {', '.join(COLUMNS)}\n"
        )


def test_a_missing_base_directory_that_was_asked_for_is_an_error(tmp_path):
    done = command_line("--base-dir", tmp_path / "none")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"base directory {tmp_path}/none: does not exist\n"


def test_a_default_base_directory_that_is_missing_or_empty_has_no_runs_yet(tmp_path):
    environment = os.environ | {"FPNKIT_HOME": str(tmp_path)}
    default = tmp_path / "checkpoints" / "fpn_compression"
    done = command_line(env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"no runs yet: {default} does not exist\n", "")
    assert command_line("--json", env=environment).stdout == "[]\n"
    default.mkdir(parents=True)
    done = command_line(env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"no runs yet: {default} has no runs\n", "")


def test_a_list_cut_short_by_its_reader_is_no_error(base):
    for number in range(2000):
        (base / f"run_{number}").mkdir(parents=True)
    done = subprocess.run(
        f"'{sys.executable}' -m fpnkit.runs --base-dir '{base}' | head -1", shell=True, capture_output=True, text=True
    )
    assert done.stderr == ""
    assert done.stdout.startswith("run ")


def test_listing_and_details_load_neither_torch_nor_compressai_nor_pandas(base):
    good_run(base)
    code = """
import sys
from fpnkit.runs.__main__ import main
assert main(["--base-dir", sys.argv[1]]) == 0
assert main(["--base-dir", sys.argv[1], "--show-details", "143022"]) == 0
import fpnkit.runs.writer, fpnkit.runs.provenance
print("loaded:", sorted({"torch", "compressai", "pandas", "numpy"} & set(sys.modules)))
"""
    done = python(code, base)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "loaded: []"


def test_details_tell_the_whole_story_of_a_real_run(base, new_run):
    run = new_run(argv=["python", "-m", "fpnkit.train", "--config", "a b.yaml"])
    run.metric(line(20, epoch=1))
    run.metric(line(20, epoch=1).from_dict(line(20, epoch=1).to_dict() | {"split": "val", "bpp_level": {"p2": 0.5}}))
    run.best(epoch=1, loss=0.5, file="best_model.pth", metrics={"bpp_estimated": 0.25, "lr": 1.0})
    for number in range(3):
        (run.path / f"training_diagnostics_epoch_{number}.txt").write_text("x" * 500)
    (run.path / "last.pth").write_bytes(b"x" * 2_000_000)
    (run.path / "note.md").write_text("the good one\n")
    run.progress(1, 20)
    run.end("diverged", 1)
    done = command_line("--base-dir", base, "--show-details", run.path.name[4:19])
    assert (done.returncode, done.stderr) == (0, "")
    shown = {}
    for text in done.stdout.splitlines():
        if not text.startswith("  "):
            title = text
        else:
            label, value = re.fullmatch(r"  (\S+(?: \S+)*) {2,}(.*)", text).groups()
            shown.setdefault(title, {})[label] = value
    assert shown[run.path.name] == {
        "path": str(run.path),
        "status": "crashed (diverged)",
        "kind": "fpn_compression",
        "note": "the good one",
    }
    assert shown["Progress"]["epoch"] == "1 of 5, step 20"
    assert shown["Settings"]["lambda"] == "2.5e-4"
    assert shown["Best"] == {"epoch": "1", "loss": "0.5", "file": "best_model.pth", "bpp_estimated": "0.25"}
    assert shown["Last train metrics (epoch 1, step 20)"] == {"loss": "0.04762", "p2": "3.00 dB"}
    assert shown["Last val metrics (epoch 1, step 20)"]["p2"] == "3.00 dB  0.5000 bpp"
    assert shown["Files"]["training_diagnostics_epoch_*.txt"] == "1.5 kB in 3 files"
    assert shown["Files"]["last.pth"] == "2.0 MB"
    assert "pytest" not in shown["Environment"]["packages"]
    assert "python 3." in shown["Environment"]["packages"]
    assert shown["Commands"] == {
        "command": "python -m fpnkit.train --config 'a b.yaml'",
        "resume": f"python -m fpnkit.train --resume {run.path}",
        "run again": f"python -m fpnkit.train --config {run.path}/config_used.yaml",
    }


def test_only_what_can_be_resumed_is_offered_to_be_resumed(base):
    for name, facts, offered in [("run_a", {}, False), ("run_b", {"exit_code": 130}, True)]:
        path = write_run(base, name, **facts)
        (path / "last.pth").touch()
        assert ("--resume" in command_line("--show-details", path).stdout) == offered


def test_a_terminal_of_middling_width_has_short_names_and_room_for_results(base):
    path = good_run(base)
    write_summary(path, bpp=0.25, map=0.375)
    header, row, _ = on_a_terminal(100, "--base-dir", base)
    assert re.search(r" bpp +mAP", header)
    assert re.search(r" 0.25 +0.375", row)
    assert row.startswith("20261216_143022 ")


def test_colors_are_left_out_where_they_are_not_wanted(base):
    write_run(base, "run_a", exit_code=1)
    colored = {}
    for wanted in (True, False):
        environment = os.environ | {"TERM": "xterm"} | ({} if wanted else {"NO_COLOR": "1"})
        code = f"import pty; pty.spawn([{sys.executable!r}, '-m', 'fpnkit.runs', '--base-dir', {str(base)!r}])"
        colored[wanted] = (
            b"\x1b[31mcrashed\x1b[0m"
            in subprocess.run(
                [sys.executable, "-c", code], env=environment, capture_output=True, stdin=subprocess.DEVNULL
            ).stdout
        )
    assert colored == {True: True, False: False}


def test_details_of_a_damaged_run_still_name_its_files(base):
    (base / "run_a").mkdir(parents=True)
    (base / "run_a" / "run.json").write_text("{")
    (base / "run_a" / "env").mkdir()
    (base / "run_a" / "env" / "git.json").write_text("{")
    done = command_line("--base-dir", base, "--show-details", "run_a")
    assert (done.returncode, done.stderr) == (0, "")
    assert "incomplete (run.json: is not complete JSON)" in done.stdout
    assert re.search(r"^  run.json +1 B$", done.stdout, re.MULTILINE)


def test_details_of_a_run_that_does_not_exist_are_one_message(base):
    good_run(base)
    done = command_line("--base-dir", base, "--show-details", "nothing")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"run 'nothing': no run in {base} has this in its name; did you mean '{NAME}'?\n"


def test_details_fit_a_terminal_and_come_as_json(base):
    good_run(base, config=SUMMARY)
    lines = on_a_terminal(80, "--base-dir", base, "--show-details", NAME)
    assert all(len(text) <= 80 for text in lines)
    sections = json.loads(command_line("--base-dir", base, "--show-details", NAME, "--json").stdout)
    assert sections["Settings"][0] == ["lambda", "2.5e-4"]
    done = command_line("--base-dir", base, "--show-details", NAME, "--csv")
    assert (done.returncode, done.stderr) == (2, "--csv: applies to the list; use --json with --show-details\n")
