"""Several codecs side by side: figures and page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from fpnkit.analysis.compute import codec_tables
from fpnkit.analysis.drawing import Drawing, save_all
from fpnkit.analysis.page import write_page
from fpnkit.analysis.parts import Tables
from fpnkit.analysis.report import INDEX, Analysis
from fpnkit.analysis.statistics.across import Entry, losses, rates, task
from fpnkit.analysis.subject import Subject, load_subjects
from fpnkit.errors import RunError
from fpnkit.plots import across as plots
from fpnkit.plots.panels import figure_of, new_panels, percent_ticks
from fpnkit.runs.provenance import describe_commit
from fpnkit.runs.trained import find_candidates

_SECTION = "Along the curve"


def compare(subjects: Sequence[Subject], analysed: Sequence[Analysis], directory: Path, *, dark: bool) -> None:
    """Fill the directory with what the analyses of codecs on one bench say together."""
    entries = [_entry(subject, each.tables) for subject, each in zip(subjects, analysed, strict=True)]
    drawings = across_drawings(entries)
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


def entries_of(runs: Sequence[Path | str], split: str = "val", count: int = 20) -> list[Entry]:
    """What each codec does to the same images, computed anew and not kept: for a notebook.

    Raises FpnkitError: no run, one without a model, runs of different detectors or data.
    """
    if not runs:
        raise RunError("runs to compare: required at least one, found none")
    candidates = find_candidates([str(run) for run in runs], None, (), ())
    return [_entry(subject, codec_tables(subject)) for subject in load_subjects(candidates, split, count)]


def _entry(subject: Subject, tables: Tables) -> Entry:
    config = subject.trained.config
    return Entry(subject.run.name, config.codec.kind, config.loss.lmbda, tables)


def across_drawings(entries: Sequence[Entry]) -> list[Drawing]:
    """From the tables of several analyses."""
    by_level, by_size, scores = rates(entries), losses(entries), task(entries)
    drawings = [
        Drawing(
            "bits_per_level",
            _SECTION,
            "Where the bits go at each lambda.",
            "Left in bpp of payload, right as shares: a colour that grows with lambda is where more bits go.",
            by_level,
            lambda: _stacked(entries),
        ),
        Drawing(
            "snr_per_level",
            _SECTION,
            "What each level gains.",
            "The steeper a curve, the more its level gains from more bits; a flat one has enough, or is starved.",
            by_level,
            lambda: figure_of(plots.plot_by_rate(by_level, "snr_db", "SNR (dB)")),
        ),
        Drawing(
            "dead_latents",
            _SECTION,
            "How much of each codec is idle.",
            "Share of latent channels that never change: where it is high, a narrower codec would do.",
            by_level,
            lambda: _dead(by_level),
        ),
        Drawing(
            "lost_objects",
            _SECTION,
            "Which objects are lost first.",
            "From right to left the rate falls: the curve that rises first belongs to the objects that are lost first.",
            by_size,
            lambda: figure_of(plots.plot_lost_by_rate(by_size)),
        ),
        Drawing(
            "task",
            _SECTION,
            "What it does to the task.",
            "Accuracy on these images; few images make it noisy, so a difference of a point or two may be chance.",
            scores,
            lambda: figure_of(plots.plot_task_by_rate(scores)),
        ),
    ]
    return [each for each in drawings if each.name != "dead_latents" or "dead_share" in by_level]


def _dead(by_level: pd.DataFrame) -> Figure:
    ax = plots.plot_by_rate(by_level, "dead_share", "dead latent channels")
    ax.set_ylim(-0.02, 1.02)
    percent_ticks(ax)
    return figure_of(ax)


def _stacked(entries: Sequence[Entry]) -> Figure:
    table = rates(entries)
    axes = new_panels(2, aspect=1.15)
    plots.plot_stacked_bits(table, ax=axes[0])
    plots.plot_stacked_bits(table, share=True, ax=axes[1])
    return figure_of(axes[0])
