"""Figures of what the detector loses."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from fpnkit.analysis.drawing import Drawing
from fpnkit.analysis.parts import Tables
from fpnkit.analysis.statistics.objects import SIZES, lost_shares, score_bins
from fpnkit.analysis.statistics.sensitivity import suggested_weights
from fpnkit.errors import DataError
from fpnkit.plots import task as plots
from fpnkit.plots.panels import figure_of, legend_below, new_panels

TASK, SENSITIVITY = "Objects", "Sensitivity"


def task_drawings(tables: Tables, threshold: float) -> list[Drawing]:
    """From the tables of `compute.codec_tables`."""
    own = tables["objects"][tables["objects"]["truth"] == "detector"]
    by_size = lost_shares(own, "size")
    by_size = by_size.sort_values("size", key=lambda names: names.map(SIZES.index), ignore_index=True)
    by_score, by_category = score_bins(own, threshold), lost_shares(own, "category")
    both = pd.concat(
        [part.rename(columns={part.columns[0]: "group"}).assign(by=part.columns[0]) for part in (by_size, by_score)]
    )
    return [
        Drawing(
            "lost_by_size_and_score",
            TASK,
            "Which objects are lost first.",
            f"Share of what is detected in uncompressed features (score of at least {threshold:g}) that is not any "
            "more, with 95 % intervals and the number of objects; sizes are COCO's.",
            both,
            lambda: _lost(by_size, by_score),
        ),
        Drawing(
            "lost_by_category",
            TASK,
            "Which classes are lost first.",
            "As before, by class; the classes with most objects.",
            by_category,
            lambda: figure_of(plots.plot_lost(by_category, "category")),
        ),
        Drawing(
            "scores",
            TASK,
            "How sure the detector still is.",
            "Each dot is an object: below the dashed line its score fell, below the solid one it is lost, "
            "at 0 no box of its class is left in its place.",
            own,
            lambda: figure_of(plots.plot_scores(own, threshold)),
        ),
    ]


def sensitivity_drawings(
    sensitivity: pd.DataFrame, weights: pd.DataFrame | None, used: dict[str, float]
) -> list[Drawing]:
    """From the tables of `compute.sensitivity_tables`, joined."""
    result = [
        Drawing(
            "sensitivity",
            SENSITIVITY,
            "Which level the detector minds most.",
            "Gaussian noise on one level at a time: the level whose curve falls first deserves most bits.",
            sensitivity,
            lambda: _sensitivity(sensitivity),
        )
    ]
    if weights is not None:
        result.append(
            Drawing(
                "suggested_weights",
                SENSITIVITY,
                "Weights for the distortion.",
                "Bars: in proportion to what self-mAP loses per unit of standardised MSE; diamonds: as trained.",
                weights,
                lambda: figure_of(plots.plot_weights(weights, used)),
            )
        )
    return result


def clean_value(sensitivity: pd.DataFrame, metric: str) -> float:
    """Without noise."""
    return float(sensitivity.loc[sensitivity["snr_db"] == float("inf"), metric].iloc[0])


def weights_or_none(sensitivity: pd.DataFrame) -> pd.DataFrame | None:
    """None where noise does not matter, or nothing is detected that could be lost."""
    noisy = sensitivity[sensitivity["snr_db"] < float("inf")]
    try:
        return suggested_weights(noisy, clean_value(sensitivity, "self_map"))
    except DataError:
        return None


def _lost(by_size: pd.DataFrame, by_score: pd.DataFrame) -> Figure:
    axes = new_panels(2, 1, aspect=0.5)
    plots.plot_lost(by_size, "size", ax=axes[0])
    plots.plot_lost(by_score, "score_bin", ax=axes[1])
    return figure_of(axes[0])


def _sensitivity(sensitivity: pd.DataFrame) -> Figure:
    noisy = sensitivity[sensitivity["snr_db"] < float("inf")]
    shown = [metric for metric in plots.METRICS if sensitivity[metric].notna().all()]
    axes = new_panels(max(len(shown), 1), aspect=1.1 if len(shown) > 1 else 0.75)
    for ax, metric in zip(axes, shown, strict=False):
        plots.plot_sensitivity(noisy, clean_value(sensitivity, metric), metric, ax=ax, legend=False)
    legend_below(axes, 6)
    return figure_of(axes[0])
