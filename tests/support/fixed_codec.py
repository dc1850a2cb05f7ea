"""A tiny codec without chance in it: weights are fractions that float32 holds exactly, tables are whole numbers."""

import torch
from torch import Tensor

from fpnkit.codecs.build import build_codec
from fpnkit.codecs.factorized import FactorizedPyramidCodec
from fpnkit.codecs.learned import LearnedCoder
from fpnkit.codecs.saved import TrainedCodec, model_hash
from tests.support import tiny

LATENT_CHANNELS = 3
MEDIAN = 0.25


def fixed_codec() -> FactorizedPyramidCodec:
    codec = build_codec(tiny.config().codec, tiny.SPEC).eval()
    assert isinstance(codec, FactorizedPyramidCodec)
    with torch.no_grad():
        for number, (name, parameter) in enumerate(sorted(codec.named_parameters())):
            parameter.copy_(_weights(name, number, parameter))
        codec.standardiser.mean.fill_(0.5)
        codec.standardiser.deviation.fill_(2.0)
    for level in codec.levels.values():
        bottleneck = level.bottleneck
        tables = [table(channel) for channel in range(LATENT_CHANNELS)]
        longest = max(map(len, tables))
        bottleneck._quantized_cdf = torch.tensor([t + [0] * (longest - len(t)) for t in tables], dtype=torch.int32)
        bottleneck._cdf_length = torch.tensor([len(t) for t in tables], dtype=torch.int32)
        bottleneck._offset = torch.tensor([offset(channel) for channel in range(LATENT_CHANNELS)], dtype=torch.int32)
        bottleneck.target.copy_(torch.tensor([-21.0, 0.0, 21.0]))
    return codec


def _weights(name: str, number: int, parameter: Tensor) -> Tensor:
    if name.endswith("beta"):
        return torch.ones_like(parameter)
    if name.endswith("gamma"):
        return torch.eye(len(parameter)) / 4
    if name.endswith("quantiles"):
        return torch.tensor([-10.0, MEDIAN, 10.0]).expand_as(parameter)
    if "matrices" in name:
        return torch.full_like(parameter, 0.5)
    spread = torch.arange(parameter.numel()) * 37 + 11 * number
    return ((spread % 101 - 50) / 128).reshape(parameter.shape)


def offset(channel: int) -> int:
    return -channel - 2


def table(channel: int) -> list[int]:
    """Cumulative frequencies of the symbols from `offset` to -`offset`, a triangle, and of the escape."""
    reach = -offset(channel)
    weights = [reach + 1 - abs(symbol) for symbol in range(-reach, reach + 1)]
    cumulative = [0]
    for weight in weights:
        cumulative.append(cumulative[-1] + 60000 * weight // sum(weights))
    return [*cumulative, 65536]


def trained(codec: FactorizedPyramidCodec | None = None) -> TrainedCodec:
    codec = codec or fixed_codec()
    return TrainedCodec(codec, tiny.config(), "f" * 64, 1, model_hash(codec.state_dict()))


def coder() -> LearnedCoder:
    return LearnedCoder(trained())
