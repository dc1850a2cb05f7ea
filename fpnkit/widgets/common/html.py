"""Pieces of HTML for panels; every text that comes from outside is escaped here."""

import base64
import os
import traceback
from collections.abc import Sequence
from html import escape

from fpnkit.errors import FpnkitError
from fpnkit.foundation.text import printable

# Colours of the theme, so that a dark one is dark; the second is for front ends without them.
INK = "var(--jp-ui-font-color1, #212121)"
PALE = "var(--jp-ui-font-color2, #616161)"
LINE = "var(--jp-border-color2, #bdbdbd)"
ALARM = "var(--jp-error-color1, #c62828)"

# Icon and colour behind white text, dark enough for it in every theme; the word says the same without both.
_BADGES = {
    "running": ("▶", "#0b6bb0"),
    "finished": ("✔", "#2e7d32"),
    "stopped": ("■", "#8a5a00"),
    "crashed": ("✖", "#b3261e"),
    "killed": ("✖", "#b3261e"),
    "stale": ("?", "#6a1b9a"),
    "incomplete": ("…", "#5f6368"),
    "imported": ("⤓", "#5f6368"),
    # Of a process before it has a run directory, and of the runs of a sweep.
    "starting": ("▷", "#0b6bb0"),
    "failed": ("✖", "#b3261e"),
    "ended": ("■", "#5f6368"),
    "missing": ("–", "#5f6368"),
    "waiting": ("…", "#5f6368"),
}
_LONG = 40  # characters of a cell that may be broken
_OTHER_BADGE = ("•", "#5f6368")


def icon(status: str) -> str:
    """One character for a status word, never shown without the word."""
    return _BADGES.get(status, _OTHER_BADGE)[0]


def badge(status: str) -> str:
    """Icon, word and colour of a run's status."""
    sign, colour = _BADGES.get(status, _OTHER_BADGE)
    look = f"background:{colour};color:#fff;border-radius:10px;padding:1px 9px;white-space:nowrap;font-weight:600"
    return f'<span style="{look}">{sign} {escape(status)}</span>'


def badges(cells: Sequence[tuple[str, str, str]]) -> str:
    """(label, status, what is said behind it) beside each other, as many in a row as there is room for."""
    look = (
        f"display:inline-block;color:{INK};border:1px solid {LINE};border-radius:4px;padding:2px 8px;margin:2px 4px 0 0"
    )
    shown = [
        f'<span style="{look}">{escape(label)} {badge(status)}{escape(more)}</span>' for label, status, more in cells
    ]
    return f'<div style="line-height:1.9">{"".join(shown)}</div>'


def status_line(status: str, text: str) -> str:
    """A badge and what is said beside it."""
    return f'<div style="color:{INK};line-height:1.7;overflow-wrap:anywhere">{badge(status)} {escape(text)}</div>'


def heading(text: str) -> str:
    """The title of a panel."""
    return f'<h3 style="margin:0;color:{INK};overflow-wrap:anywhere">{escape(text)}</h3>'


def bounded(content: str) -> str:
    """HTML no wider than the panel: what is wider is scrolled or broken inside it, and does not push the panel."""
    return f'<div style="width:0;min-width:100%">{content}</div>'


def paragraph(text: str, *, pale: bool = False) -> str:
    """Plain text; line breaks stay."""
    look = f"color:{PALE if pale else INK};line-height:1.45;margin:2px 0;white-space:pre-wrap;overflow-wrap:anywhere"
    return f'<p style="{look}">{escape(text)}</p>'


def code(text: str, *, broken: bool = False) -> str:
    """A command line or log: whole, scrolled or `broken` where it is too long, easy to copy either way."""
    look = f"color:{INK};border:1px solid {LINE};border-radius:3px;padding:4px 8px;margin:2px 0;overflow-x:auto"
    font = "font-family:var(--jp-code-font-family, monospace);font-size:12px;line-height:1.45"
    font += ";white-space:pre-wrap;overflow-wrap:anywhere" if broken else ";white-space:pre"
    # A region that scrolls must be reachable by keyboard.
    return f'<pre tabindex="0" style="{look};{font}">{escape(text)}</pre>'


def table(rows: Sequence[Sequence[str]], header: Sequence[str] = (), *, caption: str = "", whole: bool = False) -> str:
    """Cells of plain text; the first of each row names it. As wide as it needs, scrolled where that is too wide.

    `whole`: no cell is broken but the last of a row, for numbers with a remark behind them.
    """
    cell = f"padding:2px 14px 2px 0;text-align:left;vertical-align:top;border-bottom:1px solid {LINE}"
    label = f"{cell};color:{PALE};font-weight:normal;white-space:nowrap"
    parts = []
    if caption:
        look = f"text-align:left;font-weight:600;padding:8px 0 2px;color:{INK};caption-side:top"
        parts.append(f'<caption style="{look}">{escape(caption)}</caption>')
    if header:
        cells = "".join(f'<th scope="col" style="{label};font-weight:600">{escape(text)}</th>' for text in header)
        parts.append(f"<thead><tr>{cells}</tr></thead>")
    lines = []
    for name, *values in rows:
        broken = f"{cell};overflow-wrap:anywhere"
        looks = [f"{cell};white-space:nowrap"] * (len(values) - 1) + [f"{cell};min-width:9em"] if whole else ()
        cells = "".join(
            f'<td style="{look}">{escape(value)}</td>'
            for look, value in zip(looks or [broken] * len(values), values, strict=True)
        )
        lines.append(f'<tr><th scope="row" style="{label}">{escape(name)}</th>{cells}</tr>')
    parts.append(f"<tbody>{''.join(lines)}</tbody>")
    look = f"color:{INK};border-collapse:collapse;line-height:1.45;font-size:13px"
    return f'<div style="overflow-x:auto" tabindex="0"><table style="{look}">{"".join(parts)}</table></div>'


def numbers(rows: Sequence[Sequence[str]], header: Sequence[str], *, caption: str = "") -> str:
    """As `table`, for many short cells: none is broken into lines but the last of a row, and cells weigh little."""
    parts = []
    if caption:
        look = f"text-align:left;font-weight:600;padding:8px 0 2px;color:{INK};caption-side:top"
        parts.append(f'<caption style="{look}">{escape(caption)}</caption>')
    parts.append(f"<thead><tr>{''.join(f'<th scope=col>{escape(text)}</th>' for text in header)}</tr></thead><tbody>")
    for name, *values, last in rows:
        cells = "".join(f"<td>{escape(value)}</td>" for value in values)
        remark = (
            f'<td style="white-space:normal;min-width:14em">{escape(last)}</td>'
            if len(last) > _LONG
            else f"<td>{escape(last)}</td>"
        )
        parts.append(f'<tr><th scope=row style="font-weight:400">{escape(name)}</th>{cells}{remark}</tr>')
    look = f"color:{INK};border-color:{LINE};border-collapse:collapse;text-align:left;white-space:nowrap"
    size = "line-height:1.35;font-size:13px"
    table = f'<table rules=rows cellpadding=4 style="{look};{size}">{"".join(parts)}</tbody></table>'
    return f'<div style="overflow-x:auto" tabindex="0">{table}</div>'


def image(png: bytes, words: str, width: int) -> str:
    """A picture inside the page, with words for those who cannot see it."""
    data = base64.b64encode(png).decode()
    return f'<img alt="{escape(words)}" src="data:image/png;base64,{data}" style="width:{width}px;max-width:100%">'


def scrolled(content: str) -> str:
    """HTML that is long, in a place that is not."""
    return f'<div style="max-height:420px;overflow-y:auto" tabindex="0">{content}</div>'


def folded(title: str, content: str, *, opened: bool = False) -> str:
    """HTML that opens, or closes, on a click or a key."""
    state = " open" if opened else ""
    return f'<details{state} style="color:{INK};margin:4px 0"><summary>{escape(title)}</summary>{content}</details>'


def bullets(lines: Sequence[str]) -> str:
    """Plain texts as a list."""
    look = f"color:{INK};line-height:1.45;margin:2px 0;padding-left:22px;overflow-wrap:anywhere"
    items = "".join(f"<li>{escape(printable(line))}</li>" for line in lines)
    return f'<ul style="{look}">{items}</ul>'


def failure(action: str, error: BaseException) -> str:
    """What failed, why, and for an error that is not the user's where in the code."""
    look = f"border-left:4px solid {ALARM};padding:4px 10px;color:{INK};line-height:1.45"
    text = f'<b style="color:{ALARM}">✖ {escape(action)} failed</b><br>'
    if isinstance(error, FpnkitError):
        text += "<br>".join(escape(printable(line)) for line in str(error).splitlines())
    else:
        frame = traceback.extract_tb(error.__traceback__)[-1:]
        where = f" ({os.path.basename(frame[0].filename)}, line {frame[0].lineno})" if frame else ""
        lines = "".join(traceback.format_exception(error))
        text += escape(printable(f"{type(error).__name__}: {error}{where}"))
        text += folded("Traceback", code(lines))
    return f'<div role="alert" style="{look};overflow-wrap:anywhere">{text}</div>'


def problem(text: str) -> str:
    """What is wrong with an input while it is typed: nothing failed yet."""
    look = f"border-left:4px solid {ALARM};padding:4px 10px;color:{INK};line-height:1.45;white-space:pre-wrap"
    lines = "\n".join(printable(line) for line in text.splitlines())
    return f'<div role="status" style="{look};overflow-wrap:anywhere">✖ {escape(lines)}</div>'
