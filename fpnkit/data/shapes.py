"""Procedural images of shapes with boxes: a detection task that needs no download.

Backgrounds and fills are noise with the spectrum of natural images, amplitude falling as 1/f^alpha (Field 1987).
Objects overlap, are cut off by the border, differ in size by a factor of ten, and often differ little from their
surroundings; distractors without a class lie between them. Boxes enclose the visible part of an object. An object that
is less than a quarter visible has no box.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import cos, hypot, log, pi, sin, sqrt

import numpy as np
import torch
from numpy.typing import NDArray

from fpnkit.data.images import Category, Sample

VERSION = 1  # of the generator: goes up whenever an image changes
SIZE = 192  # height and width of an image in pixels
OBJECTS = (3, 8)  # fewest and most in an image
DISTRACTORS = (1, 4)
RADII = (8.0, 50.0)  # of the circle around an object in pixels, log-uniform
VISIBLE = 0.25  # part of an object's area that earns a box

Array = NDArray[np.float32]
Outline = Callable[[Array, Array, float], Array]


# --- outlines -----------------------------------------------------------------------------------------------------
# Each takes x, y in units of the radius and a variation in [0, 1), and is negative inside, near the edge with the
# distance to it.


def _radius(x: Array, y: Array) -> Array:
    radius: Array = np.sqrt(x * x + y * y)
    return radius


def _circle(x: Array, y: Array, variation: float) -> Array:
    return _radius(x, y) - np.float32(1)


def _rectangle(x: Array, y: Array, half_width: float, half_height: float) -> Array:
    distance: Array = np.maximum(np.abs(x) - np.float32(half_width), np.abs(y) - np.float32(half_height))
    return distance


def _square(x: Array, y: Array, variation: float) -> Array:
    return _rectangle(x, y, sqrt(0.5), sqrt(0.5))


def _polygon(x: Array, y: Array, corners: int) -> Array:
    """Regular, corners on the unit circle."""
    angles = [2 * pi * (k + 0.5) / corners for k in range(corners)]
    sides = [x * np.float32(cos(angle)) + y * np.float32(sin(angle)) for angle in angles]
    distance: Array = np.maximum.reduce(sides) - np.float32(cos(pi / corners))
    return distance


def _triangle(x: Array, y: Array, variation: float) -> Array:
    return _polygon(x, y, 3)


def _star(x: Array, y: Array, variation: float) -> Array:
    """Five points; the folded plane leaves one straight edge from an outer to an inner corner."""
    radius, angle = _radius(x, y), np.arctan2(y, x)
    sector = np.float32(2 * pi / 5)
    angle = np.abs(angle - sector * np.round(angle / sector))
    inner = 0.38 + 0.14 * variation
    across, along = sin(pi / 5) * inner, 1 - cos(pi / 5) * inner
    across, along = across / hypot(across, along), along / hypot(across, along)
    distance: Array = (radius * np.cos(angle) - 1) * np.float32(across) + radius * np.sin(angle) * np.float32(along)
    return distance


def _ring(x: Array, y: Array, variation: float) -> Array:
    half_width = 0.12 + 0.1 * variation
    distance: Array = np.abs(_radius(x, y) - np.float32(1 - half_width)) - np.float32(half_width)
    return distance


def _cross(x: Array, y: Array, variation: float) -> Array:
    arm = 0.2 + 0.12 * variation
    length = sqrt(1 - arm**2)
    return np.minimum(_rectangle(x, y, length, arm), _rectangle(x, y, arm, length))


def _bar(x: Array, y: Array, variation: float) -> Array:
    return _rectangle(x, y, 0.95, 0.2 + 0.2 * variation)


def _ellipse(x: Array, y: Array, variation: float) -> Array:
    flat = 0.35 + 0.2 * variation
    return (_radius(x, y / np.float32(flat)) - np.float32(1)) * np.float32(flat)


def _half_disc(x: Array, y: Array, variation: float) -> Array:
    return np.maximum(_radius(x, y) - np.float32(1), y - np.float32(0.2 * variation))


def _crescent(x: Array, y: Array, variation: float) -> Array:
    bite = _radius(x - np.float32(0.6), y) - np.float32(0.65 + 0.2 * variation)
    return np.maximum(_radius(x, y) - np.float32(1), -bite)


def _hexagon(x: Array, y: Array, variation: float) -> Array:
    return _polygon(x, y, 6)


def _angle(x: Array, y: Array, variation: float) -> Array:
    """The letter L."""
    arm = np.float32(0.2 + 0.1 * variation)
    return np.minimum(
        _rectangle(x, y + np.float32(0.7) - arm, 0.7, float(arm)),
        _rectangle(x + np.float32(0.7) - arm, y, float(arm), 0.7),
    )


CLASSES: dict[str, Outline] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "ring": _ring,
    "cross": _cross,
}
_NO_CLASS: tuple[Outline, ...] = (_bar, _ellipse, _half_disc, _crescent, _hexagon, _angle)


# --- noise --------------------------------------------------------------------------------------------------------

_FREQUENCY = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None, :])
_FREQUENCY[0, 0] = np.inf  # no mean
_LOG_FREQUENCY = np.log(_FREQUENCY)


def _natural_noise(rng: np.random.Generator, alpha: float, channels: int) -> Array:
    """Periodic noise (channels, SIZE, SIZE) of amplitude 1/f^alpha and deviation 1."""
    parts = rng.standard_normal((channels, *_FREQUENCY.shape, 2), dtype=np.float32)
    spectrum = parts.view(np.complex64)[..., 0] * np.exp(-alpha * _LOG_FREQUENCY)
    noise = np.fft.irfft2(spectrum, s=(SIZE, SIZE))
    normalized: Array = (noise / noise.std(axis=(1, 2), keepdims=True)).astype(np.float32)
    return normalized


def _colored(noise: Array) -> Array:
    """Three channels of noise as RGB (SIZE, SIZE, 3): mostly brightness, less red against blue, least green."""
    mixing = np.array([[0.9, 0.9, 0.9], [0.4, 0.0, -0.4], [0.15, -0.3, 0.15]], dtype=np.float32)
    return np.ascontiguousarray(np.tensordot(noise, mixing, axes=(0, 0)))


# --- one image ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Thing:
    """An object or distractor and its appearance."""

    outline: Outline
    label: int  # category id; 0: no class
    radius: float
    center: tuple[float, float]  # y, x
    angle: float
    flatness: float  # of the whole shape along one axis
    variation: float
    color: Array
    contrast: float  # to what is around it
    texture: float  # strength of the fill's noise
    texture_shift: tuple[int, int]
    opacity: float


def _draw_things(rng: np.random.Generator) -> list[_Thing]:
    outlines = list(CLASSES.values())
    labels = [int(label) for label in rng.integers(1, len(outlines) + 1, rng.integers(OBJECTS[0], OBJECTS[1] + 1))]
    labels += [0] * int(rng.integers(DISTRACTORS[0], DISTRACTORS[1] + 1))
    return [
        _draw_thing(rng, outlines[label - 1] if label else _NO_CLASS[rng.integers(len(_NO_CLASS))], label)
        for label in rng.permutation(labels)
    ]


def _draw_thing(rng: np.random.Generator, outline: Outline, label: int) -> _Thing:
    color = rng.standard_normal(3, dtype=np.float32)
    return _Thing(
        outline=outline,
        label=int(label),
        radius=float(np.exp(rng.uniform(log(RADII[0]), log(RADII[1])))),
        center=(float(rng.uniform(0, SIZE)), float(rng.uniform(0, SIZE))),
        angle=float(rng.uniform(0, 2 * pi)),
        flatness=float(rng.uniform(0.8, 1)),
        variation=float(rng.random()),
        color=color / np.float32(np.abs(color).max()),
        contrast=float(rng.uniform(0.3, 0.7)),
        texture=float(rng.uniform(0.02, 0.08)),
        texture_shift=(int(rng.integers(SIZE)), int(rng.integers(SIZE))),
        opacity=float(rng.uniform(0.9, 1)),
    )


def _paint(canvas: Array, owner: NDArray[np.int16], number: int, thing: _Thing, fill: Array, blur: float) -> int:
    """Draw `thing` onto `canvas` and its `number` into `owner`; return its area in pixels, including parts outside the
    image.
    """
    reach = int(thing.radius + blur) + 2
    rows = np.arange(int(thing.center[0]) - reach, int(thing.center[0]) + reach + 1)
    columns = np.arange(int(thing.center[1]) - reach, int(thing.center[1]) + reach + 1)
    y = ((rows - thing.center[0]) / thing.radius).astype(np.float32)[:, None]
    x = ((columns - thing.center[1]) / thing.radius).astype(np.float32)[None, :]
    cosine, sine = np.float32(cos(thing.angle)), np.float32(sin(thing.angle))
    along, across = x * cosine + y * sine, (y * cosine - x * sine) / np.float32(thing.flatness)
    distance = thing.outline(along, across, thing.variation) * np.float32(thing.radius)
    area = int((distance < 0).sum())

    rows_inside, columns_inside = (rows >= 0) & (rows < SIZE), (columns >= 0) & (columns < SIZE)
    distance = distance[np.ix_(rows_inside, columns_inside)]
    rows, columns = rows[rows_inside], columns[columns_inside]
    window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    cover = np.clip(np.float32(0.5) - distance / np.float32(blur), 0, 1)[..., None] * np.float32(thing.opacity)
    under = canvas[window]
    tile = np.ix_((rows + thing.texture_shift[0]) % SIZE, (columns + thing.texture_shift[1]) % SIZE)
    texture = fill[tile][..., None] * np.float32(thing.texture)
    surroundings = under.mean(axis=(0, 1))
    # Away from the surroundings, towards the side with more room.
    color = surroundings + np.where(surroundings > 0.5, -1, 1) * np.abs(thing.color) * np.float32(thing.contrast)
    canvas[window] = under + cover * (color + texture - under)
    owner[window][distance < 0] = number
    return area


def _render(rng: np.random.Generator) -> tuple[NDArray[np.uint8], list[tuple[int, int, int, int]], list[int]]:
    """Pixels (height, width, 3), boxes, labels."""
    canvas = _colored(_natural_noise(rng, rng.uniform(0.9, 1.6), channels=3)) * np.float32(rng.uniform(0.03, 0.1))
    canvas += rng.uniform(0.25, 0.75, 3).astype(np.float32)
    fill = _natural_noise(rng, rng.uniform(0.6, 1.3), channels=1)[0]
    blur = rng.uniform(0.8, 2.5)
    owner = np.full((SIZE, SIZE), -1, dtype=np.int16)
    things = _draw_things(rng)
    areas = [_paint(canvas, owner, number, thing, fill, blur) for number, thing in enumerate(things)]

    boxes, labels = [], []
    for number, (thing, area) in enumerate(zip(things, areas, strict=True)):
        if thing.label and (box := _visible_box(owner == number, VISIBLE * area)):
            boxes.append(box)
            labels.append(thing.label)

    noise = rng.standard_normal(canvas.shape, dtype=np.float32) * np.float32(rng.uniform(0.005, 0.025))
    pixels = np.clip(canvas + noise * np.sqrt(np.clip(canvas, 0.05, 1)), 0, 1)  # shot noise grows with the light
    return np.rint(pixels * 255).astype(np.uint8), boxes, labels


def _visible_box(mask: NDArray[np.bool_], least: float) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom of the true pixels, if there are enough of them."""
    if mask.sum() < max(least, 1):
        return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


# --- the set ------------------------------------------------------------------------------------------------------


class ShapesSet:
    """Images of 192 x 192 pixels; image i depends on the seed and i alone."""

    categories = tuple(Category(number, name) for number, name in enumerate(CLASSES, start=1))

    def __init__(self, images: int, seed: int = 0) -> None:
        self._images, self._seed = images, seed
        self.name = f"shapes_{images}_seed_{seed}"

    def __len__(self) -> int:
        return self._images

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self._images:
            raise IndexError(f"{self.name}: image {index} of {self._images}")
        pixels, boxes, labels = _render(np.random.Generator(np.random.PCG64([VERSION, self._seed, index])))
        return Sample(
            image_id=index,
            image=torch.from_numpy(pixels).permute(2, 0, 1).contiguous(),
            boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            labels=torch.tensor(labels, dtype=torch.int64),
            crowd=torch.zeros(len(labels), dtype=torch.bool),
        )

    def identity(self, index: int) -> str:
        """Generator version, seed and index."""
        return f"shapes v{VERSION} seed {self._seed} image {index}"

    def title(self, index: int) -> str:
        """These images have no file."""
        return f"{self.name}, image {index}"

    def size(self, index: int) -> tuple[int, int]:
        """(height, width) in pixels, the same for all images."""
        return SIZE, SIZE

    def check(self, indices: Sequence[int] | None = None) -> None:
        """Nothing to check: nothing can be missing."""
