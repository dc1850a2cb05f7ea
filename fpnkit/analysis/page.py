"""index.html: all figures in order, each with a sentence on how to read it; it needs only the files beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from fpnkit.foundation.files import write_text
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
    """Figures stand there as PNG; other `formats` and tables are linked to.

    `facts` as a table at the top; `notes` (heading, text to be copied) at the end.
    """
    rows = "\n".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items())
    sections = [
        _section(name, list(group), formats) for name, group in groupby(drawings, key=lambda drawing: drawing.section)
    ]
    copied = [f"<h2>{escape(heading)}</h2>\n<pre>{escape(text)}</pre>" for heading, text in notes]
    style = _STYLE
    for word, colour in (_DARK if dark else _LIGHT).items():
        style = style.replace(word, colour)
    body = "\n".join([f"<h1>{escape(title)}</h1>", f"<table>\n{rows}\n</table>", *sections, *copied])
    head = f'<meta charset="utf-8">\n<title>{escape(title)}</title>\n<style>\n{style}</style>'
    write_text(path, f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n')


def _section(name: str, drawings: Sequence[Drawing], formats: Sequence[str]) -> str:
    figures = "\n".join(_figure(drawing, formats) for drawing in drawings)
    return f'<h2>{escape(name)}</h2>\n<div class="figures">\n{figures}\n</div>'


def _figure(drawing: Drawing, formats: Sequence[str]) -> str:
    file = quote(drawing.name)
    links = ", ".join(f'<a href="{file}.{kind}">{kind.upper()}</a>' for kind in (*formats, "csv") if kind != "png")
    title, reading = escape(drawing.title), escape(drawing.reading)
    wide = ' class="wide"' if drawing.wide else ""
    return (
        f'<figure{wide}>\n<img src="{file}.png" alt="{escape(drawing.title)}">\n'
        f'<figcaption><b>{title}</b> {reading} <span class="files">{links}</span></figcaption>\n</figure>'
    )
