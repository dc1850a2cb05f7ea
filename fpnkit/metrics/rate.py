"""Bits per pixel, defined once."""

from __future__ import annotations


def bpp(bits: float, pixels: float) -> float:
    """Bits of all levels over pixels of the original images, padding not counted.

    Of a set: the sum of bits over the sum of pixels, not the mean of per-image values.
    """
    return bits / pixels
