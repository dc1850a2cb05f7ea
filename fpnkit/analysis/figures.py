"""The figures of a report, in the order of its page. A plot from `fpnkit.plots` is added with one line here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from fpnkit.analysis.parts import Tables
from fpnkit.analysis.statistics.objects import SIZES, lost_shares, score_bins
from fpnkit.container import SHARED
from fpnkit.metrics.detection import SELF_MAP_SCORE
from fpnkit.plots import across, bits, features, images, task
from fpnkit.plots.drawing import Drawing
from fpnkit.plots.maps import Photo


def report_figures(tables: Tables, epochs: pd.DataFrame, photos: Sequence[Photo]) -> list[Drawing]:
    """From the tables of one analysis; tables of uncompressed features or of latents may be missing."""
    return [
        *([] if all_shared(tables["image_bits"]) else [bits.plot_bits_per_level.of(tables["image_bits"])]),
        *(_of_latents(tables) if "latent_channels" in tables else []),
        bits.plot_rate_gap.of(tables["image_bits"]),
        bits.plot_rate_and_snr.of(epochs),
        bits.plot_snr_per_level.of(tables["channel_loss"], tables["level_loss"]),
        *(_spectrum_of_errors(tables) if "spectrum" in tables else []),
        *_of_objects(tables["objects"]),
        *(drawing for photo in photos for drawing in _of_image(tables, photo)),
        *_mosaics(tables, photos),
        *(_of_features(tables) if "channels" in tables else []),
    ]


def all_shared(image_bits: pd.DataFrame) -> bool:
    """Whether no level has bits of its own."""
    return set(image_bits["level"]) == {SHARED}


def sensitivity_figures(
    sensitivity: pd.DataFrame, weights: pd.DataFrame | None, used: Mapping[str, float]
) -> list[Drawing]:
    """`weights` suggested by the sensitivity are shown next to those `used`."""
    suggested = [] if weights is None else [task.plot_weights.of(weights, used)]
    return [task.plot_sensitivities.of(sensitivity), *suggested]


def comparison_figures(rates: pd.DataFrame, losses: pd.DataFrame, scores: pd.DataFrame) -> list[Drawing]:
    """Figures of several codecs, from the tables of `analysis.statistics.across`."""
    return [
        across.plot_bits_by_lambda.of(rates),
        across.plot_snr_by_rate.of(rates),
        *([across.plot_dead_by_rate.of(rates)] if "dead_share" in rates else []),
        across.plot_lost_by_rate.of(losses),
        across.plot_task_by_rate.of(scores),
    ]


def _of_latents(tables: Tables) -> list[Drawing]:
    return [
        bits.plot_bits_per_channel.of(tables["latent_channels"]),
        bits.plot_latent_histograms.of(tables["latent_histogram"]),
        bits.plot_density_gap.of(tables["latent_channels"]),
    ]


def _spectrum_of_errors(tables: Tables) -> list[Drawing]:
    spectra = tables["spectrum"].merge(tables["error_spectrum"], on=["level", "frequency"], suffixes=("", "_error"))
    return [features.plot_snr_by_frequency.of(spectra)]


def _of_objects(objects: pd.DataFrame) -> list[Drawing]:
    own = objects[objects["truth"] == "detector"]
    by_size = lost_shares(own, "size")
    by_size = by_size.sort_values("size", key=lambda names: names.map(SIZES.index), ignore_index=True)
    grouped = (by_size, score_bins(own, SELF_MAP_SCORE))
    both = pd.concat([part.rename(columns={part.columns[0]: "group"}).assign(by=part.columns[0]) for part in grouped])
    return [
        task.plot_lost_by_size_and_score.of(both, SELF_MAP_SCORE),
        task.plot_lost_by_category.of(lost_shares(own, "category")),
        task.plot_scores.of(own, SELF_MAP_SCORE),
    ]


def _of_image(tables: Tables, photo: Photo) -> list[Drawing]:
    bits_map = tables.get(f"bits_map_{photo.number}")
    return [
        images.plot_detections.of(photo, tables[f"boxes_{photo.number}"]),
        *([] if bits_map is None else [images.plot_bits_maps.of(photo, bits_map)]),
        images.plot_energy_maps.of(photo, tables[f"energy_map_{photo.number}"]),
    ]


def _mosaics(tables: Tables, photos: Sequence[Photo]) -> list[Drawing]:
    prefix = "mosaic_"
    names = [name.removeprefix(prefix) for name in tables if name.startswith(prefix)]
    return [images.plot_mosaics.of(tables[prefix + name], name, photos[0].image) for name in names]


def _of_features(tables: Tables) -> list[Drawing]:
    channels = tables["channels"]
    return [
        features.plot_channel_statistics.of(channels),
        features.plot_energy.of(channels[["level", "channel", "energy_share"]]),
        features.plot_eigenvalues.of(tables["eigenvalues"]),
        features.plot_histograms.of(tables["histogram"], tables["histogram_fits"]),
        features.plot_correlations.of(tables["correlations"]),
        features.plot_all_level_relations.of(tables["level_relations"]),
        features.plot_spectrum.of(tables["spectrum"]),
    ]
