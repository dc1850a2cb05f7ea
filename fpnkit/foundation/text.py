"""How numbers, times and names are written for people."""

import math
import os
from datetime import datetime

NOTHING = "-"


def number(value: float | None) -> str:
    """Four digits."""
    return NOTHING if value is None else f"{value:.4g}"


def percent(share: float | None, unit: str = "") -> str:
    """A share in percent, with one decimal."""
    return NOTHING if share is None else f"{100 * share:.1f}{unit}"


def rate(value: float | None) -> str:
    """A learning rate or lambda: `2.5e-4`."""
    if value is None:
        return NOTHING
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}" if exponent else mantissa


def duration(seconds: float | None) -> str:
    """`42s`, `12m34s`, `3h12m`, `5d03h`."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 48 * 3600:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def size(count: int | None) -> str:
    """Bytes in decimal units with two digits or more: `1.2 MB`, `340 kB`."""
    if count is None:
        return NOTHING
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}" if unit != "B" and value < 9.95 else f"{value:.0f} {unit}"


def date(time: datetime | None) -> str:
    """Local time to the minute."""
    return NOTHING if time is None else f"{time.astimezone():%Y-%m-%d %H:%M}"


def printable(text: str | os.PathLike[str]) -> str:
    """The text on one line, without control characters."""
    whole = str(text)
    if whole.isprintable():  # nearly always, and a list of runs asks thousands of times
        return whole
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in whole)


def width(text: str) -> int:
    """Columns that a terminal needs for it: two for each East Asian character."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def cut(text: str, columns: int) -> str:
    """Cut the text to a width, with an ellipsis if something is missing."""
    return text if width(text) <= columns else f"{chunks(text, columns - 1)[0]}…"


def chunks(text: str, columns: int) -> list[str]:
    """Split the text into pieces of at most this width."""
    pieces = [""]
    for character in text:
        if pieces[-1] and width(pieces[-1] + character) > columns:
            pieces.append("")
        pieces[-1] += character
    return pieces
