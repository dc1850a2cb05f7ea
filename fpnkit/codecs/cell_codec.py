"""One grid of cells ↔ its latents: a KLT under the metric of the distortion, with a learned branch beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpnkit.codecs.base import Start
from fpnkit.codecs.calibration import Standardizer
from fpnkit.codecs.cells import SIDE_CHANNELS, CellLayout, what_both_know
from fpnkit.codecs.context import ContextModel, Steps, interpolated
from fpnkit.codecs.exact import on_grid
from fpnkit.codecs.klt import fit_klt, mean_curvature
from fpnkit.config.schema import FusedCodec
from fpnkit.container import QUALITY_STEPS
from fpnkit.errors import PyramidError
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid

_STEP_GRID = 2.0**-20
_LARGEST_STEP = 512.0
_SMALLEST_DEVIATION = 1e-6
_SAMPLED_VALUES = 250_000_000  # of cells for the KLT, 1 GB
_EXPANSION = 4  # of channels within a block


class CellCodec(nn.Module):
    """Codes the levels of `sent` and decodes those of `decoded`; standardized levels."""

    mean: Tensor
    analysis: Tensor
    deviation: Tensor
    step_table: Tensor
    log2_table: Tensor

    def __init__(self, settings: FusedCodec, sent: CellLayout, decoded: CellLayout) -> None:
        super().__init__()
        self._sent, self._decoded = sent, decoded
        side, latents = SIDE_CHANNELS + 1, min(settings.latent_channels, sent.values)
        components = max(latents, min(settings.components, sent.values))
        self.register_buffer("mean", torch.zeros(sent.values))
        self.register_buffer("analysis", torch.zeros(components, sent.values))
        self.register_buffer("deviation", torch.ones(components))
        self.encoder = Branch(components + side, settings.channels, settings.blocks)
        self.to_latents = nn.Conv2d(settings.channels, latents, 1)
        self.decoder = Branch(latents + side, settings.channels, settings.blocks)
        self.to_values = nn.Conv2d(latents + settings.channels, decoded.values, 1)
        self.entropy = ContextModel(
            latents,
            settings.context_channels,
            side,
            slices=min(settings.slices, latents),
            checkerboard=settings.checkerboard,
            blocks=settings.context_blocks,
        )
        self.log2_step = nn.Parameter(torch.zeros(settings.rates, latents))
        self.register_buffer("step_table", torch.ones(settings.rates, latents, dtype=torch.float64))
        self.register_buffer("log2_table", torch.zeros(settings.rates, latents, dtype=torch.float64))
        for layer in (self.to_latents, self.to_values):  # the branches begin silent
            nn.init.zeros_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    @torch.no_grad()
    def start(self, standardiser: Standardizer, start: Start, *, plain: bool) -> None:
        """The KLT of the features, its inverse in the decoder, and steps that suit each lambda.

        `plain`: without the distortion's metric.
        """
        count = _SAMPLED_VALUES // self._decoded.values

        def sampled(layout: CellLayout) -> Tensor:
            standard = (standardiser(pyramid) for pyramid, _ in start.features())
            return _sampled(standard, layout, self._sent, count)

        cells = sampled(self._sent)
        curvature = _flat(start.curvature, self._sent) if plain else start.curvature
        klt = fit_klt(cells, self._sent, curvature, len(self.analysis))
        if len(klt.deviation) < len(self.analysis):
            raise PyramidError(
                f"training.calibration_images: required images of at least {len(self.analysis)} cells of stride "
                f"{self._sent.stride}, as many as codec.components, found {len(klt.deviation)}"
            )
        latents = self.log2_step.shape[1]
        deviation = klt.deviation.clamp(min=_SMALLEST_DEVIATION)
        self.mean.copy_(klt.mean)
        self.analysis.copy_(klt.analysis)
        self.deviation.copy_(deviation)
        if self._decoded.levels == self._sent.levels:
            synthesis, offset = klt.synthesis[:, :latents], klt.mean
        else:
            values = sampled(self._decoded)
            synthesis, offset = _regression((cells - klt.mean) @ klt.analysis[:latents].T, values)
        self.to_values.weight[:, :latents, 0, 0] = synthesis * deviation[:latents]
        assert self.to_values.bias is not None
        self.to_values.bias.copy_(offset)
        for row, lmbda in zip(self.log2_step, start.lambdas, strict=True):
            # An error e costs e²/2 nats: with steps of this size a bit more costs what it saves.
            step = math.sqrt(12 / (lmbda * math.log(2)))
            row.copy_((step / deviation[:latents]).clamp(max=_LARGEST_STEP).log2())
        self.update_steps()

    @torch.no_grad()
    def update_steps(self) -> None:
        """Set the steps that coding uses from the learned ones."""
        self.step_table.copy_(on_grid(self.log2_step.double().exp2(), _STEP_GRID).clamp(min=_STEP_GRID))
        self.log2_table.copy_(on_grid(self.log2_step))

    def latents(self, standard: Pyramid, geometry: Sequence[ImageGeometry] | None, quality: Tensor | None) -> Tensor:
        """(batch, channel, rows, columns), of deviations about 1."""
        cells = self._sent.packed(standard, self._sent.grid(standard.sizes))
        side = self.side(geometry, cells, quality)
        with torch.autocast(cells.device.type, enabled=False):  # half precision is coarser than the finest steps
            components = F.conv2d(cells.float() - self.mean[:, None, None], self.analysis[:, :, None, None])
        unit = components / self.deviation[:, None, None]
        # Components that cost little to lose are heard less.
        heard = unit * (self.deviation / self.deviation[0]).sqrt()[:, None, None]
        branch: Tensor = self.to_latents(self.encoder(torch.cat([heard, side], dim=1)))
        return unit[:, : self.log2_step.shape[1]] + branch.float()

    def levels(self, latents: Tensor, side: Tensor, sizes: Mapping[str, tuple[int, int]]) -> Pyramid:
        """Standardized levels of these sizes."""
        hidden = self.decoder(torch.cat([latents, side], dim=1))
        cells = self.to_values(torch.cat([latents, hidden.float()], dim=1))
        return self._decoded.unpacked(cells.float(), sizes)

    def grid(self, sizes: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
        """(rows, columns) of the latents."""
        return self._sent.grid(sizes)

    def side(self, geometry: Sequence[ImageGeometry] | None, like: Tensor, quality: Tensor | None) -> Tensor:
        """(batch, channels, rows, columns) of what sender and receiver know: picture, place, quality."""
        grid = like.shape[2], like.shape[3]
        known = what_both_know(geometry, len(like), grid, self._sent.stride).to(like.device)
        share = torch.zeros(len(like)) if quality is None else quality / max(1, len(self.log2_step) - 1)
        plane = on_grid(share).float().to(like.device)[:, None, None, None].expand(-1, 1, *grid)
        return torch.cat([known, plane], dim=1)

    def steps(self, quality: Tensor | None, batch: int) -> Steps:
        """The learned ones, with gradients."""
        quality = self._known(quality, batch)
        step = interpolated(self.log2_step.exp2(), quality, QUALITY_STEPS)
        return Steps(step, interpolated(self.log2_step, quality, QUALITY_STEPS))

    def exact_steps(self, quality: Tensor | None, batch: int) -> Steps:
        """Those that coding uses, the same on every machine."""
        quality = self._known(quality, batch)
        step, log2 = (interpolated(table, quality, QUALITY_STEPS) for table in (self.step_table, self.log2_table))
        return Steps(on_grid(step, _STEP_GRID), on_grid(log2))

    def _known(self, quality: Tensor | None, batch: int) -> Tensor:
        return torch.zeros(batch, device=self.log2_step.device) if quality is None else quality.to(self.mean.device)


class Branch(nn.Module):
    """1x1 to a number of channels, then residual blocks."""

    def __init__(self, inputs: int, channels: int, blocks: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, channels, 1)
        self.blocks = nn.Sequential(*(Block(channels) for _ in range(blocks)))

    def forward(self, values: Tensor) -> Tensor:
        """(batch, inputs, rows, columns) → (batch, channels, rows, columns)."""
        return self.blocks(self.first(values))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Depthwise 3x3, 1x1 up, GELU, 1x1 down (Liu et al. 2022, arXiv:2201.03545)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels),
            nn.Conv2d(channels, _EXPANSION * channels, 1),
            nn.GELU(),
            nn.Conv2d(_EXPANSION * channels, channels, 1),
        )

    def forward(self, values: Tensor) -> Tensor:
        """Any size, kept."""
        return values + self.body(values)  # type: ignore[no-any-return]


def _sampled(pyramids: Iterable[Pyramid], layout: CellLayout, grids: CellLayout, count: int) -> Tensor:
    """(n, values): the cells of the pyramids, up to `count`; further pyramids are not looked at."""
    parts: list[Tensor] = []
    for pyramid in pyramids:
        cells = layout.packed(pyramid, grids.grid(pyramid.sizes)).flatten(2).transpose(1, 2).flatten(0, 1)
        parts.append(cells[:count])
        count -= len(parts[-1])
        if count <= 0:
            break
    return torch.cat(parts)


def _flat(curvature: Mapping[str, Tensor], layout: CellLayout) -> dict[str, Tensor]:
    """The mean curvature for all values alike."""
    mean = mean_curvature(layout, curvature)
    return {name: torch.eye(len(curvature[name])) * (mean / place.share) for name, place in layout.places().items()}


def _regression(components: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Least squares for levels that are not sent: (values, components) and (values,)."""
    mean = values.mean(0)
    gram = components.T @ components
    ridge = 1e-4 * gram.diagonal().mean() * torch.eye(len(gram))
    return torch.linalg.solve(gram + ridge, components.T @ (values - mean)).T, mean
