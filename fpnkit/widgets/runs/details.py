"""One run in full, as HTML."""

from collections.abc import Sequence
from pathlib import Path

from fpnkit.runs.details import Section, run_details
from fpnkit.runs.store import run_info
from fpnkit.widgets.common import html

_FOLDED = ("Files", "Source", "Environment")  # seldom asked for


def details_html(run_dir: Path) -> str:
    """Everything that `--show-details` prints. Raises RunError if it is no run any more."""
    about, *others = run_details(run_dir)
    status = run_info(run_dir).status
    parts = [f'<div style="margin:4px 0">{html.badge(status)}</div>', html.table(about.rows, caption=about.title)]
    folded = [section for section in others if section.title in _FOLDED]
    shown = [section for section in others if section not in folded and section.title != "Commands"]
    parts.append(_side_by_side(shown))
    parts += [_commands(section) for section in others if section.title == "Commands"]
    parts += [html.folded(section.title, html.table(section.rows)) for section in folded]
    return html.bounded("".join(parts))


def _commands(section: Section) -> str:
    return "".join(html.paragraph(label, pale=True) + html.code(value) for label, value in section.rows)


def _side_by_side(sections: Sequence[Section]) -> str:
    """As many columns as there is room for."""
    tables = "".join(
        f'<div style="min-width:0">{html.table(section.rows, caption=section.title)}</div>' for section in sections
    )
    return f'<div style="display:flex;flex-wrap:wrap;column-gap:28px">{tables}</div>'
