"""Try a detector before it is trusted: what every one has to keep, on real images."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from fpnkit.detectors.base import Detections, Detector, ImageBatch
from fpnkit.pyramid import Pyramid

_SLACK = 1.0  # pixels by which a box may leave its image
_TOLERANCE = 1e-3  # of boxes in pixels and of scores: kernels round otherwise for other batches
_HALF = 65504.0  # the largest number that float16 holds


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `ok` is None if it could not be."""

    title: str
    ok: bool | None
    text: str  # what was found, and what was required where it failed


@dataclass(frozen=True)
class Report:
    """Everything about one detector."""

    detector: str
    findings: tuple[Finding, ...]
    found: tuple[Detections, ...]  # of each image

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(finding.ok is not False for finding in self.findings)

    def __str__(self) -> str:
        words = {True: "ok", False: "FAILED", None: "not tried"}
        width = max(len(finding.title) for finding in self.findings)
        lines = [f"  {words[each.ok]:<9}  {each.title:<{width}}  {each.text}" for each in self.findings]
        return "\n".join([f"{self.detector}: {'in order' if self.ok else 'not in order'}", *lines])

    __repr__ = __str__


@torch.no_grad()
def check_detector(detector: Detector, images: Sequence[Tensor]) -> Report:
    """`images`: two or more, uint8 RGB (3, height, width), best of different sizes. Never raises for what it finds."""
    findings: list[Finding] = []
    found: list[Detections] = []
    for title, look in (
        ("pyramid", lambda: _pyramid(detector, images)),
        ("geometry", lambda: _geometry(detector, images)),
        ("detections", lambda: _detections(detector, images, found)),
        ("own forward pass", lambda: _whole(detector, images)),
        ("batches", lambda: _batches(detector, images)),
        ("classes", lambda: _classes(detector, found)),
        ("fingerprint", lambda: _fingerprint(detector)),
        ("heads", lambda: _heads(detector)),
        ("speed", lambda: _speed(detector, images)),
    ):
        findings.append(_tried(title, look))
    return Report(detector.name, tuple(findings), tuple(found))


class _Failed(Exception):
    """Something is not as it has to be."""


class _Untried(Exception):
    """Something could not be looked at."""


def _tried(title: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(title, True, look())
    except _Failed as error:
        return Finding(title, False, str(error))
    except _Untried as error:
        return Finding(title, None, str(error))
    except Exception as error:  # whatever the detector's own code raises
        return Finding(title, False, f"required no error, found {type(error).__name__}: {error}")


def _pyramid(detector: Detector, images: Sequence[Tensor]) -> str:
    for image in images:
        batch = detector.prepare([image])
        with torch.enable_grad():  # else nothing would show that its weights follow along
            pyramid = detector.pyramid(batch)
        detector.spec.check(pyramid)
        rows, columns = batch.pixels.shape[-2:]
        for level in detector.spec.levels:
            values = pyramid[level.name]
            size, most = values.shape[-2:], (2 * -(-rows // level.stride), 2 * -(-columns // level.stride))
            if size[0] > most[0] or size[1] > most[1]:
                required = f"about {rows // level.stride} x {columns // level.stride} of stride {level.stride}"
                raise _Failed(f"{level.name}: required {required}, found {size[0]} x {size[1]}")
            if not values.isfinite().all() or values.abs().max() > _HALF:
                raise _Failed(f"{level.name}: required values that float16 holds, found {values.abs().max():.4g}")
            if values.requires_grad:
                raise _Failed(f"{level.name}: required values without a gradient, found some with one")
    return str(detector.spec)


def _geometry(detector: Detector, images: Sequence[Tensor]) -> str:
    batch = detector.prepare(list(images[:1]))
    (place,), size = batch.geometry, (images[0].shape[1], images[0].shape[2])
    if place.original != size:
        raise _Failed(f"original: required {_size(size)}, as the image is; found {_size(place.original)}")
    canvas = batch.pixels.shape[-2], batch.pixels.shape[-1]
    if place.canvas != canvas:
        raise _Failed(f"canvas: required {_size(canvas)}, as the input is; found {_size(place.canvas)}")
    for side in (0, 1):
        if not 0 <= place.offset[side] <= canvas[side] - place.content[side]:
            found = f"{_size(place.content)} at {place.offset[0]}, {place.offset[1]}"
            raise _Failed(f"content: required inside the canvas of {_size(canvas)}, found {found}")
    return f"{_size(size)} becomes {_size(place.content)} on a canvas of {_size(canvas)}"


def _detections(detector: Detector, images: Sequence[Tensor], found: list[Detections]) -> str:
    for number, image in enumerate(images):
        one = _found(detector, [image])[0]
        again = _found(detector, [image])[0]
        height, width = image.shape[1:]
        limits = torch.tensor([width, height, width, height])
        if not _alike(one, again):
            raise _Failed(f"image {number}: required the same twice, found other boxes or scores")
        if ((one.boxes < -_SLACK) | (one.boxes > limits + _SLACK)).any():
            raise _Failed(
                f"image {number}: required boxes inside {width} x {height} pixels, found {_outside(one, limits)}"
            )
        if (one.boxes[:, 2:] < one.boxes[:, :2]).any():
            raise _Failed(
                f"image {number}: required left, top, right, bottom; found a box whose right is left of its left"
            )
        if len(one.scores) and not (one.scores.min() >= 0 and one.scores.max() <= 1):
            raise _Failed(
                f"image {number}: required scores from 0 to 1, found {one.scores.min():.3g} to {one.scores.max():.3g}"
            )
        if (one.scores.diff() > 0).any():
            raise _Failed(f"image {number}: required the best first, found scores that rise")
        found.append(one)
    count, sure = sum(len(one.scores) for one in found), sum(int((one.scores >= 0.5).sum()) for one in found)
    if not count:
        raise _Failed(f"required at least one in {len(images)} images, found none")
    return f"{count} in {len(images)} images, {sure} with a score of 0.5 or more"


def _whole(detector: Detector, images: Sequence[Tensor]) -> str:
    """The plugin's method `whole(images)`, its own forward pass, if there is one."""
    whole = getattr(detector, "whole", None)
    if whole is None:
        raise _Untried("the detector has no method `whole` (images → detections) to compare with")
    for number, image in enumerate(images):
        (expected,), one = whole([image]), _found(detector, [image])[0]
        if not _alike(one, expected, 0):
            raise _Failed(f"image {number}: required exactly its boxes and scores, found {_difference(one, expected)}")
    return f"equal in {len(images)} images"


def _batches(detector: Detector, images: Sequence[Tensor]) -> str:
    alone = [_found(detector, [image])[0] for image in images]
    try:
        together = _found(detector, images)
    except Exception as error:
        raise _Untried(f"images of these sizes cannot be in one batch ({type(error).__name__}: {error})") from None
    for number, (one, same) in enumerate(zip(alone, together, strict=True)):
        if not _alike(one, same, 100 * _TOLERANCE):
            raise _Failed(f"image {number}: required the same alone and with others, found {_difference(same, one)}")
    return f"the same for {len(images)} images alone and together"


def _classes(detector: Detector, found: Sequence[Detections]) -> str:
    names = detector.class_names
    if not names:
        raise _Untried("the detector has no `class_names`; labels of data sets are then matched by id")
    unknown = sorted({label for one in found for label in one.labels.tolist()} - names.keys())
    if unknown:
        raise _Failed(f"required labels that have a name, from {min(names)} to {max(names)}; found {unknown[:5]}")
    return f"{len(names)} with a name"


def _fingerprint(detector: Detector) -> str:
    first, second = detector.fingerprint(), detector.fingerprint()
    if first != second:
        raise _Failed(f"required the same twice, found {first[:16]} and {second[:16]}")
    for weight in _weights(detector):
        kept = weight.detach().clone()
        try:
            weight.data.add_(1)
            changed = detector.fingerprint()
        finally:
            weight.data.copy_(kept)
        if changed == first:
            raise _Failed(f"required another one for other weights, found {first[:16]} for both")
        return f"{first[:16]}, another for other weights"
    return f"{first[:16]}; no weights are in sight to change"


def _weights(detector: Any) -> Iterator[Tensor]:
    """The first floating-point weight that can be found."""
    for holder in (detector, getattr(detector, "_plugin", None)):
        for name in ("module", "_module", "trainable", "model"):
            module = getattr(holder, name, None)
            if isinstance(module, nn.Module):
                yield from (weight for weight in module.parameters() if weight.is_floating_point())


def _heads(detector: Detector) -> str:
    if not hasattr(detector, "heads"):
        raise _Untried("no method `heads`: codecs can be trained for mse, not for what the heads notice")
    return "there; codecs can be trained for what they notice"


def _speed(detector: Detector, images: Sequence[Tensor]) -> str:
    seconds = {"prepare": 0.0, "pyramid": 0.0, "detect": 0.0}
    for image in images:
        start = time.perf_counter()
        batch = detector.prepare([image])
        prepared = time.perf_counter()
        pyramid = detector.pyramid(batch)
        made = time.perf_counter()
        detector.detect(detector.complete(pyramid), batch.geometry)
        parts = (prepared - start, made - prepared, time.perf_counter() - made)
        seconds = {name: total + part for (name, total), part in zip(seconds.items(), parts, strict=True)}
    return ", ".join(f"{name} {1000 * total / len(images):.0f} ms" for name, total in seconds.items()) + " an image"


def _found(detector: Detector, images: Sequence[Tensor]) -> list[Detections]:
    batch: ImageBatch = detector.prepare(list(images))
    pyramid: Pyramid = detector.pyramid(batch)
    return [
        replace(one, boxes=one.boxes.cpu(), scores=one.scores.cpu(), labels=one.labels.cpu())
        for one in detector.detect(detector.complete(pyramid), batch.geometry)
    ]


def _alike(one: Detections, other: Detections, tolerance: float = _TOLERANCE) -> bool:
    return (
        one.boxes.shape == other.boxes.shape
        and torch.allclose(one.boxes, other.boxes, rtol=0, atol=tolerance)
        and torch.allclose(one.scores, other.scores, rtol=0, atol=tolerance)
        and torch.equal(one.labels, other.labels)
    )


def _difference(one: Detections, expected: Detections) -> str:
    if len(one.scores) != len(expected.scores):
        return f"{len(one.scores)} detections in place of {len(expected.scores)}"
    if not len(one.scores):
        return "nothing"
    boxes, scores = (one.boxes - expected.boxes).abs().max(), (one.scores - expected.scores).abs().max()
    return f"boxes up to {boxes:.3g} pixels and scores up to {scores:.3g} away"


def _outside(one: Detections, limits: Tensor) -> list[float]:
    wrong = ((one.boxes < -_SLACK) | (one.boxes > limits + _SLACK)).any(dim=1)
    return [round(value, 1) for value in one.boxes[wrong][0].tolist()]


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
