"""Where an image lies in a detector's input."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageGeometry:
    """Where an image lies in the network's input; every pair is (height, width) or (top, left)."""

    original: tuple[int, int]  # the image file
    content: tuple[int, int]  # the image after resizing
    canvas: tuple[int, int]  # the network input, padding included
    offset: tuple[int, int] = (0, 0)  # of the content in the canvas

    def original_pixels(
        self, top: int = 0, left: int = 0, height: int | None = None, width: int | None = None
    ) -> float:
        """Pixels of the original image under a window of the canvas (default: all of it); padding is not counted."""
        height, width = height or self.canvas[0], width or self.canvas[1]
        rows = _overlap(top, top + height, self.offset[0], self.offset[0] + self.content[0])
        columns = _overlap(left, left + width, self.offset[1], self.offset[1] + self.content[1])
        if not rows * columns:
            return 0.0
        scale = (self.original[0] / self.content[0]) * (self.original[1] / self.content[1])
        return rows * columns * scale

    def window(self, top: int, left: int, height: int, width: int) -> ImageGeometry:
        """The geometry of a window of the canvas; its original size is rounded to whole pixels and may be empty."""
        (rows, columns), (y, x) = self.content, self.offset
        content = _overlap(top, top + height, y, y + rows), _overlap(left, left + width, x, x + columns)
        original = round(content[0] * self.original[0] / rows), round(content[1] * self.original[1] / columns)
        return ImageGeometry(original, content, (height, width), (max(0, y - top), max(0, x - left)))


def _overlap(a_start: int, a_end: int, b_start: int, b_end: int) -> int:
    return max(0, min(a_end, b_end) - max(a_start, b_start))
