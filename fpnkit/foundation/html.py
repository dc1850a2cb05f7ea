"""HTML that is escaped once: text is escaped where it goes into an element, and what is `Html` already is not."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_WITHOUT_END = ("br", "img", "meta")


class Html(str):
    """Markup that was made here. A plain string is text, which may come from anywhere."""

    __slots__ = ()


def element(tag: str, *content: str, **attributes: str | bool) -> Html:
    """A tag around text and `Html`. An attribute that is True stands there without a value, an empty one does not."""
    shown = "".join(
        f" {name.rstrip('_')}" + ("" if value is True else f'="{escape(str(value))}"')
        for name, value in attributes.items()
        if value or name == "alt"
    )
    end = "" if tag in _WITHOUT_END else f"</{tag}>"
    return Html(f"<{tag}{shown}>{join(content)}{end}")


def join(parts: Iterable[str], between: str = "") -> Html:
    """Text and `Html`, one after the other."""
    return Html(between.join(part if isinstance(part, Html) else escape(part) for part in parts))


def pairs(rows: Iterable[tuple[str, str]], label: str = "th") -> Html:
    """Rows of a table, a name and a value each; `label` is the tag of the name."""
    return join((element("tr", element(label, name), element("td", value)) for name, value in rows), "\n")


def table(
    rows: Iterable[Html], header: Iterable[Html] = (), caption: Html | None = None, **attributes: str | bool
) -> Html:
    """A table around its rows; `header` are the cells of its first line."""
    cells = list(header)
    head = element("thead", element("tr", *cells)) if cells else ""
    return element("table", caption or "", head, element("tbody", *rows), **attributes)
