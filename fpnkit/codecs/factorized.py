"""Per level: analysis, factorized prior, synthesis.

The transforms follow Ballé et al. 2018 (arXiv:1802.01436); the prior is compressai's entropy bottleneck. Its decoder
uses stored integer tables only, so symbols are the same on every machine.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fpnkit.codecs.base import Codec, CodecOutput, LevelStream, Streams
from fpnkit.config.schema import FactorizedCodec
from fpnkit.pyramid import Pyramid, PyramidSpec

with warnings.catch_warnings():  # of torch_geometric, which compressai imports and which nobody here can mend
    warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
    from compressai.entropy_models import EntropyBottleneck
    from compressai.layers import GDN


class Bottleneck(EntropyBottleneck):  # type: ignore[misc]
    """compressai's bottleneck, whose tables take the size of the ones that are loaded."""

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        for name in ("_quantized_cdf", "_offset", "_cdf_length"):
            if prefix + name in state_dict:
                setattr(self, name, torch.empty_like(state_dict[prefix + name]))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class LevelCodec(nn.Module):
    """One standardised level ↔ latents at 2^-halvings of its size."""

    def __init__(self, channels: int, hidden: int, latent: int, halvings: int) -> None:
        super().__init__()
        strides = [2] * halvings if halvings > 1 else [1, 2]  # at least one nonlinearity
        widths = [channels, *[hidden] * (len(strides) - 1), latent]
        analysis: list[nn.Module] = []
        synthesis: list[nn.Module] = []
        for index, stride in enumerate(strides):
            analysis.append(_convolution(widths[index], widths[index + 1], stride))
            synthesis.insert(0, _deconvolution(widths[index + 1], widths[index], stride))
            if index < len(strides) - 1:
                analysis.append(GDN(hidden))
                synthesis.insert(0, GDN(hidden, inverse=True))
        self.analysis = nn.Sequential(*analysis)
        self.synthesis = nn.Sequential(*synthesis)
        self.bottleneck = Bottleneck(latent)

    def forward(self, level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """→ reconstruction, latents (noisy or rounded), their likelihoods."""
        latents = self.analysis(level)
        # The bottleneck's differences of sigmoids need float32: in half precision small likelihoods vanish.
        with torch.autocast(level.device.type, enabled=False):
            latents, likelihoods = self.bottleneck(latents.float())
        return self.synthesis(latents), latents, likelihoods


def _convolution(inputs: int, outputs: int, stride: int) -> nn.Module:
    kernel = 5 if stride == 2 else 3
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)


def _deconvolution(inputs: int, outputs: int, stride: int) -> nn.Module:
    kernel = 5 if stride == 2 else 3
    return nn.ConvTranspose2d(inputs, outputs, kernel, stride, padding=kernel // 2, output_padding=stride - 1)


class FactorizedPyramidCodec(Codec):
    """Every level on its own; see `FactorizedCodec` for the settings."""

    def __init__(self, settings: FactorizedCodec, halvings: Mapping[str, int], spec: PyramidSpec) -> None:
        super().__init__(spec)
        self.multiples = {name: 2**count for name, count in halvings.items()}
        self.levels = nn.ModuleDict(
            {
                level.name: LevelCodec(
                    level.channels, settings.channels, settings.latent_channels, halvings[level.name]
                )
                for level in spec.levels
            }
        )

    def forward(self, pyramid: Pyramid) -> CodecOutput:
        padded = self.standardiser(pyramid).padded(self.multiples)
        reconstruction: dict[str, Tensor] = {}
        bits: dict[str, Tensor] = {}
        latents: dict[str, Tensor] = {}
        for name, level in self.levels.items():
            reconstruction[name], latents[name], likelihoods = level(padded[name])
            bits[name] = -likelihoods.log2().sum()
        return CodecOutput(self._finish(reconstruction, pyramid.sizes), bits, latents)

    def aux_loss(self) -> Tensor:
        return torch.stack([level.bottleneck.loss() for level in self._level_codecs()]).sum()

    def update_tables(self) -> None:
        for level in self._level_codecs():
            level.bottleneck.update(force=True, update_quantiles=True)

    @torch.no_grad()
    def encode(self, pyramid: Pyramid) -> Streams:
        self.spec.check(pyramid)
        padded = self.standardiser(pyramid).padded(self.multiples)
        streams = {}
        for name, level in self.levels.items():
            assert isinstance(level, LevelCodec)
            (payload,) = level.bottleneck.compress(level.analysis(padded[name]))
            streams[name] = LevelStream(payload, pyramid.sizes[name])
        return Streams(streams)

    @torch.no_grad()
    def decode(self, streams: Streams) -> Pyramid:
        reconstruction = {}
        for name, level in self.levels.items():
            assert isinstance(level, LevelCodec)
            stream, multiple = streams.levels[name], self.multiples[name]
            latent_size = [-(-side // multiple) for side in stream.size]
            latents = level.bottleneck.decompress([stream.payload], latent_size)
            reconstruction[name] = level.synthesis(latents)
        return self._finish(reconstruction, {name: stream.size for name, stream in streams.levels.items()})

    def _finish(self, levels: Mapping[str, Tensor], sizes: Mapping[str, tuple[int, int]]) -> Pyramid:
        return self.standardiser.inverse(Pyramid(levels).cropped(sizes))

    def _level_codecs(self) -> list[LevelCodec]:
        return [level for level in self.levels.values() if isinstance(level, LevelCodec)]
