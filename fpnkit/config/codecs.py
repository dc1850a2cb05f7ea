"""Sections about codecs and their loss."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from fpnkit.config.section import Section


class FactorizedCodec(Section):
    """One analysis and synthesis transform with a factorized prior per level."""

    kind: Literal["factorized"] = "factorized"
    channels: Annotated[int, Field(gt=0, le=4096)] = 64
    """Of the feature maps between the convolutions."""
    latent_channels: Annotated[int, Field(gt=0, le=4096)] = 64
    """Of the coded latents, per level."""
    halvings: dict[str, Annotated[int, Field(ge=1, le=6)]] | None = None
    """How often each level is halved; default: so that latents lie at 1/32 and 1/64 of the input."""


CellStride = Annotated[int, Field(gt=0, le=1024)] | None  # of cells in pixels; none: the coarsest level's, at most 32


class FusedCodec(Section):
    """Levels as one grid of cells, coded together."""

    kind: Literal["fused"]
    latent_channels: Annotated[int, Field(gt=0, le=2048)] = 256
    """Coded in each cell; at most the values of a cell."""
    components: Annotated[int, Field(gt=0, le=4096)] = 512
    """Of the KLT, which the encoder sees."""
    channels: Annotated[int, Field(gt=0, le=4096)] = 256
    """Of the networks beside the KLT."""
    blocks: Annotated[int, Field(ge=0, le=16)] = 2
    """Of the networks beside the KLT; 0: one linear map."""
    context_channels: Annotated[int, Field(gt=0, le=4096)] = 384
    """Of the entropy model's networks."""
    context_blocks: Annotated[int, Field(ge=0, le=16)] = 1
    """Of the entropy model's networks."""
    slices: Annotated[int, Field(gt=0, le=16)] = 5
    """Of the latent channels; each is coded with those before it as context."""
    checkerboard: bool = True
    """Each slice is coded in two passes, the second with its neighbors as context."""
    rates: Annotated[int, Field(gt=0, le=64)] = 8
    """Learned at once; quality runs from 0, at loss.lowest_lambda, to rates - 1. 1: one rate."""
    head_metric: bool = True
    """The KLT weighs errors as the distortion does; false: all alike."""
    levels: Annotated[list[str], Field(min_length=1)] | None = None
    """That are sent; the others follow from them. Default: all."""
    apart: bool = False
    """Each level is coded alone, with a payload of its own."""
    stride: CellStride = None
    """Of cells, in pixels of the input; default: the coarsest level's, at most 32."""


class LinearCodec(Section):
    """A linear map of each cell of all levels with counted tables: trained in seconds, without gradients."""

    kind: Literal["linear"]
    components: Annotated[int, Field(gt=0, le=4096)] = 512
    """Of the KLT, all of them coded."""
    context_components: Annotated[int, Field(ge=0, le=1024)] = 128
    """Of a cell and of its neighbors, from which means follow."""
    rates: Annotated[int, Field(gt=0, le=64)] = 8
    """Measured at once; quality runs from 0, at loss.lowest_lambda, to rates - 1. 1: one rate."""
    stride: CellStride = None
    """Of cells, in pixels of the input; default: the coarsest level's, at most 32."""


DEFAULT_CODEC = "factorized"  # of configs that name none


def _with_kind(settings: Any) -> Any:
    return {"kind": DEFAULT_CODEC, **settings} if isinstance(settings, dict) and "kind" not in settings else settings


CodecSettings = Annotated[
    FactorizedCodec | FusedCodec | LinearCodec, Field(discriminator="kind"), BeforeValidator(_with_kind)
]


def rates_of(codec: CodecSettings) -> int:
    """How many rates a codec learns at once: 1 unless its section says otherwise."""
    rates: int = getattr(codec, "rates", 1)
    return rates


def _not_all_zero(weights: dict[str, float]) -> dict[str, float]:
    if not any(weights.values()):
        raise ValueError("required at least one weight above 0, found none")
    return weights


LevelWeights = Annotated[dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]], AfterValidator(_not_all_zero)]


DistortionName = Literal["mse", "head", "sensitivity"]


class Loss(Section):
    """`lambda * distortion + bpp`.

    The distortion is a weighted sum of `mse`, `distortion_scale * sum_l weight_l * MSE_l` on standardized levels;
    `head`, what the detector's heads notice, in nats a pixel; and `sensitivity`, squared errors that weigh what `head`
    was measured to give for errors of each channel, in nats a pixel as well.
    """

    lmbda: Annotated[float, Field(gt=0, alias="lambda", allow_inf_nan=False)]
    """Weight of the distortion; with loss.lowest_lambda, at the highest quality."""
    lowest_lmbda: Annotated[float | None, Field(gt=0, alias="lowest_lambda", allow_inf_nan=False)] = None
    """Weight of the distortion at quality 0, of codecs of several rates."""
    distortion: dict[DistortionName, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(
        {"mse": 1.0}, min_length=1
    )
    """Terms and their weights."""
    distortion_scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 65025.0
    """Of the term mse: 255², the convention of images."""
    weights: LevelWeights | None = None
    """Of the levels in the term mse; default: 1/L each."""
