"""Anchors whose encoder was upgraded between measurements."""

from pathlib import Path

import pytest

from fpnkit import rd
from fpnkit.plots.rd import plot_rd
from fpnkit.ratedist.table import frame, read_points
from tests.support.rd_store import write_anchor, write_ceiling

SETTINGS = "x265 slow keyint=1:aq-mode=0, gray10le"
OLD, NEW = f"PyAV 17.0.0, {SETTINGS}", f"PyAV 18.1.0, {SETTINGS}"


def write_curve(
    home: Path, encoder: str | None, *qualities: int, day: int, gain: float = 0.0, codec: str = "hevc_input"
) -> None:
    """Better and cheaper for lower quantizers, and by `gain` in all."""
    for quality in qualities:
        found, bpp = 0.8 - quality / 100 + gain, 4 / quality**2 * 10
        created = f"2026-12-{day:02d}T15:00:{quality:02d}.000+00:00"
        write_anchor(home, codec, quality, found, bpp, key=f"{day:08x}", encoder=encoder, created=created)


def curves(home: Path) -> dict[str, list[float | None]]:
    return {curve.name: [point.quality for point in curve.points] for curve in read_points([], home=home).curves}


def test_points_of_two_versions_are_two_curves_and_the_newest_has_the_name(tmp_path: Path) -> None:
    write_curve(tmp_path, OLD, 50, 40, 30, 20, day=1)
    write_curve(tmp_path, NEW, 45, 40, 35, day=2, gain=0.05)
    assert curves(tmp_path) == {"hevc_input": [45, 40, 35], "hevc_input (PyAV 17.0.0)": [50, 40, 30, 20]}
    assert read_points([], home=tmp_path).warnings == ()
    table = frame(read_points([], home=tmp_path))
    both = table[table["quality"] == 40].set_index("curve")["map"]
    assert both["hevc_input"] == pytest.approx(both["hevc_input (PyAV 17.0.0)"] + 0.05, abs=0.02)
    assert set(table["codec"]) == {"hevc_input"}


def test_what_is_measured_last_is_the_anchor_though_it_is_an_older_version(tmp_path: Path) -> None:
    write_curve(tmp_path, OLD, 50, 40, day=2)
    write_curve(tmp_path, NEW, 50, 40, 30, day=1)
    assert curves(tmp_path) == {"hevc_input": [50, 40], "hevc_input (PyAV 18.1.0)": [50, 40, 30]}


def test_the_same_version_measured_under_two_keys_is_one_curve(tmp_path: Path) -> None:
    """A key also holds the files of the images, which may be copies."""
    write_curve(tmp_path, NEW, 50, 40, day=1)
    write_curve(tmp_path, NEW, 40, 30, day=2)
    assert curves(tmp_path) == {"hevc_input": [50, 40, 30]}
    newest = [point.directory.parts[-3] for point in read_points([], home=tmp_path).curves[0].points if point.directory]
    assert newest == ["00000001", "00000002", "00000002"]


@pytest.mark.parametrize(
    ("encoder", "told"),
    [
        (None, "encoder not noted"),
        (f"PyAV 17.0.0, libavcodec 61.1, {SETTINGS}", "PyAV 17.0.0, libavcodec 61.1"),
        ("PyAV 18.1.0, x265 slow keyint=1:aq-mode=1, gray10le", "x265 aq-mode=1"),
        ("PyAV 18.1.0, x265 slow keyint=1, gray10le", "x265 without aq-mode=0"),
        ("PyAV 18.1.0, gray10le", "without x265 slow keyint=1 aq-mode=0"),
        ("gray10le, PyAV 18.1.0, x265 slow keyint=1:aq-mode=0", "another order of settings"),
    ],
)
def test_an_older_version_is_named_with_what_differs(tmp_path: Path, encoder: str | None, told: str) -> None:
    write_curve(tmp_path, encoder, 50, 40, day=1)
    write_curve(tmp_path, NEW, 50, 40, day=2)
    assert list(curves(tmp_path)) == ["hevc_input", f"hevc_input ({told})"]


def test_a_name_that_cannot_tell_all_is_cut_and_a_warning_tells_the_rest(tmp_path: Path) -> None:
    for day, psy in ((1, 1), (2, 2)):
        settings = f"x265 slow keyint=250:bframes=3:rc-lookahead=20:psy-rd={psy}, gray10le"
        write_curve(tmp_path, f"PyAV 18.1.0, {settings}", 50, 40, day=day)
    write_curve(tmp_path, NEW, 50, 40, day=3)
    name = "hevc_input (x265 keyint=250 bframes=3 …)"
    assert list(curves(tmp_path)) == ["hevc_input", name, f"{name} #2"]
    more = "is an older version of hevc_input: x265 keyint=250 bframes=3 rc-lookahead=20 psy-rd="
    assert read_points([], home=tmp_path).warnings == (f"{name} {more}2", f"{name} #2 {more}1")


def test_the_legend_has_both_in_two_colors(tmp_path: Path) -> None:
    write_curve(tmp_path, OLD, 50, 40, 30, day=1)
    write_curve(tmp_path, NEW, 45, 35, day=2)
    write_curve(tmp_path, "Pillow 13", 50, 40, day=2, codec="jpeg_input")
    ax = plot_rd(read_points([], home=tmp_path))
    lines = {line.get_label(): line for line in ax.get_lines()}
    names = ["hevc_input", "hevc_input (PyAV 17.0.0)", "jpeg_input"]
    assert [len(lines[name].get_xdata()) for name in names] == [2, 3, 2]  # type: ignore[arg-type]
    assert len({lines[name].get_color() for name in names}) == 3


def test_the_command_compares_with_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path))
    (tmp_path / "checkpoints" / "fpn_compression").mkdir(parents=True)
    write_ceiling(tmp_path)
    write_curve(tmp_path, OLD, 50, 40, 30, 20, day=1)
    write_curve(tmp_path, NEW, 50, 40, 30, 20, day=2, gain=0.05)
    assert rd.main(["--bd", "hevc_input (PyAV 17.0.0)", "--anchors", "hevc_input"]) == 0
    told = capsys.readouterr().out
    rows = [line for line in told.partition("Against hevc_input (PyAV 17.0.0)")[2].splitlines() if line]
    assert rows[2].startswith("hevc_input  -")
