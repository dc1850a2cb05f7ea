"""The list of anchors: names, scales of quality, and how each coder is built. Needs no torch until one is built.

A new anchor is a file with its coder and a row in `ANCHORS`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from fpnkit.errors import UserError

if TYPE_CHECKING:
    from fpnkit.anchors.boxes import SeenBoxes
    from fpnkit.anchors.coder import AnchorCoder
    from fpnkit.anchors.pictures import Scale
    from fpnkit.anchors.reduced import Reduction
    from fpnkit.detectors.base import Detector
    from fpnkit.pyramid import PyramidSpec

Factory: TypeAlias = "Callable[[int, PyramidSpec, Fit], AnchorCoder]"  # of a quality and the detector's levels


@dataclass(frozen=True)
class Fit:
    """What some coders know beforehand: measured on training images, only if it is asked for."""

    reduction: Callable[[], Reduction]
    boxes: Callable[[], SeenBoxes]


@dataclass(frozen=True)
class Anchor:
    """One curve: a coder and the qualities at which it is measured, lowest rate first."""

    name: str
    families: tuple[str, ...]  # what else it is called by, together with others
    scale: str  # what the numbers mean
    allowed: tuple[int, int]  # lowest and highest quality
    qualities: tuple[int, ...]
    build: Factory
    require_encoder: Callable[[], None]  # raises `UserError` where it does not work on this machine


def _image(codec: str, size: Scale, scale: str, allowed: tuple[int, int], qualities: tuple[int, ...]) -> Anchor:
    """An image codec of `pictures.FORMATS`, at the image's own size or at that of the detector's input."""

    def build(quality: int, spec: PyramidSpec, fit: Fit) -> AnchorCoder:
        from fpnkit.anchors.pictures import FORMATS, ImageAnchor

        return ImageAnchor(FORMATS[codec], size, quality)

    def require_encoder() -> None:
        from fpnkit.anchors.encoders import require_hevc, require_jxl, require_pillow, require_vvc

        match codec:
            case "hevc":
                require_hevc("yuv420p")
            case "vvc":
                require_vvc("yuv420p10le")
            case "jxl":
                require_jxl()
            case _:
                require_pillow(codec)

    families = (codec, size, "images")
    return Anchor(f"{codec}_{size}", families, scale, allowed, qualities, build, require_encoder)


def _zstd_features(quality: int, spec: PyramidSpec, fit: Fit) -> AnchorCoder:
    from fpnkit.anchors.packed import ZstdFeatures

    return ZstdFeatures(spec, quality)


def _hevc_features(quality: int, spec: PyramidSpec, fit: Fit) -> AnchorCoder:
    from fpnkit.anchors.packed import HevcFeatures

    return HevcFeatures(spec, quality)


def _vvc_features(quality: int, spec: PyramidSpec, fit: Fit) -> AnchorCoder:
    from fpnkit.anchors.packed import VvcFeatures

    return VvcFeatures(spec, quality)


def _reduced_features(quality: int, spec: PyramidSpec, fit: Fit) -> AnchorCoder:
    from fpnkit.anchors.reduced import ReducedFeatures

    return ReducedFeatures(spec, quality, fit.reduction())


def _boxes(quality: int, spec: PyramidSpec, fit: Fit) -> AnchorCoder:
    from fpnkit.anchors.boxes import Boxes

    return Boxes(quality, fit.boxes())


def _always() -> None:
    """It needs nothing that is not among the package's own requirements."""


def _ten_bits() -> None:
    from fpnkit.anchors.encoders import require_hevc

    require_hevc("gray10le")


def _ten_bits_vvc() -> None:
    from fpnkit.anchors.encoders import require_vvc

    require_vvc("gray10le")


_ZSTD, _HEVC, _VVC = ("zstd", "features"), ("hevc", "features"), ("vvc", "features")

# From about a third of the ceiling to about all of it, on photographs; `input` needs better pictures than `original`
# does for the same accuracy.
ANCHORS = (
    _image("jpeg", "original", "quality", (1, 95), (4, 7, 11, 18, 30, 50, 75, 90)),
    _image("jpeg", "input", "quality", (1, 95), (12, 17, 25, 40, 60, 80, 92)),
    _image("webp", "original", "quality", (0, 100), (0, 4, 10, 22, 40, 65, 85)),
    _image("webp", "input", "quality", (0, 100), (0, 8, 22, 45, 70, 86, 95)),
    _image("avif", "original", "quality", (0, 100), (0, 5, 12, 22, 35, 50, 66)),
    _image("avif", "input", "quality", (0, 100), (0, 8, 20, 36, 52, 68, 82)),
    _image("jxl", "original", "quality", (0, 99), (0, 6, 14, 25, 40, 60, 80)),
    _image("jxl", "input", "quality", (0, 99), (4, 10, 18, 30, 45, 65, 85)),
    _image("hevc", "original", "quantizer", (1, 51), (51, 48, 44, 40, 36, 31, 25)),
    _image("hevc", "input", "quantizer", (1, 51), (49, 45, 41, 37, 33, 28, 22)),
    _image("vvc", "original", "quantizer", (1, 63), (53, 49, 45, 41, 37, 32, 27)),
    _image("vvc", "input", "quantizer", (1, 63), (48, 44, 40, 36, 32, 28, 23)),
    Anchor("features_zstd", _ZSTD, "number of bits", (1, 8), (2, 3, 4, 5, 6, 8), _zstd_features, _always),
    Anchor("features_hevc", _HEVC, "quantizer", (1, 51), (44, 41, 38, 35, 31, 26, 20), _hevc_features, _ten_bits),
    Anchor("features_vvc", _VVC, "quantizer", (1, 63), (41, 39, 37, 34, 31, 27, 22), _vvc_features, _ten_bits_vvc),
    Anchor(
        "features_vvc_klt", _VVC, "quantizer", (1, 63), (35, 32, 28, 24, 20, 15, 8), _reduced_features, _ten_bits_vvc
    ),
    Anchor("boxes", (), "lowest score in percent", (1, 99), (60, 50, 40, 32, 25, 18, 12, 7), _boxes, _always),
)


@dataclass(frozen=True)
class AnchorRecipe:
    """An anchor's coder, with what was measured for it: small enough to be sent to another process as it is."""

    coder: AnchorCoder

    def build(self, detector: Detector) -> AnchorCoder:
        """It needs nothing of the detector."""
        return self.coder


def select(words: Sequence[str], flag: str = "--only") -> list[Anchor]:
    """The anchors that names and families select, in the order of the list; all if there are none.

    Raises `UserError` for an unknown name.
    """
    known = _words()
    for word in words:
        if word not in known:
            near = difflib.get_close_matches(word, known, n=1, cutoff=0.0)[0]
            raise UserError(f"{flag} {word}: no such anchor; did you mean {near}? known are {', '.join(known)}")
    return [anchor for anchor in ANCHORS if not words or {anchor.name, *anchor.families}.intersection(words)]


def missing_encoders(anchors: Sequence[Anchor]) -> dict[str, list[str]]:
    """What is missing on this machine → the names of the anchors that it keeps from being measured."""
    missing: dict[str, list[str]] = {}
    for anchor in anchors:
        try:
            anchor.require_encoder()
        except UserError as error:
            missing.setdefault(str(error), []).append(anchor.name)
    return missing


def require_encoders(anchors: Sequence[Anchor], flag: str) -> None:
    """Raise `UserError` unless all of these anchors can be measured on this machine."""
    if missing := missing_encoders(anchors):
        raise UserError("\n".join(f"{flag} {', '.join(names)}: {what}" for what, names in missing.items()))


def require_qualities(anchor: Anchor, qualities: Sequence[int]) -> None:
    """Raise `UserError` unless the anchor has all of these qualities."""
    low, high = anchor.allowed
    for quality in qualities:
        if not low <= quality <= high:
            raise UserError(
                f"--qualities {quality}: required for {anchor.name} a {anchor.scale} from {low} to {high}, "
                f"such as its own {' '.join(map(str, anchor.qualities))}"
            )


def _words() -> list[str]:
    """Names, then families, each once."""
    names = [anchor.name for anchor in ANCHORS]
    return list(dict.fromkeys([*names, *(family for anchor in ANCHORS for family in anchor.families)]))
