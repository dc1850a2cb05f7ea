"""Search on the sender's side of a trained codec, towards the loss that the codec was trained for."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable

import torch
from torch import Tensor

from fpnkit.codecs.base import CodecOutput, Streams
from fpnkit.codecs.saved import TrainedCodec
from fpnkit.codecs.search import SearchableCodec, searched
from fpnkit.config.schema import DistortionName, Loss
from fpnkit.detectors.base import Detector
from fpnkit.distortions import DistortionInputs, build_distortion
from fpnkit.errors import UserError
from fpnkit.geometry import ImageGeometry
from fpnkit.metrics.distortion import standardized_mse
from fpnkit.pyramid import Pyramid


def require_searchable(trained: TrainedCodec) -> SearchableCodec:
    """The codec itself. Raises `UserError` unless its latents can be moved."""
    if not isinstance(trained.codec, SearchableCodec):
        raise UserError(f"search: required a codec whose latents can be moved, found {trained.config.codec.kind}")
    return trained.codec


def _asking_heads(loss: Loss) -> Loss:
    """With the heads themselves in place of `sensitivity`, which was measured from them and is in the same unit."""
    parts: dict[DistortionName, float] = {}
    for name, weight in loss.distortion.items():
        asked: DistortionName = "head" if name == "sensitivity" else name
        parts[asked] = parts.get(asked, 0.0) + weight
    return loss.model_copy(update={"distortion": parts})


class SenderSearch:
    """Encodes like the codec, or better: by real bits plus lambda times the distortion of what is decoded."""

    def __init__(self, trained: TrainedCodec, detector: Detector, steps: int) -> None:
        """Raises `UserError` if the codec's latents cannot be moved, or the detector lacks the heads of its loss."""
        self._codec, self._latents, self._config = trained.codec, require_searchable(trained), trained.config
        self._distortion = build_distortion(_asking_heads(trained.config.loss), trained.codec.spec, detector)
        self.steps = steps  # how often the latents of an image are moved

    @property
    def suffix(self) -> str:
        """`+search24`, for the name of the curve."""
        return f"+search{self.steps}"

    def encode(self, pyramid: Pyramid, geometry: ImageGeometry, quality: float | None) -> Streams:
        """One image, as `Codec.encode`."""
        plain = self._codec.encode(pyramid, geometry, quality)
        with torch.enable_grad():
            asked = None if quality is None else torch.tensor([quality])
            cost = self._cost(pyramid, geometry, quality)
            latents = searched(self._latents, pyramid, [geometry], asked, cost, self.steps)
        found = self._latents.encode_latents(latents, pyramid.sizes, geometry, quality)
        # The search sees a relaxed rate and unrounded latents, so what it found is judged by what will be decoded.
        return min(plain, found, key=functools.partial(self._real_cost, pyramid))

    def _cost(
        self, pyramid: Pyramid, geometry: ImageGeometry, quality: float | None
    ) -> Callable[[CodecOutput], Tensor]:
        """Of what the codec would make of it: (1,) bits plus lambda times distortion, of the whole image."""

        def cost(output: CodecOutput) -> Tensor:
            bits = torch.stack([each.flatten(1).sum(1) for each in output.bits.values()]).sum(0)
            return bits + self._loss_bits(pyramid, output.reconstruction, geometry, quality)

        return cost

    @torch.no_grad()
    def _real_cost(self, pyramid: Pyramid, streams: Streams) -> float:
        bits = 8 * sum(len(payload.data) for payload in streams.payloads.values())
        decoded = self._codec.decode(streams)
        return bits + self._loss_bits(pyramid, decoded, streams.geometry, streams.quality).item()

    def _loss_bits(self, pyramid: Pyramid, decoded: Pyramid, geometry: ImageGeometry, quality: float | None) -> Tensor:
        """(1,) lambda times the distortion, which is one of a pixel, times the pixels."""
        mse = standardized_mse(pyramid, decoded, self._codec.standardiser.deviation, per_image=True)
        pixels = geometry.original_pixels()
        parts = self._distortion(DistortionInputs(pyramid, decoded, mse, True, [geometry], pixels))
        return self._config.lmbda_at(quality) * pixels * functools.reduce(operator.add, parts.values())
