"""The floor for a single task: the sender runs the whole detector, and sends what it found.

A file is the quality, one byte; the image's height and width, two varints; and the detections, best first, as symbols
whose frequencies were counted on training images and belong to both ends, like a codec's weights:

- the level of the score, given the level before, or the end. A level is 10 % wide.
- the class. One that the image has had before is more frequent.
- the width in steps of 1.6 %, counted from the image's, and how many steps more or fewer the height has.
- the place, evenly: as many as there are within the image at distances of 1.6 % of the box.

Measured on 343 training images of COCO with NanoDet-m, frequencies of one half for the other: with 18 places to a box's
length in place of 64 the curve ends at 96 % of the ceiling, in place of 99; 90 cost 5 % more bytes and gain nothing.
Nor do levels of 5 %. Frequencies of classes that do not adapt cost 2 to 6 % of the bytes.
"""

from __future__ import annotations

import bisect
import functools
import hashlib
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from fpnkit.anchors.ans import Table, Unpacker, pack
from fpnkit.anchors.fields import read_size
from fpnkit.codecs.coder import CodedImage, CoderInput, ReceivedDetections
from fpnkit.container import MAX_SIDE
from fpnkit.data.images import ImageSet
from fpnkit.detectors.base import Detections, Detector
from fpnkit.detectors.one_image import detections_in, features_of
from fpnkit.errors import StreamError, UserError
from fpnkit.foundation.varints import ByteReader, varints

LOWEST, HIGHEST = 1, 99  # quality: the lowest score that is sent, in percent
MOST_BOXES = 1000  # of an image, so that a broken file has an end

_IMAGES = 300
_PLACES = 64  # to a box's length; a step of its length is as long as their distance
_UNIT = 256  # lengths are whole numbers of 1/256 pixel
_LEVEL = 1.1  # from a level of scores to the next
_SEEN = 5  # an unseen symbol counts as a fifth of one that was seen once
_SPREAD = 12  # steps of length over which one that was seen counts, less and less
_REPEATED = 5  # a class that the image has had gains a fifth of all
_OTHER_LABELS = Table.even(2**32)  # for classes that no table knows

Size = tuple[int, int]  # (height, width) in pixels


@dataclass(frozen=True, eq=False)
class SeenBoxes:
    """Detections on training images, which the frequencies are counted from; equal to nothing but itself."""

    detections: Sequence[Detections]
    sizes: Sequence[Size]
    labels: tuple[int, ...]  # all that are known
    name: str  # of the images


@dataclass(frozen=True)
class _Span:
    """Where a box lies along one side of the image."""

    shorter: int  # than the side, in steps of length
    place: int


@dataclass(frozen=True)
class _Box:
    level: int
    label: int
    across: _Span
    down: _Span


class Boxes:
    """Implements `AnchorCoder`: boxes, classes and scores; masks and keypoints are not sent."""

    name = "boxes"
    suffix = ".boxes"

    def __init__(self, quality: int, seen: SeenBoxes) -> None:
        self._quality, self._seen = quality, seen

    @property
    def encoder(self) -> str:
        """The form of the file, and what its frequencies were counted on."""
        steps = f"{_PLACES} places, levels of {_LEVEL}"
        return f"boxes 1, {steps}, frequencies of {self._seen.name}"

    def encode(self, source: CoderInput) -> CodedImage:
        """Raises `UserError` without detections, or if they are not finite."""
        found = source.detections
        if found is None:
            raise UserError("boxes: required the detections on uncompressed features, found none")
        if not (found.boxes.isfinite().all() and found.scores.isfinite().all()):
            raise UserError("boxes: required finite boxes and scores, found NaN or infinity")
        size = (source.image.shape[1], source.image.shape[2])
        tables = _tables(self._quality, self._seen)
        symbols = tables.symbols(_quantized(found, size, self._quality), size)
        return CodedImage(bytes([self._quality]) + varints(*size) + pack(symbols))

    def decode(self, data: bytes) -> ReceivedDetections:
        """Raises `StreamError`."""
        reader = ByteReader(data)
        (quality,) = reader.take(1)
        if not LOWEST <= quality <= HIGHEST:
            raise StreamError(f"stream: required a quality from {LOWEST} to {HIGHEST}, found {quality}")
        size = read_size(reader)
        boxes = _tables(quality, self._seen).read(Unpacker(reader.rest()), size)
        return ReceivedDetections(_dequantized(boxes, size, quality))


def see_boxes(detector: Detector, images: ImageSet) -> SeenBoxes:
    """The detections on up to 300 of these images, spread over the set."""
    count = min(_IMAGES, len(images))
    chosen = [index * len(images) // count for index in range(count)]
    digest = hashlib.sha256(os.fsencode("\n".join(images.identity(index) for index in chosen))).hexdigest()[:8]
    detections, sizes = [], []
    for index in chosen:
        image = images[index].image
        features = features_of(detector, image)
        detections.append(detections_in(detector, features.pyramid, features.geometry))
        sizes.append((image.shape[1], image.shape[2]))
    labels = {label for found in detections for label in found.labels.tolist()}
    known = tuple(sorted(labels.union(detector.class_names)))
    return SeenBoxes(detections, sizes, known, f"{count} images of {images.name} {digest}")


class _Tables:
    """Frequencies for one quality."""

    def __init__(self, quality: int, seen: SeenBoxes) -> None:
        self._levels = _levels(quality)
        self._labels: Mapping[int, int] = {label: number for number, label in enumerate(seen.labels)}
        scores = [[1] * (min(level + 1, self._levels) + 1) for level in range(self._levels + 1)]  # the last is the end
        labels, widths, heights = Counter[int](), Counter[int](), Counter[int]()
        for found, size in zip(seen.detections, seen.sizes, strict=True):
            before = self._levels
            for box in _quantized(found, size, quality):
                scores[before][box.level] += _SEEN
                before = box.level
                labels[box.label] += 1
                widths[box.across.shorter] += 1
                heights[box.down.shorter - box.across.shorter] += 1
            scores[before][-1] += _SEEN
        self._scores = [Table.of(counts) for counts in scores]
        self._label_counts = [1 + _SEEN * labels[label] for label in seen.labels] + [1]  # the last: none of these
        steps = len(_lengths())
        self._widths = Table.of(_spread(widths, 0, steps))
        self._heights = Table.of(_spread(heights, 1 - steps, 2 * steps - 1))
        self._tallest = steps - 1  # of a symbol of `_heights`: its number without a difference

    def symbols(self, boxes: Iterable[_Box], size: Size) -> list[tuple[Table, int]]:
        """Of `pack`."""
        symbols: list[tuple[Table, int]] = []
        before, counts = self._levels, list(self._label_counts)
        for box in boxes:
            symbols.append((self._scores[before], box.level))
            before = box.level
            number = self._labels.get(box.label, len(self._labels))
            symbols.append((Table.of(counts), number))
            if number == len(self._labels):
                symbols.append((_OTHER_LABELS, box.label))
            counts[number] += self._repeated
            symbols.append((self._widths, box.across.shorter))
            symbols.append((self._heights, box.down.shorter - box.across.shorter + self._tallest))
            for span, side in ((box.across, size[1]), (box.down, size[0])):
                symbols.append((Table.even(_places(span.shorter, side)), span.place))
        return [*symbols, (self._scores[before], self._end(before))]

    def read(self, packed: Unpacker, size: Size) -> list[_Box]:
        """The inverse. Raises `StreamError`."""
        boxes: list[_Box] = []
        before, counts, known = self._levels, list(self._label_counts), list(self._labels)
        while (level := packed.take(self._scores[before])) != self._end(before):
            if len(boxes) == MOST_BOXES:
                raise StreamError(f"stream: required at most {MOST_BOXES} boxes, found more")
            before, number = level, packed.take(Table.of(counts))
            label = known[number] if number < len(known) else packed.take(_OTHER_LABELS)
            counts[number] += self._repeated
            width = packed.take(self._widths)
            height = width + packed.take(self._heights) - self._tallest
            spans = []
            for shorter, side in ((width, size[1]), (height, size[0])):
                if not 0 <= shorter <= _steps(side):
                    raise StreamError("stream: required boxes within the image, found another")
                spans.append(_Span(shorter, packed.take(Table.even(_places(shorter, side)))))
            boxes.append(_Box(level, label, *spans))
        packed.require_end()
        return boxes

    def _end(self, before: int) -> int:
        return len(self._scores[before].sums) - 2

    @functools.cached_property
    def _repeated(self) -> int:
        return 1 + sum(self._label_counts) // _REPEATED


@functools.lru_cache(maxsize=16)
def _tables(quality: int, seen: SeenBoxes) -> _Tables:
    return _Tables(quality, seen)


def _spread(seen: Mapping[int, int], first: int, count: int) -> list[int]:
    """Counts of that many symbols from `first` on; the neighbors of what was seen are likely too."""
    counts = [1] * count
    for symbol, times in seen.items():
        for distance in range(-_SPREAD, _SPREAD + 1):
            if 0 <= symbol + distance - first < count:
                counts[symbol + distance - first] += times * (_SPREAD + 1 - abs(distance))
    return counts


@functools.cache
def _lengths() -> Sequence[int]:
    """In units, from a pixel to the largest image; by whole numbers, so that no machine rounds them differently."""
    lengths, over, under = [_UNIT], 1, 1
    while lengths[-1] < MAX_SIDE * _UNIT:
        over, under = over * (_PLACES + 1), under * _PLACES
        lengths.append((2 * _UNIT * over + under) // (2 * under))
    return lengths


def _steps(side: int) -> int:
    """The first length that covers a side of so many pixels."""
    return bisect.bisect_left(_lengths(), side * _UNIT)


def _length(shorter: int, side: int) -> int:
    return min(_lengths()[_steps(side) - shorter], side * _UNIT)


def _places(shorter: int, side: int) -> int:
    length = _length(shorter, side)
    return (side * _UNIT - length) * _PLACES // length + 1


def _span(low: float, high: float, side: int) -> _Span:
    """The nearest to these two ends."""
    steps = _steps(side)
    wanted = max(high - low, 1.0) * _UNIT
    step = bisect.bisect_left(_lengths(), wanted, hi=steps)
    shorter = min((steps - step, steps - max(step - 1, 0)), key=lambda each: abs(_length(each, side) - wanted))
    free, places = side - _length(shorter, side) / _UNIT, _places(shorter, side)
    place = round(((low + high - side + free) / 2) / free * (places - 1)) if places > 1 else 0
    return _Span(shorter, min(max(place, 0), places - 1))


def _ends(span: _Span, side: int) -> tuple[float, float]:
    length, places = _length(span.shorter, side) / _UNIT, _places(span.shorter, side)
    share = span.place / (places - 1) if places > 1 else 0.5
    low = share * (side - length)
    return low, low + length


def _levels(quality: int) -> int:
    """Of scores, from the lowest that is sent to 1."""
    return math.ceil(math.log(100 / quality) / math.log(_LEVEL))


def _quantized(found: Detections, size: Size, quality: int) -> list[_Box]:
    """Those that are sent, best score first."""
    height, width = size
    lowest, levels = quality / 100, _levels(quality)
    boxes: list[_Box] = []
    for (left, top, right, bottom), score, label in zip(
        found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True
    ):
        if score < lowest or len(boxes) == MOST_BOXES:
            break
        level = min(int(math.log(score / lowest) / math.log(_LEVEL)), levels - 1)
        boxes.append(_Box(level, label, _span(left, right, width), _span(top, bottom, height)))
    return boxes


def _dequantized(boxes: Sequence[_Box], size: Size, quality: int) -> Detections:
    corners, scores = [], []
    for box in boxes:
        (left, right), (top, bottom) = _ends(box.across, size[1]), _ends(box.down, size[0])
        corners.append((left, top, right, bottom))
        scores.append(min(quality / 100 * _LEVEL ** (box.level + 0.5), 1.0))
    return Detections(
        boxes=torch.tensor(corners).reshape(-1, 4),
        scores=torch.tensor(scores),
        labels=torch.tensor([box.label for box in boxes], dtype=torch.int64),
    )
