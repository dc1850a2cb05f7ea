"""The files of an evaluation, read without torch.

    <directory>/summary.json         written last: its presence means the evaluation is complete
    <directory>/images.jsonl         a line per image, appended while it runs
    <directory>/detections.json      COCO results format
    <directory>/matches.npz          detections matched to the labeled objects, for resampling (`map`, `map50`)
    <directory>/mask_matches.npz     the same of masks (`mask_map`), where detector and set have them
    <directory>/keypoint_matches.npz the same of keypoints (`keypoint_map`)
    <directory>/self_matches.npz     the same against the detections on uncompressed features (`self_map`)
    <directory>/streams/             the coded files

The directory is evaluation/<dataset>/<checkpoint hash>[/q<quality>[_s<search steps>]] of a run, or
checkpoints/anchors/<dataset>_<detector>/<key>/<codec>/<quality>, or checkpoints/ceilings/<dataset>_<detector>/<key>.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from fpnkit.foundation.files import write_json
from fpnkit.foundation.records import parse_record, read_record
from fpnkit.runs import layout

SCHEMA_VERSION = 1
IMAGES = "images.jsonl"
DETECTIONS = "detections.json"
MATCHES = "matches.npz"
SELF_MATCHES = "self_matches.npz"
STREAMS = "streams"
Part = Literal["mask", "keypoint"]  # of an object besides its box; its AP is `<part>_map`
PARTS: tuple[Part, ...] = get_args(Part)
FEWEST_IMAGES = 20  # for an interval: resampling fewer says less about other images than it seems to
NO_INTERVAL = f"fewer than {FEWEST_IMAGES} images: no interval"


def part_matches(part: Part) -> str:
    """Name of the file with the matches of a part."""
    return f"{part}_{MATCHES}"


@dataclass(frozen=True)
class ImageRow:
    """One image; a line of images.jsonl."""

    image: int  # the data set's id
    width: int  # of the original image, in pixels
    height: int
    bytes: int  # of the file on disk
    bits_level: Mapping[str, int]  # payloads by level; `shared`: of those that serve several
    bits_estimated: Mapping[str, float]  # by the entropy model
    flagged: tuple[str, ...]  # levels whose payload is further from the estimate than 1 % + 8 bytes
    mse: Mapping[str, float]  # of each level, in the detector's units squared
    snr_db: Mapping[str, float]  # of each level, by the summary's `snr_variance`
    encode_seconds: float  # beside what other workers measure: longer than alone
    decode_seconds: float

    @property
    def pixels(self) -> int:
        """Of the original image."""
        return self.width * self.height


@dataclass(frozen=True)
class Ceiling:
    """The metrics with uncompressed features."""

    map: float | None
    map50: float | None
    mask_map: float | None = None
    keypoint_map: float | None = None


@dataclass(frozen=True)
class MatchedCategory:
    """A category of the data set and what the detector calls it."""

    id: int  # the data set's
    name: str
    class_id: int | None  # the detector's; None: left out
    class_name: str | None = None  # None: left out, or the detector's classes have no names


@dataclass(frozen=True)
class Matching:
    """How the categories of a data set were matched with the detector's classes; those without boxes are not there."""

    by: Literal["name", "id"]  # by id only where the detector's classes have no names
    categories: tuple[MatchedCategory, ...]

    @property
    def ids(self) -> Mapping[int, int | None]:
        """The set's category id → the detector's."""
        return {each.id: each.class_id for each in self.categories}

    @property
    def changes(self) -> bool:
        """Whether labels mean something else than their ids say."""
        return any(each.id != each.class_id for each in self.categories)

    def describe(self) -> str:
        """One line."""
        if self.by == "id":
            return "matched with the detector's classes by id, since these have no names"
        known = [each for each in self.categories if each.class_id is not None]
        renamed = [f"{each.name} is {each.class_name}" for each in known if each.name != each.class_name]
        unknown = [each.name for each in self.categories if each.class_id is None]
        parts = [f"{len(known)} of {len(self.categories)} categories matched with the detector's classes by name"]
        parts += [", ".join(renamed)] if renamed else []
        parts += [f"left out: {', '.join(unknown)}"] if unknown else []
        return "; ".join(parts)


@dataclass(frozen=True)
class Summary:
    """One codec at one rate on one data set; `None` if not measured or not applicable.

    `snr_variance` is the model's reference variance, as in training; for an anchor, which has no model, the variance of
    the features over the evaluated images, from the ceiling's summary.
    """

    codec: str  # name of the curve
    dataset: str
    data_id: str  # 16 hex: pixels, boxes and order of the images
    detector: str
    detector_id: str  # 16 hex: of the detector's fingerprint
    images: int
    pixels: int
    bpp: float  # of the files' bytes
    kb_per_image: float  # 1000 bytes
    snr_db: Mapping[str, float]
    self_map: float | None
    encode_seconds: float  # mean of an image: pyramid or image → bytes; with all cores at work longer than alone
    decode_seconds: float  # mean of an image: bytes → pyramid or image
    peak_memory_mb: float  # resident, of the largest process that measured
    ceiling: Ceiling
    map: float | None = None
    map50: float | None = None
    map_interval: tuple[float, float] | None = None  # 95 %, bootstrap over images; None: too few
    self_map_interval: tuple[float, float] | None = None
    share_of_ceiling: float | None = None  # map over ceiling map; None where nothing is labeled
    mask_map: float | None = None  # AP@[.50:.95] by the overlap of masks; None: the detector or the set has none
    mask_map_interval: tuple[float, float] | None = None
    mask_share_of_ceiling: float | None = None
    keypoint_map: float | None = None  # AP@[.50:.95] by COCO's similarity of keypoints
    keypoint_map_interval: tuple[float, float] | None = None
    keypoint_share_of_ceiling: float | None = None
    bpp_estimated: float | None = None
    bpp_level: Mapping[str, float] | None = None  # payloads by level; `shared`: of those that serve several
    bpp_header: float | None = None  # all of the file that is no payload
    flagged_images: int = 0  # with a level further from its estimate than 1 % + 8 bytes
    run: str | None = None  # name of the run
    checkpoint: str | None = None  # 8 hex
    epoch: int | None = None  # of the checkpoint
    lmbda: float | None = None
    quality: float | None = None  # on the codec's own scale; None: it has one rate
    search_steps: int | None = None  # by which the encoder moved latents; None: it did not search
    encoder: str | None = None  # of an anchor: libraries, versions, settings; None: from before it was noted
    snr_variance: Mapping[str, float] | None = None  # of each level; None: made before it was noted
    labels: Matching | None = None  # None: nothing is labeled, or made before it was noted
    device: str | None = None  # cpu, cuda or mps; None: cpu, from before it was noted
    commit: str | None = None
    created: str | None = None
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class CeilingSummary:
    """Detection on uncompressed features, saved with its matches."""

    dataset: str
    data_id: str
    detector: str
    detector_id: str
    images: int
    pixels: int
    map: float | None
    map50: float | None
    variance: Mapping[str, float]  # of each level, what its SNR is measured by
    mask_map: float | None = None
    keypoint_map: float | None = None
    created: str | None = None
    commit: str | None = None
    schema_version: int = SCHEMA_VERSION


def write_summary(directory: Path, summary: Summary) -> None:
    """Atomically."""
    write_json(directory / layout.SUMMARY, asdict(summary))


def read_summary(directory: Path | str) -> Summary:
    """Drops intervals from too few images, which older versions wrote. Raises RunError, see `records.read_record`."""
    summary = read_record(os.path.join(directory, layout.SUMMARY), Summary, SCHEMA_VERSION)
    return summary if summary.images >= FEWEST_IMAGES else replace(summary, map_interval=None, self_map_interval=None)


def read_ceiling(directory: Path) -> CeilingSummary:
    """Raises RunError, see `records.read_record`."""
    return read_record(directory / layout.SUMMARY, CeilingSummary, SCHEMA_VERSION)


def read_images(directory: Path) -> list[ImageRow]:
    """Rows of images.jsonl in the order of the data set; a torn last line is left out."""
    try:
        lines = (directory / IMAGES).read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    return [parse_record(line, ImageRow) for line in lines[:-1]]  # after the last newline: empty or torn


def image_row(values: Mapping[str, Any]) -> ImageRow:
    """From a line of images.jsonl. Raises `msgspec.ValidationError`."""
    return msgspec.convert(values, ImageRow)
