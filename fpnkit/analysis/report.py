"""The analysis of one codec: tables, figures, page."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

import fpnkit
from fpnkit.analysis import compute
from fpnkit.analysis import examples as shown
from fpnkit.analysis.figures import all_shared, report_figures, sensitivity_figures
from fpnkit.analysis.page import write_page
from fpnkit.analysis.parts import Parts, Tables
from fpnkit.analysis.statistics.epochs import epochs_table
from fpnkit.analysis.statistics.sensitivity import weights_or_none, weights_yaml
from fpnkit.analysis.subject import Subject, feature_facts
from fpnkit.foundation.files import make_directory, write_text
from fpnkit.foundation.lock import used
from fpnkit.foundation.temporaries import remove_temporaries
from fpnkit.metrics.distortion import level_weights
from fpnkit.plots.save import save_all
from fpnkit.runs import layout
from fpnkit.runs.metrics import read_metrics
from fpnkit.runs.provenance import describe_commit

log = logging.getLogger(__name__)

INDEX = "index.html"
WEIGHTS = "suggested_weights.yaml"


def default_directory(run: Path, lmbda: float, split: str) -> Path:
    """A directory in the run, named by lambda, and by the split unless it is the usual one."""
    suffix = "" if split == "val" else f"_{split}"
    return run / layout.FPN_ANALYSIS / f"lambda_{lmbda:.2e}{suffix}"


@dataclass(frozen=True)
class AnalysisResult:
    """The results of an analysis and where they are."""

    directory: Path
    tables: Tables
    weights: pd.DataFrame | None  # that the sensitivity suggests


def analyze(
    subject: Subject, directory: Path, *, sensitivity: bool = False, small: bool = False, dark: bool = False
) -> AnalysisResult:
    """Fill the directory, reusing tables that were computed from the same facts.

    `small`: only what differs between codecs, one image in detail, figures as PNG only. Raises `RunError` if the run is
    being moved away.
    """
    with used(subject.run):
        return _analyze(subject, directory, sensitivity=sensitivity, small=small, dark=dark)


def _analyze(subject: Subject, directory: Path, *, sensitivity: bool, small: bool, dark: bool) -> AnalysisResult:
    make_directory(directory)
    remove_temporaries(directory)
    parts = Parts(directory)
    tables = {} if small else parts.get("features", _scaled_facts(subject), lambda: compute.feature_tables(subject))
    tables |= parts.get("codec", subject.facts, lambda: compute.codec_tables(subject))
    chosen = shown.choose(tables["objects"], tables["image_bits"], 1 if small else shown.COUNT)
    facts = {**subject.facts, "shown": chosen, "mosaics": not small}
    tables |= parts.get(
        "shown", facts, lambda: shown.shown_tables(subject, chosen, tables["image_bits"], directory, mosaics=not small)
    )
    noise = _sensitivity(subject, parts, compute_missing=sensitivity)
    weights = None if noise is None else weights_or_none(noise)
    epochs = epochs_table(read_metrics(subject.run / layout.METRICS))
    drawings = report_figures(tables, epochs, shown.read_photos(directory, tables["shown"]))
    if noise is not None:
        drawings += sensitivity_figures(noise, weights, _trained_weights(subject))
    log.info("drawing %d figures", len(drawings))
    formats = ("png",) if small else ("png", "pdf")
    save_all(drawings, directory, {**_source(subject), "validations": len(epochs)}, dark=dark, formats=formats)
    notes = _notes(directory, weights)
    title = f"Analysis of {subject.run.name}"
    write_page(directory / INDEX, title, _facts(subject, tables), drawings, dark=dark, formats=formats, notes=notes)
    return AnalysisResult(directory, tables, weights)


def _scaled_facts(subject: Subject) -> Mapping[str, object]:
    """Facts about the features and about the scale of histograms, which is the codec's calibration."""
    scale = subject.trained.codec.standardiser
    return {**feature_facts(subject.bench), "scale": [scale.mean.tolist(), scale.deviation.tolist()]}


def _sensitivity(subject: Subject, parts: Parts, *, compute_missing: bool) -> pd.DataFrame | None:
    """The sensitivity of all levels, from disk; missing ones are computed only on request."""
    facts = {**feature_facts(subject.bench), "seed": subject.trained.config.seed}
    scale = subject.trained.codec.standardiser.deviation.tolist()
    uncompressed = functools.cache(lambda: compute.uncompressed_of(subject.bench))
    result = []
    for level, deviation in zip(subject.trained.codec.spec.names, scale, strict=True):
        part, known = f"sensitivity_{level}", {**facts, "deviation": deviation}
        tables = parts.known(part, known)
        if tables is None:
            if not compute_missing:
                return None
            make = functools.partial(compute.sensitivity_tables, subject, level)
            tables = parts.get(part, known, lambda make=make: make(uncompressed()))  # type: ignore[misc]
        result.append(tables[part])
    return pd.concat(result, ignore_index=True)


def _trained_weights(subject: Subject) -> Mapping[str, float]:
    return level_weights(subject.trained.config.loss.weights, subject.trained.codec.spec)


def _notes(directory: Path, weights: pd.DataFrame | None) -> list[tuple[str, str]]:
    if weights is None:
        (directory / WEIGHTS).unlink(missing_ok=True)
        return []
    text = weights_yaml(weights)
    write_text(directory / WEIGHTS, text)
    return [("Level weights that the sensitivity suggests, for a config", text)]


def _source(subject: Subject) -> dict[str, object]:
    bench = subject.bench
    return {
        "run": subject.run.name,
        "checkpoint": subject.trained.hash,
        "epoch": subject.trained.epoch,
        "lmbda": subject.lmbda,
        **({} if subject.quality is None else {"quality": subject.quality}),
        "dataset": bench.images.name,
        "images": len(bench.indices),
        "images_id": bench.images_id,
        "detector": bench.detector.name,
        "commit": describe_commit(),
        "version": fpnkit.__version__,
    }


def _facts(subject: Subject, tables: Tables) -> dict[str, str]:
    """Facts for the top of the page."""
    bench, config = subject.bench, subject.trained.config
    bits, loss = tables["image_bits"], tables["level_loss"]
    pixels = bits.drop_duplicates("image")["pixels"].sum()
    payload, estimate = bits["payload_bits"].sum() / pixels, bits["estimated_bits"].sum() / pixels
    quality = "" if subject.quality is None else f"quality {subject.quality:g}, "
    facts = {
        "run": str(subject.run),
        "codec": f"{config.codec.kind}, {quality}lambda {subject.lmbda:.2e}, "
        f"best model of epoch {subject.trained.epoch}, hash {subject.trained.hash}",
        "detector": bench.detector.name,
        "images": f"{len(bench.indices)} of {len(bench.images)} in {bench.images.name} ({bench.split})",
        "rate": f"{payload:.4f} bpp of payload, {estimate:.4f} bpp estimated",
        "SNR": ", ".join(f"{level} {snr:.1f} dB" for level, snr in zip(loss["level"], loss["snr_db"], strict=True)),
    }
    before, after = (tables["task"].set_index("features").loc[name] for name in ("uncompressed", "decoded"))
    if pd.notna(before["map"]):
        facts["mAP"] = f"{100 * after['map']:.1f} %, {100 * before['map']:.1f} % on uncompressed features"
    if pd.notna(after["self_map"]):
        facts["self-mAP"] = f"{100 * after['self_map']:.1f} %"
    missing = []
    if all_shared(bits):
        missing.append("bits of each level: all levels share one payload")
    if "latent_channels" not in tables:
        missing.append(f"figures of latents: {config.codec.kind} does not show them for each level")
    return facts | ({"left out": "; ".join(missing)} if missing else {})
