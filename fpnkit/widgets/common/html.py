"""HTML building blocks for panels; plain strings are text and will be escaped."""

import base64
import os
import traceback
from collections.abc import Iterable, Sequence

from fpnkit.errors import FpnkitError
from fpnkit.foundation.html import Html, element, join
from fpnkit.foundation.html import table as plain_table
from fpnkit.foundation.text import printable

# Colors of the theme, so that a dark one is dark; the second is for front ends without them.
INK = "var(--jp-ui-font-color1, #212121)"
PALE = "var(--jp-ui-font-color2, #616161)"
LINE = "var(--jp-border-color2, #bdbdbd)"
ALARM = "var(--jp-error-color1, #c62828)"
_ALARMING = f"border-left:4px solid {ALARM};padding:4px 10px;color:{INK};line-height:1.45"

# Icon and color behind white text, dark enough for it in every theme; the word says the same without both.
_BADGES = {
    "queued": ("◷", "#00695c"),
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
    """One character for a status, always shown with the word."""
    return _BADGES.get(status, _OTHER_BADGE)[0]


def badge_color(status: str) -> str:
    """Of a status, dark enough behind white text."""
    return _BADGES.get(status, _OTHER_BADGE)[1]


def badge(status: str) -> Html:
    """Icon, word and color of a run's status."""
    sign, color = _BADGES.get(status, _OTHER_BADGE)
    look = f"background:{color};color:#fff;border-radius:10px;padding:1px 9px;white-space:nowrap;font-weight:600"
    return element("span", f"{sign} {status}", style=look)


def badges(cells: Sequence[tuple[str, str, str]]) -> Html:
    """(label, status, extra text) badges in rows as wide as there is room."""
    look = (
        f"display:inline-block;color:{INK};border:1px solid {LINE};border-radius:4px;padding:2px 8px;margin:2px 4px 0 0"
    )
    shown = [element("span", f"{label} ", badge(status), more, style=look) for label, status, more in cells]
    return element("div", *shown, style="line-height:1.9")


def status_line(status: str, text: str) -> Html:
    """A badge with text next to it."""
    return element("div", badge(status), f" {text}", style=f"color:{INK};line-height:1.7;overflow-wrap:anywhere")


def heading(text: str) -> Html:
    """The title of a panel."""
    return element("h3", text, style=f"margin:0;color:{INK};overflow-wrap:anywhere")


def bounded(content: Html) -> Html:
    """HTML no wider than the panel: wider content scrolls or wraps inside it."""
    return element("div", content, style="width:0;min-width:100%")


def paragraph(text: str, *, pale: bool = False) -> Html:
    """Plain text; line breaks stay."""
    look = f"color:{PALE if pale else INK};line-height:1.45;margin:2px 0;white-space:pre-wrap;overflow-wrap:anywhere"
    return element("p", text, style=look)


def code(text: str, *, broken: bool = False) -> Html:
    """A command line or log, scrolled or wrapped (`broken`) if too long; easy to copy either way."""
    look = f"color:{INK};border:1px solid {LINE};border-radius:3px;padding:4px 8px;margin:2px 0;overflow-x:auto"
    font = "font-family:var(--jp-code-font-family, monospace);font-size:12px;line-height:1.45"
    font += ";white-space:pre-wrap;overflow-wrap:anywhere" if broken else ";white-space:pre"
    # A region that scrolls must be reachable by keyboard.
    return element("pre", text, tabindex="0", style=f"{look};{font}")


def table(rows: Sequence[Sequence[str]], header: Sequence[str] = (), *, caption: str = "", whole: bool = False) -> Html:
    """A table of plain text; the first cell names its row.

    It scrolls if it is too wide. `whole`: only the last cell of a row may wrap, for numbers with a remark at the end.
    """
    cell = f"padding:2px 14px 2px 0;text-align:left;vertical-align:top;border-bottom:1px solid {LINE}"
    label = f"{cell};color:{PALE};font-weight:normal;white-space:nowrap"
    lines = []
    for name, *values in rows:
        looks = [f"{cell};overflow-wrap:anywhere"] * len(values)
        if whole:
            looks = [f"{cell};white-space:nowrap"] * (len(values) - 1) + [f"{cell};min-width:9em"]
        cells = [element("td", value, style=look) for look, value in zip(looks, values, strict=True)]
        lines.append(element("tr", element("th", name, scope="row", style=label), *cells))
    head = [element("th", text, scope="col", style=f"{label};font-weight:600") for text in header]
    look = f"color:{INK};border-collapse:collapse;line-height:1.45;font-size:13px"
    return _wide(plain_table(lines, head, _caption(caption), style=look))


def numbers(rows: Sequence[Sequence[str]], header: Sequence[str], *, caption: str = "") -> Html:
    """Like `table`, for many short cells with little markup; only the last cell of a row may wrap."""
    lines = []
    for name, *values, last in rows:
        remark = element("td", last, style="white-space:normal;min-width:14em" if len(last) > _LONG else "")
        cells = [element("td", value) for value in values]
        lines.append(element("tr", element("th", name, scope="row", style="font-weight:400"), *cells, remark))
    head = [element("th", text, scope="col") for text in header]
    look = f"color:{INK};border-color:{LINE};border-collapse:collapse;text-align:left;white-space:nowrap"
    look += ";line-height:1.35;font-size:13px"
    return _wide(plain_table(lines, head, _caption(caption), rules="rows", cellpadding="4", style=look))


def _caption(text: str) -> Html | None:
    look = f"text-align:left;font-weight:600;padding:8px 0 2px;color:{INK};caption-side:top"
    return element("caption", text, style=look) if text else None


def _wide(content: Html) -> Html:
    return element("div", content, style="overflow-x:auto", tabindex="0")


def image(png: bytes, words: str, width: int) -> Html:
    """An inline picture with alternative text."""
    data = base64.b64encode(png).decode()
    return element(
        "img", alt=words, src=f"data:image/png;base64,{data}", style=f"display:block;width:{width}px;max-width:100%"
    )


def folded(title: str, content: Html, *, opened: bool = False) -> Html:
    """HTML that opens and closes on a click or key."""
    summary = element("summary", title)
    return element("details", summary, content, open=opened, style=f"color:{INK};margin:4px 0")


def side_by_side(content: Iterable[Html]) -> Html:
    """Side by side, as many as fit."""
    cells = (element("div", part, style="min-width:0") for part in content)
    return element("div", *cells, style="display:flex;flex-wrap:wrap;column-gap:28px")


def bullets(lines: Sequence[str]) -> Html:
    """Plain texts as a list."""
    look = f"color:{INK};line-height:1.45;margin:2px 0;padding-left:22px;overflow-wrap:anywhere"
    return element("ul", *(element("li", printable(line)) for line in lines), style=look)


def status(text: str) -> Html:
    """What is being done, for eyes and screen readers; what it replaces is pale meanwhile, see `Work`."""
    look = f"color:{INK};line-height:1.45;margin:2px 0"
    return join(
        [element("style", Html(".fpnkit-old { opacity: 0.45 }")), element("p", text, role="status", style=look)]
    )


def failure(action: str, error: BaseException) -> Html:
    """What failed and why, and for internal errors where in the code."""
    title = element("b", f"✖ {action} failed", style=f"color:{ALARM}")
    if isinstance(error, FpnkitError):
        told = join((printable(line) for line in str(error).splitlines()), element("br"))
    else:
        frame = traceback.extract_tb(error.__traceback__)[-1:]
        where = f" ({os.path.basename(frame[0].filename)}, line {frame[0].lineno})" if frame else ""
        lines = "".join(traceback.format_exception(error))
        told = join([printable(f"{type(error).__name__}: {error}{where}"), folded("Traceback", code(lines))])
    return element("div", title, element("br"), told, role="alert", style=f"{_ALARMING};overflow-wrap:anywhere")


def problem(text: str) -> Html:
    """A problem with an input while it is being typed; nothing has failed yet."""
    lines = "\n".join(printable(line) for line in text.splitlines())
    look = f"{_ALARMING};white-space:pre-wrap;overflow-wrap:anywhere"
    return element("div", f"✖ {lines}", role="status", style=look)
