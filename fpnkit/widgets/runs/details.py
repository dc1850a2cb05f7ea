"""One run in full, as HTML."""

from pathlib import Path

from fpnkit.foundation.html import Html, element, join
from fpnkit.runs.details import DetailSection, run_details
from fpnkit.runs.store import run_info
from fpnkit.widgets.common import html

_FOLDED = ("Files", "Source", "Environment")  # seldom asked for


def details_html(run_dir: Path) -> Html:
    """Everything that `--show-details` prints. Raises RunError if it is not a run any more."""
    about, *others = run_details(run_dir)
    status = run_info(run_dir).status
    parts = [element("div", html.badge(status), style="margin:4px 0"), html.table(about.rows, caption=about.title)]
    folded = [section for section in others if section.title in _FOLDED]
    shown = [section for section in others if section not in folded and section.title != "Commands"]
    parts.append(html.side_by_side(html.table(section.rows, caption=section.title) for section in shown))
    parts += [_commands(section) for section in others if section.title == "Commands"]
    parts += [html.folded(section.title, html.table(section.rows)) for section in folded]
    return html.bounded(join(parts))


def _commands(section: DetailSection) -> Html:
    return join(part for label, value in section.rows for part in (html.paragraph(label, pale=True), html.code(value)))
