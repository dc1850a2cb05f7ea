"""`python -m fpnkit.rd` as people call it."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from fpnkit.config.load import load_config
from fpnkit.launch.sweep import new_sweep, write_sweep
from fpnkit.rd import main
from tests.support.rd_store import ap_of, write_anchor, write_ceiling, write_run

LAMBDAS = (1e-5, 4e-5, 1.6e-4, 6.4e-4)
FOUND = (0.3, 0.5, 0.65, 0.79)
BPP = (0.02, 0.05, 0.1, 0.2)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def base(home: Path) -> Path:
    return home / "checkpoints" / "fpn_compression"


@pytest.fixture
def runs(base: Path, home: Path) -> list[Path]:
    made = [write_run(base, *each) for each in zip(LAMBDAS, FOUND, BPP, strict=True)]
    for quality, (found, bpp) in enumerate(zip(FOUND, BPP, strict=True), start=1):
        write_anchor(home, "jpeg_input", 20 * quality, found, 2 * bpp)
    write_ceiling(home)
    return made


def rows_of(output: str, title: str) -> list[list[str]]:
    """Cells of the table below a title; columns are two blanks apart."""
    lines = output.split(title, 1)[1].splitlines()[1:]
    table = lines[: lines.index("")] if "" in lines else lines
    return [[cell for cell in line.split("  ") if cell.strip()] for line in table]


def test_tables_of_points_rates_and_savings(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--bd", "jpeg_input"]) == 0
    output = capsys.readouterr().out

    assert output.startswith(f"coco-val with nanodet_m; mAP on uncompressed features {100 * ap_of(0.8):.1f}\n")
    points = rows_of(output, "\n")
    assert len(points) == 1 + 8
    assert points[1][:2] == ["factorized", "20261216_140000"]
    assert points[5][:2] == ["jpeg_input", "-"]
    shares = rows_of(output, "Rate at a share of the ceiling, linear in log bpp between points")
    assert [row[:2] for row in shares[1:4]] == [["factorized", f"{share} %"] for share in (99, 95, 90)]
    (saving,) = rows_of(output, "a negative BD-rate needs fewer bits")[1:]
    assert saving[0] == "factorized"
    assert float(saving[1]) == pytest.approx(-50, abs=0.2)


def test_the_same_for_programs(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--bd", "jpeg_input", "--json", "--csv", str(tmp_path / "a.csv")]) == 0
    content = json.loads(capsys.readouterr().out)
    table = pd.read_csv(tmp_path / "a.csv")
    assert [point["bpp"] for point in content["points"]] == pytest.approx(table["bpp"].tolist())
    assert (content["dataset"], content["detector"], content["y"]) == ("coco-val", "nanodet_m", "map")
    assert content["ceiling"] == pytest.approx(ap_of(0.8))
    assert [each["curve"] for each in content["rate_at_share"]] == ["factorized"] * 3 + ["jpeg_input"] * 3
    (saving,) = content["bd_rate"]
    assert (saving["test"], saving["anchor"]) == ("factorized", "jpeg_input")
    assert saving["bd_rate_percent"] == pytest.approx(-50, abs=1)
    assert content["next"]


def test_csv_and_figure_with_its_origin(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure, table = tmp_path / "out" / "rd.svg", tmp_path / "rd.csv"
    assert main([runs[0].name, runs[1].name, "--anchors", "none", "--output", str(figure), "--csv", str(table)]) == 0

    written = pd.read_csv(table)
    assert written["run"].tolist() == [runs[0].name, runs[1].name]
    assert written["map"].tolist() == pytest.approx([ap_of(0.3), ap_of(0.5)])
    assert sorted(path.name for path in figure.parent.iterdir()) == ["rd.csv", "rd.json", "rd.svg"]
    assert pd.read_csv(figure.with_suffix(".csv")).equals(written)
    assert "mAP (%)" in figure.read_text()
    origin = json.loads(figure.with_suffix(".json").read_text())
    assert origin["runs"] == [runs[0].name, runs[1].name]
    assert origin["evaluated_with"] == ["c0ffee"]
    assert (origin["dataset"], origin["detector"]) == ("coco-val", "nanodet_m")


def test_needs_no_torch(runs: list[Path]) -> None:
    code = (
        "import sys; from fpnkit.rd import main; "
        "code = main(sys.argv[1:]); print('torch' in sys.modules, 'matplotlib.pyplot' in sys.modules); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, "--anchors", "none"], capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()[-1], done.stderr) == (0, "False False", "")


def test_runs_as_a_module_and_says_what_is_wrong(home: Path) -> None:
    (home / "checkpoints" / "fpn_compression").mkdir(parents=True)
    done = subprocess.run([sys.executable, "-m", "fpnkit.rd", "1234"], capture_output=True, text=True)
    base = home / "checkpoints" / "fpn_compression"
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"fpnkit.rd: run '1234': no run in {base} has this in its name\n"


def test_a_sweep_says_what_is_missing_or_failed(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(base, 1e-4, 0.5, 0.1)
    file = run / "config_used.yaml"
    sweep = new_sweep(file, load_config(file), [1e-4, 1e-3, 1e-2], [0])
    write_sweep(base, sweep)
    write_run(base, 1e-3, end=(1, "diverged"), sweep=sweep.id)
    write_run(base, 5e-3, 0.6, 0.3)

    assert main(["--sweep", sweep.id]) == 0

    output = capsys.readouterr().out
    assert "20261216_140000" in output
    assert "20261216_140200" not in output  # not of the sweep
    assert f"  sweep {sweep.id}: lambda 1e-2, seed 0 is missing: no run of it was started\n" in output
    assert "  run 20261216_140100: left out: crashed (diverged)\n" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--y", "ssim"], "--y ssim: required one of loss, map, map50, self_map, share_of_ceiling, snr_db.mean, "),
        (["--bd", "vvc"], "curve 'vvc': required one of 'factorized', 'jpeg_input' (on coco-val with nanodet_m)\n"),
        (["--dataset", "cars"], "data set 'cars': no run was evaluated on it; required one of coco-val\n"),
        (["--sweep", "a", "1400"], "--sweep a: required no RUN beside it, found 1400\n"),
        (["--csv", "/nowhere/rd.csv"], "--csv /nowhere/rd.csv: required an existing folder, found none at /nowhere\n"),
        (["--output", "rd.gif"], "figure rd.gif: required the format png, pdf, svg; found gif\n"),
    ],
)
def test_wrong_input_is_said(
    runs: list[Path], arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"fpnkit.rd: {message}")
    assert captured.out == ""


def test_nothing_to_show_says_why(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(base, 1e-3, 0.7, 0.4, end=(1, "diverged"))
    write_run(base, 1e-4, losses=(), end=(130, "STOP file"))
    assert main([]) == 2
    assert capsys.readouterr().err == (
        "fpnkit.rd: nothing to show: no run has an evaluation or a validation; one is drawn from its first epoch on\n"
        "run 20261216_140000: left out: crashed (diverged)\n"
        "run 20261216_140100: left out: stopped, without an evaluation or a validation so far\n"
    )


def test_a_missing_base_directory_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--base-dir", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err == (
        f"fpnkit.rd: base directory {tmp_path / 'none'}: cannot be read: No such file or directory\n"
    )


def test_one_point_and_curves_without_overlap_are_said(
    base: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(base, 1e-4, 0.2, 0.01)
    for quality, found in enumerate((0.5, 0.6, 0.7, 0.75)):
        write_anchor(home, "jpeg_input", quality, found, 0.1 + quality)
    assert main(["--bd", "jpeg_input"]) == 0
    output = capsys.readouterr().out
    assert "required 4 points on the increasing frontier, factorized has 1\n" in output
    assert "  factorized: has a single point: a line needs two, a BD-rate 4\n" in output
    assert "not reached: 20.8 % at most, 79.4 % required" in output


def test_curves_without_overlap_are_said(base: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for quality, (lmbda, bpp) in enumerate(zip(LAMBDAS, BPP, strict=True)):
        write_run(base, lmbda, 0.1 + 0.02 * quality, bpp)
        write_anchor(home, "jpeg_input", quality, 0.5 + 0.05 * quality, bpp)
    assert main(["--bd", "jpeg_input"]) == 0
    (refusal,) = rows_of(capsys.readouterr().out, "a negative BD-rate needs fewer bits")[1:]
    assert [cell.strip() for cell in refusal] == [
        "factorized",
        *["-"] * 5,
        "required an overlap of 10 % of the shorter range, "
        f"found jpeg_input {ap_of(0.5):.4g} to {ap_of(0.65):.4g} and factorized {ap_of(0.1):.4g} to {ap_of(0.16):.4g}",
    ]


def test_other_metrics_and_rates(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--x", "kb_per_image", "--y", "snr_db.mean", "--bd", "jpeg_input"]) == 0
    output = capsys.readouterr().out
    assert "Rate at a share" not in output
    (saving,) = rows_of(output, "a negative BD-rate needs fewer bits")[1:]
    assert float(saving[1]) == pytest.approx(0, abs=0.2)  # the files say so: SNR follows the rate
    assert saving[-1].strip() == "snr_db.mean is not resampled"
