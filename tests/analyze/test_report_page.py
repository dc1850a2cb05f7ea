import pandas as pd
import pytest

from fpnkit.analysis.page import write_page
from fpnkit.analysis.parts import Parts
from fpnkit.errors import StorageError
from fpnkit.plots.drawing import Drawing
from fpnkit.plots.panels import figure_of
from fpnkit.plots.save import save_all
from fpnkit.plots.style import new_axes

NASTY = '<b>&"quotes"</b>'


def drawing(name: str, section: str = "One") -> Drawing:
    return Drawing(name, section, NASTY, "Read it so.", pd.DataFrame({"x": [1]}), lambda: figure_of(new_axes()))


def test_all_texts_are_escaped(tmp_path) -> None:  # type: ignore[no-untyped-def]
    page = tmp_path / "index.html"
    write_page(
        page, NASTY, {NASTY: NASTY}, [drawing("a b")], dark=False, formats=("png", "pdf"), notes=[(NASTY, NASTY)]
    )
    text = page.read_text()
    assert '<b>&"' not in text
    assert text.count("&lt;b&gt;&amp;&quot;quotes&quot;&lt;/b&gt;") == 8
    assert 'src="a%20b.png"' in text
    assert "a { color: #0072B2; }" in text


def test_sections_follow_the_order_of_the_figures(tmp_path) -> None:  # type: ignore[no-untyped-def]
    page = tmp_path / "index.html"
    write_page(page, "T", {}, [drawing("a"), drawing("b"), drawing("c", "Two")], dark=False, formats=("png",))
    text = page.read_text()
    assert [text.index(part) for part in ("<h2>One", "a.png", "b.png", "<h2>Two", "c.png")] == sorted(
        text.index(part) for part in ("<h2>One", "a.png", "b.png", "<h2>Two", "c.png")
    )
    assert text.count("<h2>") == 2


def test_parts_are_computed_once_for_the_same_facts(tmp_path) -> None:  # type: ignore[no-untyped-def]
    calls = []

    def compute() -> dict[str, pd.DataFrame]:
        calls.append(1)
        values = [0.1 + 0.2, float("nan"), float("inf")]
        return {"t": pd.DataFrame({"x": values, "name": ["NA", "None", "nan"], "ok": [True, False, True]})}

    parts = Parts(tmp_path)
    first = parts.get("part", {"images": 3}, compute)["t"]
    again = Parts(tmp_path).get("part", {"images": 3}, compute)["t"]
    assert len(calls) == 1
    assert first.equals(again)
    assert again["x"].iloc[0] == 0.1 + 0.2  # to the last bit
    assert again["name"].tolist() == ["NA", "None", "nan"]
    assert again["ok"].tolist() == [True, False, True]
    assert parts.known("part", {"images": 4}) is None
    parts.get("part", {"images": 4}, compute)
    assert len(calls) == 2


def test_a_full_disk_leaves_no_half_figure_and_the_old_one(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    save_all([drawing("a")], tmp_path, {}, dark=False, formats=("png",))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(StorageError):
        save_all([drawing("a")], tmp_path, {}, dark=True, formats=("png",))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_figure_is_drawn_again_only_if_it_would_be_another(tmp_path) -> None:  # type: ignore[no-untyped-def]
    def stamp(**source: str) -> int:
        save_all([drawing("a")], tmp_path, {"commit": "f00", **source}, dark=False, formats=("png",))
        return (tmp_path / "a.png").stat().st_mtime_ns

    first = stamp()
    assert stamp() == first
    assert stamp(checkpoint="other") > first
    changed = stamp(commit="f00 (dirty)")
    assert stamp(commit="f00 (dirty)") > changed
    (tmp_path / "a.csv").unlink()
    stamp(commit="f00 (dirty)")
    assert (tmp_path / "a.csv").exists()
