"""Settings → codec."""

from __future__ import annotations

from fpnkit.codecs.base import Codec
from fpnkit.config.codecs import CodecSettings, FactorizedCodec, FusedCodec, LinearCodec
from fpnkit.pyramid import PyramidSpec


def build_codec(settings: CodecSettings, spec: PyramidSpec) -> Codec:
    """A codec with fresh weights for pyramids of `spec`; raises `UserError` for settings that do not fit them."""
    match settings:
        case FactorizedCodec():
            from fpnkit.codecs.factorized import FactorizedPyramidCodec  # here: compressai takes seconds to import

            return FactorizedPyramidCodec(settings, spec)
        case FusedCodec():
            from fpnkit.codecs.fused import FusedPyramidCodec

            return FusedPyramidCodec(settings, spec)
        case LinearCodec():
            from fpnkit.codecs.linear import LinearPyramidCodec

            return LinearPyramidCodec(settings, spec)
