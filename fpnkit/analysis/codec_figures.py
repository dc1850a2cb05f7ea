"""Figures of what the codec spends and loses."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from fpnkit.analysis.drawing import Drawing
from fpnkit.analysis.parts import Tables
from fpnkit.plots import bits as plots
from fpnkit.plots.features import plot_channel_statistic, plot_snr_by_frequency
from fpnkit.plots.panels import figure_of, legend_below, levels_of, new_panels

BITS, LOSS = "Bits", "Losses"


def bits_drawings(tables: Tables, epochs: pd.DataFrame) -> list[Drawing]:
    """From the tables of `compute.codec_tables` and the run's metrics."""
    bits = tables["image_bits"]
    return [
        Drawing(
            "bits_per_level",
            BITS,
            "Where the bits go.",
            "Bars are real payloads, diamonds what the entropy model promised; percentages are shares of all payload.",
            bits,
            lambda: figure_of(plots.plot_bits_per_level(bits)),
        ),
        *(_latent_drawings(tables) if "latent_channels" in tables else []),
        Drawing(
            "rate_gap",
            BITS,
            "Estimate against bytes.",
            "Each dot is one level of one image; real payloads end on whole bytes and carry the coder's state, "
            "so that small ones lie a few bytes above 0.",
            bits,
            lambda: figure_of(plots.plot_rate_gap(bits)),
        ),
        Drawing(
            "epochs",
            BITS,
            "How it came about.",
            "Rate and SNR of each level in validation: where curves cross, training moved bits from level to level.",
            epochs,
            lambda: _epochs(epochs),
        ),
    ]


def _latent_drawings(tables: Tables) -> list[Drawing]:
    latents = tables["latent_channels"]
    return [
        Drawing(
            "bits_per_channel",
            BITS,
            "Which latent channels cost.",
            "A curve that drops to the floor has channels that carry nothing; the codec could be narrower there.",
            latents,
            lambda: figure_of(plots.plot_bits_per_channel(latents)),
        ),
        Drawing(
            "latent_histogram",
            BITS,
            "What is coded, and what was expected.",
            "Bars above the line are symbols that the learned density did not expect, each of which costs extra bits.",
            tables["latent_histogram"],
            lambda: _latent_histograms(tables),
        ),
        Drawing(
            "density_gap",
            BITS,
            "How well the densities fit.",
            "A dot above the dashed line is a latent channel whose density wastes bits; the legend has each level's "
            "total. Few images make all entropies a little too small.",
            latents,
            lambda: figure_of(plots.plot_density_gap(latents)),
        ),
    ]


def loss_drawings(tables: Tables) -> list[Drawing]:
    """From the tables of `compute.codec_tables`, and of `compute.feature_tables` where they are there."""
    channels = tables["channel_loss"]
    result = [
        Drawing(
            "snr",
            LOSS,
            "What is left of each level.",
            "Diamonds are whole levels, boxes their channels: a channel at 0 dB is replaced by its mean.",
            channels,
            lambda: _snr(tables),
        )
    ]
    if "spectrum" in tables:
        result.append(_snr_by_frequency(tables["spectrum"], tables["error_spectrum"]))
    return result


def _snr_by_frequency(spectrum: pd.DataFrame, errors: pd.DataFrame) -> Drawing:
    return Drawing(
        "snr_by_frequency",
        LOSS,
        "Which detail is lost.",
        "Where a curve meets the dashed line, nothing of that spatial frequency arrives.",
        spectrum.merge(errors, on=["level", "frequency"], suffixes=("", "_error")),
        lambda: figure_of(plot_snr_by_frequency(spectrum, errors)),
    )


def _latent_histograms(tables: Tables) -> Figure:
    names = levels_of(tables["latent_histogram"])
    axes = new_panels(len(names), aspect=0.9)
    for ax, level in zip(axes, names, strict=True):
        plots.plot_latent_histogram(tables["latent_histogram"], level, ax=ax, legend=False)
    legend_below(axes)
    return figure_of(axes[0])


def _epochs(epochs: pd.DataFrame) -> Figure:
    axes = new_panels(2, aspect=1.0)
    for ax, column in zip(axes, plots.EPOCH_COLUMNS, strict=True):
        plots.plot_epochs(epochs, column, ax=ax, legend=False)
    legend_below(axes, 6)
    return figure_of(axes[0])


def _snr(tables: Tables) -> Figure:
    ax = plot_channel_statistic(tables["channel_loss"], "snr_db")
    return figure_of(plots.plot_snr_per_level(tables["level_loss"], ax=ax))
