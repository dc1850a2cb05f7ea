"""Settings → codec."""

from __future__ import annotations

from collections.abc import Mapping

from fpnkit.codecs.base import Codec
from fpnkit.config.schema import FactorizedCodec
from fpnkit.errors import PyramidError
from fpnkit.pyramid import PyramidSpec


def build_codec(settings: FactorizedCodec, spec: PyramidSpec) -> Codec:
    """A codec with fresh weights for pyramids of `spec`."""
    match settings:
        case FactorizedCodec():
            from fpnkit.codecs.factorized import FactorizedPyramidCodec  # here: compressai takes seconds to import

            return FactorizedPyramidCodec(settings, halvings(settings.halvings, spec), spec)


def halvings(chosen: Mapping[str, int] | None, spec: PyramidSpec) -> dict[str, int]:
    """How often each level is halved in size.

    Default: P2 thrice, P3 and P4 twice, P5 and P6 once, so that latents lie at 1/32 to 1/128 of the input.
    """
    if chosen is None:
        return {level.name: max(1, (8 - level.stride.bit_length() + 1) // 2) for level in spec.levels}
    if set(chosen) != set(spec.names):
        raise PyramidError(f"codec.halvings: required the levels {', '.join(spec.names)}; found {', '.join(chosen)}")
    return dict(chosen)
