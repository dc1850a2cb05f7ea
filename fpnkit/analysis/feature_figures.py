"""Figures of the uncompressed features."""

from __future__ import annotations

from matplotlib.figure import Figure

from fpnkit.analysis.drawing import Drawing
from fpnkit.analysis.parts import Tables
from fpnkit.plots import features as plots
from fpnkit.plots.panels import figure_of, levels_of, new_panels

SECTION = "Features"


def feature_drawings(tables: Tables) -> list[Drawing]:
    """From the tables of `compute.feature_tables`."""
    channels, eigenvalues, relations = tables["channels"], tables["eigenvalues"], tables["level_relations"]
    return [
        Drawing(
            "channel_statistics",
            SECTION,
            "What channels look like.",
            "One box a level over its channels: boxes far apart mean that levels need scales of their own, "
            "long boxes that channels do.",
            channels,
            lambda: _channel_statistics(tables),
        ),
        Drawing(
            "channel_energy",
            SECTION,
            "How unequal channels are.",
            "The further a curve bulges above the dashed line, the fewer channels hold the energy.",
            channels[["level", "channel", "energy_share"]],
            lambda: figure_of(plots.plot_energy(channels)),
        ),
        Drawing(
            "eigenvalues",
            SECTION,
            "How many dimensions channels span.",
            "A curve that reaches 95 % early belongs to a level whose channels a linear transform could pack.",
            eigenvalues,
            lambda: figure_of(plots.plot_eigenvalues(eigenvalues)),
        ),
        Drawing(
            "histogram",
            SECTION,
            "How values are spread.",
            "Bars that stay above the dotted Gaussian far out are heavy tails; the legend says how many bits a value "
            "the wrong model would cost.",
            tables["histogram"],
            lambda: _histograms(tables),
        ),
        Drawing(
            "channel_correlation",
            SECTION,
            "Which channels go together.",
            "Strong colours off the diagonal are channels that tell the same (or the opposite) twice.",
            tables["correlations"],
            lambda: _correlations(tables),
        ),
        Drawing(
            "level_relations",
            SECTION,
            "What levels know of each other.",
            "Left: do two levels respond in the same places; right: which part of the target's variance a linear "
            "function of the source explains on other images, which a codec that joins levels could save.",
            relations,
            lambda: _relations(tables),
        ),
        Drawing(
            "spectrum",
            SECTION,
            "How smooth features are.",
            "The faster a curve falls, the better fewer and coarser latents serve the level; a flat one is like noise.",
            tables["spectrum"],
            lambda: figure_of(plots.plot_spectrum(tables["spectrum"])),
        ),
    ]


def _channel_statistics(tables: Tables) -> Figure:
    axes = new_panels(4, aspect=0.85)
    for ax, column in zip(axes, ("mean", "deviation", "excess_kurtosis", "sparsity"), strict=True):
        plots.plot_channel_statistic(tables["channels"], column, ax=ax)
    return figure_of(axes[0])


def _histograms(tables: Tables) -> Figure:
    histogram = tables["histogram"]
    names = levels_of(tables["histogram_fits"])
    axes = new_panels(len(names), aspect=0.9)
    for ax, level in zip(axes, names, strict=True):
        plots.plot_histogram(histogram, tables["histogram_fits"], level, ax=ax)
    return figure_of(axes[0])


def _correlations(tables: Tables) -> Figure:
    names = levels_of(tables["correlations"])
    axes = new_panels(len(names), aspect=1.05)
    for ax, level in zip(axes, names, strict=True):
        plots.plot_correlation(tables["correlations"], level, ax=ax, bar=False)
    figure = figure_of(axes[0])
    figure.colorbar(axes[0].images[0], ax=axes, label="correlation", location="bottom", fraction=0.04, aspect=40)
    return figure


def _relations(tables: Tables) -> Figure:
    axes = new_panels(2, aspect=1.25)
    for ax, column in zip(axes, plots.RELATIONS, strict=True):
        plots.plot_level_relations(tables["level_relations"], column, ax=ax)
    return figure_of(axes[0])
