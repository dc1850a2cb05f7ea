"""The list of anchors: names, scales of quality, and the coder for each. Without torch until a coder is built."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fpnkit.errors import UserError

if TYPE_CHECKING:
    from fpnkit.codecs.coder import Coder
    from fpnkit.pyramid import PyramidSpec


@dataclass(frozen=True)
class Anchor:
    """One curve: a coder and the qualities at which it is measured, lowest rate first."""

    codec: str  # `jpeg`, or `zstd` of features
    carries: str  # `original` or `input`, the scale of an image; `features`
    scale: str  # what the numbers mean
    allowed: tuple[int, int]  # lowest and highest quality
    qualities: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"features_{self.codec}" if self.carries == "features" else f"{self.codec}_{self.carries}"

    @property
    def families(self) -> tuple[str, ...]:
        """What else it is called by, together with others."""
        return (self.codec, "features") if self.carries == "features" else (self.codec, self.carries, "images")

    @property
    def needs_av(self) -> bool:
        return self.codec == "hevc"


# From about a third of the ceiling to about all of it, on photographs; `input` needs better pictures than `original`
# does for the same accuracy.
ANCHORS = (
    Anchor("jpeg", "original", "quality", (1, 95), (4, 7, 11, 18, 30, 50, 75, 90)),
    Anchor("jpeg", "input", "quality", (1, 95), (12, 17, 25, 40, 60, 80, 92)),
    Anchor("webp", "original", "quality", (0, 100), (0, 4, 10, 22, 40, 65, 85)),
    Anchor("webp", "input", "quality", (0, 100), (0, 8, 22, 45, 70, 86, 95)),
    Anchor("avif", "original", "quality", (0, 100), (0, 5, 12, 22, 35, 50, 66)),
    Anchor("avif", "input", "quality", (0, 100), (0, 8, 20, 36, 52, 68, 82)),
    Anchor("hevc", "original", "quantiser", (1, 51), (51, 48, 44, 40, 36, 31, 25)),
    Anchor("hevc", "input", "quantiser", (1, 51), (49, 45, 41, 37, 33, 28, 22)),
    Anchor("zstd", "features", "number of bits", (1, 8), (2, 3, 4, 5, 6, 8)),
    Anchor("hevc", "features", "quantiser", (1, 51), (44, 41, 38, 35, 31, 26, 20)),
)


def select(words: Sequence[str], flag: str = "--only") -> list[Anchor]:
    """The anchors that names and families mean, in the order of the list; without words, all.

    Raises `UserError` for an unknown word.
    """
    known = _words()
    for word in words:
        if word not in known:
            near = difflib.get_close_matches(word, known, n=1, cutoff=0.0)[0]
            raise UserError(f"{flag} {word}: no such anchor; did you mean {near}? known are {', '.join(known)}")
    return [anchor for anchor in ANCHORS if not words or {anchor.name, *anchor.families}.intersection(words)]


def require_qualities(anchor: Anchor, qualities: Sequence[int]) -> None:
    """Raise `UserError` unless the anchor has all of these."""
    low, high = anchor.allowed
    for quality in qualities:
        if not low <= quality <= high:
            raise UserError(
                f"--qualities {quality}: required for {anchor.name} a {anchor.scale} from {low} to {high}, "
                f"such as its own {' '.join(map(str, anchor.qualities))}"
            )


def build_coder(anchor: Anchor, quality: int, spec: PyramidSpec) -> Coder:
    """The coder of one point of the curve."""
    from fpnkit.anchors import pictures as image_anchors
    from fpnkit.anchors.packed import HevcFeatures, ZstdFeatures

    if anchor.carries == "features":
        return HevcFeatures(spec, quality) if anchor.needs_av else ZstdFeatures(spec, quality)
    picture = {"jpeg": image_anchors.JPEG, "webp": image_anchors.WEBP, "avif": image_anchors.AVIF}.get(anchor.codec)
    scale: image_anchors.Scale = "original" if anchor.carries == "original" else "input"
    return image_anchors.ImageAnchor(picture or image_anchors.HEVC, scale, quality)


def _words() -> list[str]:
    """Names, then families, each once."""
    names = [anchor.name for anchor in ANCHORS]
    return list(dict.fromkeys([*names, *(family for anchor in ANCHORS for family in anchor.families)]))
