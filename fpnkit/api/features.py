"""What goes between detector and codec, and what is found in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 5


class FeaturePyramid(Mapping[str, Tensor]):
    """The pyramid of one image: level name → (1, channel, height, width); knows where the image lies in it."""

    def __init__(self, levels: Pyramid, geometry: ImageGeometry, image: Tensor | None = None) -> None:
        self.levels, self.geometry = levels, geometry
        self.image = image  # uint8 RGB (3, height, width), where the pyramid was made of one

    def __getitem__(self, level: str) -> Tensor:
        return self.levels[level]

    def __iter__(self) -> Iterator[str]:
        return iter(self.levels)

    def __len__(self) -> int:
        return len(self.levels)

    def __repr__(self) -> str:
        height, width = self.geometry.original
        sizes = (" x ".join(map(str, level.shape[1:])) for level in self.levels.values())
        levels = ", ".join(f"{name} {size}" for name, size in zip(self.levels, sizes, strict=True))
        return f"<FeaturePyramid of an image of {width} x {height} pixels: {levels}>"


@dataclass(frozen=True)
class Objects:
    """Detections, best first, in pixels of the original image."""

    boxes: Tensor  # (n, 4) left, top, right, bottom
    scores: Tensor  # (n,) in [0, 1]
    labels: Tensor  # (n,) class ids
    names: tuple[str, ...]  # of the classes, `class 7` for one without

    def __len__(self) -> int:
        return len(self.scores)

    def above(self, score: float) -> Objects:
        """Those with at least this score."""
        kept = self.scores >= score
        names = tuple(name for name, keep in zip(self.names, kept.tolist(), strict=True) if keep)
        return Objects(self.boxes[kept], self.scores[kept], self.labels[kept], names)

    def frame(self) -> pd.DataFrame:
        """One row per object."""
        import pandas as pd

        table = pd.DataFrame(self.boxes.tolist(), columns=["left", "top", "right", "bottom"])
        return table.assign(score=self.scores.tolist(), label=self.labels.tolist(), name=self.names)

    def __repr__(self) -> str:
        sure = Counter(self.above(0.5).names).most_common(_SHOWN)
        counts = ", ".join(f"{count} {name}" for name, count in sure) or "none"
        return f"<Objects: {len(self)} detections; with a score of 0.5 or more: {counts}>"
