"""index.html: all figures in order, each with a sentence on how to read it; it needs only the files next to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from fpnkit.foundation.files import write_text
from fpnkit.foundation.html import Html, element, join, pairs, table
from fpnkit.plots.drawing import Drawing

_STYLE = """\
:root { color-scheme: SCHEME; }
body { font: 15px/1.5 system-ui, sans-serif; color: INK; background: PAPER; }
body { margin: 2em auto; max-width: 76em; padding: 0 1em; }
a { color: ANCHOR; }
h1 { font-size: 1.5em; } h2 { font-size: 1.2em; border-bottom: 1px solid GRID; margin-top: 2em; }
table { border-collapse: collapse; margin: 1em 0; } th, td { text-align: left; padding: 0.15em 1.2em 0.15em 0; }
th { font-weight: 600; vertical-align: top; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(30em, 100%), 1fr)); gap: 1.5em; }
figure { margin: 0; } figure.wide { grid-column: 1 / -1; } img { max-width: 100%; height: auto; }
figure.wide img { max-width: min(100%, 60em); }
figcaption b { display: block; } .files { font-size: 0.85em; }
pre { background: GRID; padding: 0.6em 1em; overflow-x: auto; }
"""
_LIGHT = {"SCHEME": "light", "INK": "#1A1A1A", "PAPER": "#FFFFFF", "ANCHOR": "#0072B2", "GRID": "#E4E4E4"}
_DARK = {"SCHEME": "dark", "INK": "#E6E6E6", "PAPER": "#111111", "ANCHOR": "#56B4E9", "GRID": "#333333"}


def write_page(
    path: Path,
    title: str,
    facts: Mapping[str, str],
    drawings: Sequence[Drawing],
    *,
    dark: bool,
    formats: Sequence[str],
    notes: Sequence[tuple[str, str]] = (),
) -> None:
    """Figures are shown as PNG; other `formats` and tables are linked.

    `facts` become a table at the top; `notes` (heading, text to copy) come at the end.
    """
    sections = [
        _section(name, list(group), formats) for name, group in groupby(drawings, key=lambda drawing: drawing.section)
    ]
    copied = [join([element("h2", heading), element("pre", text)], "\n") for heading, text in notes]
    style = _STYLE
    for word, color in (_DARK if dark else _LIGHT).items():
        style = style.replace(word, color)
    body = [element("h1", title), table([pairs(facts.items())]), *sections, *copied]
    head = [element("meta", charset="utf-8"), element("title", title), element("style", Html(style))]
    page = element("html", element("head", join(head, "\n")), "\n", element("body", join(body, "\n")), lang="en")
    write_text(path, f"<!doctype html>\n{page}\n")


def _section(name: str, drawings: Sequence[Drawing], formats: Sequence[str]) -> Html:
    figures = join((_figure(drawing, formats) for drawing in drawings), "\n")
    return join([element("h2", name), element("div", figures, class_="figures")], "\n")


def _figure(drawing: Drawing, formats: Sequence[str]) -> Html:
    file = quote(drawing.name)
    links = [element("a", kind.upper(), href=f"{file}.{kind}") for kind in (*formats, "csv") if kind != "png"]
    files = element("span", join(links, ", "), class_="files")
    caption = element("figcaption", element("b", drawing.title), f" {drawing.reading} ", files)
    image = element("img", src=f"{file}.png", alt=drawing.title)
    return element("figure", image, caption, class_="wide" if drawing.wide else "")
