"""HTML that is escaped exactly once: plain text is escaped, `Html` is not."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_WITHOUT_END = ("br", "img", "meta")


class Html(str):
    """Trusted markup. A plain string is text and will be escaped."""

    __slots__ = ()


def element(tag: str, *content: str, **attributes: str | bool) -> Html:
    """An element around text and `Html`. True attributes have no value; empty ones are left out."""
    shown = "".join(
        f" {name.rstrip('_')}" + ("" if value is True else f'="{escape(str(value))}"')
        for name, value in attributes.items()
        if value or name == "alt"
    )
    end = "" if tag in _WITHOUT_END else f"</{tag}>"
    return Html(f"<{tag}{shown}>{join(content)}{end}")


def join(parts: Iterable[str], between: str = "") -> Html:
    """Join text and `Html`."""
    return Html(between.join(part if isinstance(part, Html) else escape(part) for part in parts))


def pairs(rows: Iterable[tuple[str, str]], label: str = "th") -> Html:
    """Table rows with a name and a value each; `label` is the tag of the name."""
    return join((element("tr", element(label, name), element("td", value)) for name, value in rows), "\n")


def table(
    rows: Iterable[Html], header: Iterable[Html] = (), caption: Html | None = None, **attributes: str | bool
) -> Html:
    """A table with these rows; `header` has the cells of the first line."""
    cells = list(header)
    head = element("thead", element("tr", *cells)) if cells else ""
    return element("table", caption or "", head, element("tbody", *rows), **attributes)
