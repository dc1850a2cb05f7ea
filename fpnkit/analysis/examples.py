"""The images shown in detail: those in which the codec lost most objects."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from PIL import Image

from fpnkit.analysis.parts import FOLDER, Tables
from fpnkit.analysis.statistics import maps as shown
from fpnkit.analysis.subject import Subject
from fpnkit.data.files import read_rgb
from fpnkit.foundation.files import make_directory, write_bytes
from fpnkit.metrics.detection import SELF_MAP_SCORE
from fpnkit.plots.maps import Photo

COUNT = 3
_SIDE = 640  # pixels of the longer side of a photo for display


def choose(objects: pd.DataFrame, image_bits: pd.DataFrame, count: int = COUNT) -> list[int]:
    """Image ids, most lost objects first, then most objects, then in order."""
    own = objects[objects["truth"] == "detector"]
    ids = list(dict.fromkeys(image_bits["image"].tolist()))
    lost = own.groupby("image")["lost"].sum().reindex(ids, fill_value=0)
    total = own.groupby("image").size().reindex(ids, fill_value=0)
    return sorted(ids, key=lambda image: (-int(lost[image]), -int(total[image])))[:count]


@torch.no_grad()
def shown_tables(
    subject: Subject, image_ids: Sequence[int], image_bits: pd.DataFrame, directory: Path, *, mosaics: bool
) -> Tables:
    """Maps and boxes of each image, and channels of the first; photos are saved next to the tables."""
    order = list(dict.fromkeys(image_bits["image"].tolist()))
    indices = [subject.bench.indices[order.index(image)] for image in image_ids]
    make_directory(directory / FOLDER)
    rows: list[tuple[int, int, int, int]] = []
    tables: Tables = {}
    for number, (image, index) in enumerate(zip(image_ids, indices, strict=True), start=1):
        pixels = subject.bench.images[index].image
        tables |= _one(subject, pixels, index, number, mosaics and number == 1)
        _write_photo(directory / FOLDER / f"photo_{number}.png", pixels)
        rows.append((number, image, pixels.shape[2], pixels.shape[1]))
    return {"shown": pd.DataFrame(rows, columns=["number", "image", "width", "height"]), **tables}


def _one(subject: Subject, pixels: torch.Tensor, index: int, number: int, mosaics: bool) -> Tables:
    codec, bench = subject.trained.codec, subject.bench
    features = bench.cached(index)
    sent = subject.send(pixels, features)
    before, after, decoded = bench.detect(features), sent.detections, sent.features.pyramid
    tables = {
        f"energy_map_{number}": shown.energy_map(features.pyramid, decoded, codec.spec, features.geometry),
        f"boxes_{number}": shown.boxes(before, after, SELF_MAP_SCORE, bench.categories),
    }
    if (coded := subject.coded_latents(features)) is not None:
        tables[f"bits_map_{number}"] = shown.bits_map(coded, codec.spec, features.pyramid, features.geometry)
    if mosaics:
        for name, level in features.pyramid.items():
            tables[f"mosaic_{name}"] = shown.mosaic(level[0], decoded[name][0])
    return tables


def _write_photo(path: Path, pixels: torch.Tensor) -> None:
    buffer = io.BytesIO()
    thumbnail(pixels).save(buffer, "png")
    write_bytes(path, buffer.getvalue())


def thumbnail(pixels: torch.Tensor) -> Image.Image:
    """uint8 RGB (3, height, width), scaled down if it is larger than a figure needs."""
    image = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    image.thumbnail((_SIDE, _SIDE))
    return image


def read_photos(directory: Path, table: pd.DataFrame) -> list[Photo]:
    """As `shown_tables` left them. Raises `DataError` for what is no such image."""
    photos = []
    for number, image, width, height in table[["number", "image", "width", "height"]].to_numpy().tolist():
        pixels = read_rgb(directory / FOLDER / f"photo_{number}.png", upright=False).permute(1, 2, 0).numpy()
        photos.append(Photo(number, image, pixels, (height, width)))
    return photos
