"""Several codecs side by side: figures and page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fpnkit.analysis.compute import codec_tables
from fpnkit.analysis.figures import comparison_figures
from fpnkit.analysis.page import write_page
from fpnkit.analysis.parts import Tables
from fpnkit.analysis.report import INDEX, AnalysisResult
from fpnkit.analysis.statistics.across import Entry, losses, rates, task
from fpnkit.analysis.subject import Subject, load_subjects
from fpnkit.errors import RunError
from fpnkit.plots.save import save_all
from fpnkit.runs.provenance import describe_commit
from fpnkit.runs.trained import find_candidates


def compare(subjects: Sequence[Subject], analyzed: Sequence[AnalysisResult], directory: Path, *, dark: bool) -> None:
    """Write the comparison of several codecs on the same images into the directory."""
    entries = [_entry(subject, each.tables) for subject, each in zip(subjects, analyzed, strict=True)]
    drawings = comparison_figures(rates(entries), losses(entries), task(entries))
    bench = subjects[0].bench
    names = [subject.run.name for subject in subjects]
    source = {"runs": names, "checkpoints": [subject.trained.hash for subject in subjects], "commit": describe_commit()}
    formats = ("png", "pdf")
    save_all(drawings, directory, source, dark=dark, formats=formats)
    facts = {
        "runs": ", ".join(names),
        "detector": bench.detector.name,
        "images": f"{len(bench.indices)} of {len(bench.images)} in {bench.images.name} ({bench.split})",
    }
    write_page(directory / INDEX, f"Comparison of {len(names)} codecs", facts, drawings, dark=dark, formats=formats)


def entries_of(
    runs: Sequence[Path | str], split: str = "val", count: int = 20, quality: float | None = None
) -> list[Entry]:
    """What each codec does to the same images. Computed afresh and not saved; for notebooks.

    `quality`: of codecs of several rates (default: the middle of the curve).

    Raises FpnkitError if a run is missing, has no model, or differs in detector or data.
    """
    if not runs:
        raise RunError("runs to compare: required at least one, found none")
    candidates = find_candidates([str(run) for run in runs], None, (), ())
    return [_entry(subject, codec_tables(subject)) for subject in load_subjects(candidates, split, count, quality)]


def _entry(subject: Subject, tables: Tables) -> Entry:
    return Entry(subject.run.name, subject.trained.config.codec.kind, subject.lmbda, tables)
