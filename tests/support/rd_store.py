"""Runs and anchors on disk as training and evaluation leave them, from detections of which the AP is known."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fpnkit.foundation import clock
from fpnkit.foundation.files import append_text, to_json, write_json, write_text
from fpnkit.metrics.bootstrap import map_interval
from fpnkit.metrics.matches import Matches, average_precision_of
from fpnkit.runs import layout
from fpnkit.runs.metrics import MetricsLine
from fpnkit.runs.record import Best, ConfigSummary, RunRecord, record_to_dict
from fpnkit.runs.results import IMAGES, MATCHES, SELF_MATCHES, Ceiling, CeilingSummary, ImageRow, Summary, write_summary

IMAGES_OF_SET = 100
PIXELS = 320 * 200  # in the mean: images are 120 and 520 wide in turns
START = datetime(2026, 12, 16, 14, tzinfo=UTC)
CEILING = 0.8


def matches_of(found: float, images: int = IMAGES_OF_SET) -> Matches:
    """One object an image; a share of them is found at all thresholds, nothing else: AP is that share (of 101 recalls).

    What a worse codec finds a better one finds as well, so that curves on these images are paired.
    """
    hit = np.random.default_rng(3).permutation(images)[: round(found * images)]
    return Matches(
        image=hit.astype(np.int32),
        category=np.ones(len(hit), np.int32),
        score=np.linspace(0.9, 0.3, len(hit), dtype=np.float32),
        matched=np.ones((10, len(hit)), np.bool_),
        ignored=np.zeros((10, len(hit)), np.bool_),
        objects=np.ones((images, 1), np.int32),
        categories=np.ones(1, np.int32),
    )


def ap_of(found: float) -> float:
    """Of `matches_of`: the share of COCO's 101 recalls that is reached."""
    recall = round(found * IMAGES_OF_SET) / IMAGES_OF_SET
    return sum(step <= recall for step in np.linspace(0, 1, 101).tolist()) / 101 if recall else 0.0


def write_evaluation(directory: Path, found: float, bpp: float, **changes: Any) -> Summary:
    """Everything that an evaluation leaves and a reader reads."""
    directory.mkdir(parents=True)
    matches = matches_of(found)
    matches.save(directory / MATCHES)
    matches_of(min(1.0, found / CEILING)).save(directory / SELF_MATCHES)
    sizes = np.random.default_rng(1).uniform(0.5, 1.5, IMAGES_OF_SET)
    sizes = np.round(sizes / sizes.sum() * bpp * PIXELS * IMAGES_OF_SET / 8).astype(int)
    sizes[0] += round(bpp * PIXELS * IMAGES_OF_SET / 8) - sizes.sum()
    for number, size in enumerate(sizes.tolist()):
        row = ImageRow(
            number + 1,
            120 + 400 * (number % 2),
            200,
            size,
            {"p3": 8 * size - 80},
            {"p3": 8.0 * size - 90},
            (),
            {},
            {},
            0.0,
            0.0,
        )
        append_text(directory / IMAGES, json.dumps(to_json(asdict(row))) + "\n")
    scores = average_precision_of(matches)
    values: dict[str, Any] = {
        "codec": "factorized",
        "dataset": "coco-val",
        "data_id": "d" * 16,
        "detector": "nanodet_m",
        "detector_id": "e" * 16,
        "images": IMAGES_OF_SET,
        "pixels": PIXELS * IMAGES_OF_SET,
        "bpp": 8 * int(sizes.sum()) / (PIXELS * IMAGES_OF_SET),
        "bpp_estimated": bpp * 0.99,
        "kb_per_image": sizes.sum() / IMAGES_OF_SET / 1000,
        "snr_db": {"p3": 6 + 4 * math.log10(bpp / 0.01), "p4": 8 + 4 * math.log10(bpp / 0.01)},
        "snr_variance": {"p3": 1.0, "p4": 1.0},
        "self_map": average_precision_of(matches_of(min(1.0, found / CEILING))).map,
        "encode_seconds": 0.01,
        "decode_seconds": 0.01,
        "peak_memory_mb": 500.0,
        "ceiling": Ceiling(ap_of(CEILING), ap_of(CEILING)),
        "map": scores.map,
        "map50": scores.map50,
        "map_interval": map_interval(matches, 60),
        "share_of_ceiling": (scores.map or 0.0) / ap_of(CEILING),
        "commit": "c0ffee",
        "created": "2026-12-16T15:00:00.000+00:00",
    }
    summary = Summary(**(values | changes))
    write_summary(directory, summary)
    return summary


def write_run(
    base_dir: Path,
    lmbda: float,
    found: float | None = None,
    bpp: float = 0.1,
    *,
    seed: int = 0,
    minute: int | None = None,
    losses: Sequence[float] = (1.0, 0.6, 0.5, 0.5, 0.5, 0.5),
    end: tuple[int, str] | None = (0, "finished"),
    evaluated_epoch: int | None = None,
    settings: Mapping[str, Any] | None = None,
    sweep: str | None = None,
    codec: str = "factorized",
    detector: str = "nanodet_m",
    **summary: Any,
) -> Path:
    """A run; evaluated where `found` is given. `end` None: its process is gone, on another machine it seems alive."""
    number = len(list(base_dir.glob("run_*"))) if minute is None else minute
    created = START + timedelta(minutes=number)
    path = base_dir / layout.run_name(created, lmbda, 1e-3, 4)
    path.mkdir(parents=True)
    lines = [validation(created, epoch, loss, bpp) for epoch, loss in enumerate(losses, start=1)]
    epochs = len(lines)
    record = RunRecord(
        id=path.name,
        name=path.name,
        kind="fpn_compression",
        created=clock.to_text(created),
        host="elsewhere",
        heartbeat=clock.to_text(clock.now()),
        started=clock.to_text(created),
        ended=clock.to_text(created + timedelta(minutes=9)) if end else None,
        exit_code=end[0] if end else None,
        exit_reason=end[1] if end else None,
        epoch=epochs,
        epochs=epochs,
        step=100 * epochs,
        config=ConfigSummary(lmbda, 1e-3, 4, codec, detector, "coco-train", seed),
        best=Best(epochs, losses[-1], layout.BEST_MODEL, {}) if lines else None,
        sweep=sweep,
    )
    write_json(path / layout.RUN_JSON, record_to_dict(record))
    write_text(path / layout.CONFIG_USED, yaml.safe_dump(_config(lmbda, seed, epochs, settings or {})))
    for line in lines:
        append_text(path / layout.METRICS, json.dumps(to_json(line.to_dict())) + "\n")
    if found is not None:
        dataset = summary.get("dataset", "coco-val")
        directory = path / layout.EVALUATION / dataset / f"{number:08x}"
        origin = {"run": path.name, "checkpoint": f"{number:08x}", "epoch": evaluated_epoch or epochs, "lmbda": lmbda}
        write_evaluation(directory, found, bpp, **(origin | {"codec": codec, "detector": detector} | summary))
    return path


def write_anchor(
    home: Path, codec: str, quality: float, found: float, bpp: float, key: str = "0123abcd", **summary: Any
) -> Path:
    """One quality of an anchor."""
    folder = home / "checkpoints" / "anchors" / "coco-val_nanodet_m" / key / codec / f"{quality:g}"
    no_estimate = {"bpp_estimated": None, "quality": quality, "codec": codec}
    write_evaluation(folder, found, bpp, **(no_estimate | summary))
    return folder


def write_ceiling(home: Path) -> Path:
    """With the matches on uncompressed features."""
    folder = home / "checkpoints" / "ceilings" / "coco-val_nanodet_m" / "0123abcd"
    folder.mkdir(parents=True)
    matches_of(CEILING).save(folder / MATCHES)
    ap = ap_of(CEILING)
    images, pixels = IMAGES_OF_SET, PIXELS * IMAGES_OF_SET
    summary = CeilingSummary("coco-val", "d" * 16, "nanodet_m", "e" * 16, images, pixels, ap, ap, {"p3": 1.0})
    write_json(folder / layout.SUMMARY, asdict(summary))
    return folder


def validation(created: datetime, epoch: int, loss: float, bpp: float) -> MetricsLine:
    """What an epoch writes to metrics.jsonl."""
    return MetricsLine(
        time=clock.to_text(created + timedelta(minutes=epoch)),
        split="val",
        epoch=epoch,
        step=100 * epoch,
        loss=loss,
        bpp_estimated=bpp * (1 + 0.3 / epoch),
        snr_db={"p3": 6 - 3 / epoch, "p4": 8 - 3 / epoch},
    )


def _config(lmbda: float, seed: int, epochs: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {
        "task": "fpn_compression",
        "seed": seed,
        "detector": {"kind": "nanodet_m", "weights": "/data/nanodet_m.pth"},
        "data": {"train": {"kind": "coco", "images": "/data/train", "annotations": "/data/train.json"}},
        "codec": {"kind": "factorized", "channels": 64},
        "loss": {"lambda": lmbda},
        "training": {"epochs": 6},
    }
    for key, value in settings.items():
        section, _, name = key.partition(".")
        config[section] = {**config.get(section, {}), name: value} if name else value
    return config
