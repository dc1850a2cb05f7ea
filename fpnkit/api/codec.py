"""A trained codec: features → bytes → features."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from fpnkit import container
from fpnkit.api.detector import FrozenDetector
from fpnkit.api.features import FeaturePyramid
from fpnkit.codecs.at_rate import highest_within
from fpnkit.codecs.coder import CoderInput
from fpnkit.codecs.learned import LearnedCoder
from fpnkit.codecs.saved import TrainedCodec
from fpnkit.codecs.sender import SenderSearch
from fpnkit.config.curve import middle
from fpnkit.errors import UserError
from fpnkit.metrics.rate import bpp


class Codec:
    """The best model of a run."""

    def __init__(self, trained: TrainedCodec, detector: FrozenDetector | None = None) -> None:
        """`detector`: needed for search in the encoder alone."""
        self._trained, self._detector = trained, detector

    @property
    def qualities(self) -> tuple[float, float] | None:
        """The lowest and the highest; None for a codec of one rate."""
        return self._trained.codec.qualities

    def encode(
        self,
        pyramid: FeaturePyramid,
        quality: float | None = None,
        *,
        target_bpp: float | None = None,
        target_kb: float | None = None,
        search: int | None = None,
    ) -> bytes:
        """The bytes of a `.fpn` file.

        A codec of several rates takes a quality (default: the middle of its curve), or a rate that it will not exceed:
        bits per pixel of the original, or 1000 bytes. `search`: steps of search for fewer bits, with the detector's
        heads. Raises `UserError`.
        """
        given = [
            name
            for name, value in (("quality", quality), ("target_bpp", target_bpp), ("target_kb", target_kb))
            if value is not None
        ]
        if len(given) > 1:
            raise UserError(f"encode: required one of quality, target_bpp and target_kb, found {' and '.join(given)}")
        if target_bpp is None and target_kb is None:
            return self._coded(pyramid, middle(self.qualities) if quality is None else quality, search)
        if self.qualities is None:
            raise UserError(f"encode: {given[0]}: required a codec of several rates, found one of one rate")
        pixels = pyramid.geometry.original[0] * pyramid.geometry.original[1]

        def sizes(qualities: Sequence[float]) -> list[float]:
            lengths = [len(self._coded(pyramid, each, search)) for each in qualities]
            return [length / 1000 if target_bpp is None else bpp(8 * length, pixels) for length in lengths]

        target, unit = (target_kb, "kB") if target_bpp is None else (target_bpp, "bpp")
        assert target is not None
        return self._coded(pyramid, highest_within(sizes, self.qualities, target, unit).quality, search)

    def decode(self, data: bytes, *, max_values: int | None = None) -> FeaturePyramid:
        """Raises `StreamError` for anything but what this model has encoded, and for a pyramid of more values.

        A value takes about 12 bytes of memory (default: at most 50 million).
        """
        coder, stream = LearnedCoder(self._trained), container.read(data)
        coder.check(stream)
        coder.require_values(stream, max_values)
        received = coder.decode_stream(stream)
        return FeaturePyramid(received.pyramid, received.geometry)

    @torch.no_grad()
    def _coded(self, pyramid: FeaturePyramid, quality: float | None, steps: int | None) -> bytes:
        search = None
        if steps is not None:
            if self._detector is None:
                raise UserError("encode: search: required a codec with its detector, such as run.codec() gives")
            search = SenderSearch(self._trained, self._detector.wrapped, steps)
        image = torch.zeros(3, *pyramid.geometry.original, dtype=torch.uint8)  # is not looked at
        source = CoderInput(image, pyramid.levels, pyramid.geometry)
        return LearnedCoder(self._trained, quality, search).encode(source).data

    def __repr__(self) -> str:
        kind, epoch = self._trained.config.codec.kind, self._trained.epoch
        curve = self.qualities
        rates = "one rate" if curve is None else f"qualities {curve[0]:g} to {curve[1]:g}"
        return f"<Codec {kind} {self._trained.hash}: {rates}, from epoch {epoch}, for {self._trained.codec.spec}>"
