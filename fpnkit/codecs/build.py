"""Settings → codec."""

from __future__ import annotations

from fpnkit.codecs.base import Codec
from fpnkit.config.schema import FactorizedCodec
from fpnkit.pyramid import PyramidSpec


def build_codec(settings: FactorizedCodec, spec: PyramidSpec) -> Codec:
    """A codec with fresh weights for pyramids of `spec`."""
    match settings:
        case FactorizedCodec():
            from fpnkit.codecs.factorized import FactorizedPyramidCodec  # here: compressai takes seconds to import

            return FactorizedPyramidCodec(settings, spec)
