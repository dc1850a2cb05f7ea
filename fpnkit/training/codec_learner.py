"""Train a codec: steps on crops, validation on whole pyramids with the model that would be exported."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from fpnkit.codecs.base import Codec
from fpnkit.codecs.saved import codec_content
from fpnkit.config.load import shown_settings
from fpnkit.config.schema import CodecConfig
from fpnkit.data.cache import FeatureCache
from fpnkit.detectors.base import Detector
from fpnkit.distortions import SensitivityDistortion, build_distortion, parts_of
from fpnkit.errors import WeightsError
from fpnkit.training.batches import CropBatches, Prefetcher
from fpnkit.training.loop import Validation
from fpnkit.training.losses import Batch, Objective, loss_terms
from fpnkit.training.optim import CodecOptimizers
from fpnkit.training.ranks import ALONE, Ranks
from fpnkit.training.rates import Balance, at_quality, validated_qualities, with_quality
from fpnkit.training.step import codec_step, over_qualities, to_tally, values
from fpnkit.training.tally import Tally, Values


class CodecLearner:
    """A codec on its device with its optimizers and data."""

    def __init__(
        self,
        codec: Codec,
        config: CodecConfig,
        train: FeatureCache,
        val: FeatureCache,
        goal: Objective,
        detector_fingerprint: str,
        device: torch.device,
        ranks: Ranks = ALONE,
    ) -> None:
        settings = config.training
        self.device, self._config, self._val, self._ranks = device, config, val, ranks
        self.detector_fingerprint = detector_fingerprint
        self._codec = codec.to(device)
        self.parameters = sum(each.numel() for each in codec.parameters())
        self._optimizers = CodecOptimizers.of(codec, settings)
        self._balance = Balance.of(codec)
        self.objective = goal
        crops = CropBatches(
            train,
            codec.spec,
            batch_size=settings.batch_size,
            crop=settings.crop,
            crops_per_image=settings.crops_per_image,
            seed=config.seed,
            ranks=ranks,
        )
        self.steps_per_epoch = crops.per_epoch if self.parameters else 0  # `Codec.start` was all of the training
        self._batches = Prefetcher(crops.batch, crops.per_epoch)

    def step(self, epoch: int, index: int, lr: float) -> Tally:
        """One step of both optimizers."""
        self._optimizers.set_lr(lr)
        batch = self._batches.get(epoch, index).to(self.device)
        batch = with_quality(batch, self.objective, self._codec, [self._config.seed, epoch, index], self._ranks)
        settings = self._config.training
        return codec_step(
            self._codec,
            batch,
            self.objective,
            self._optimizers,
            clip=settings.clip,
            amp=settings.amp,
            balance=self._balance,
            ranks=self._ranks,
        )

    def close(self) -> None:
        """End the thread that reads ahead."""
        self._batches.close()

    def values(self, tally: Tally) -> Values:
        """Means of distortions, bits over pixels."""
        return values(tally, self.objective)

    @torch.no_grad()
    def validate(self) -> Validation:
        """Whole pyramids, one image at a time, through a copy with updated medians, so that the reported values are
        those of the saved model; a codec of several rates at several qualities. Several processes share the images.
        """
        codec = copy.deepcopy(self._codec).eval()
        codec.update_quantiles()
        qualities, latents = validated_qualities(codec), LatentRanges()
        tallies = {quality: Tally() for quality in qualities}
        aux_loss = codec.aux_loss()

        def measured(index: int) -> tuple[list[Tally], LatentRanges]:
            features = self._val.load(index)
            whole = Batch(features.pyramid, features.original_pixels, (features.geometry,)).to(self.device)
            own, ranges = [], LatentRanges()
            for quality in qualities:
                batch = whole if quality is None else at_quality(whole, self.objective, torch.tensor([quality]))
                output = codec(batch.pyramid, batch.geometry, batch.quality)
                terms = loss_terms(codec, output, batch, self.objective)
                own.append(to_tally(terms, batch.pixels, aux_loss, torch.zeros_like(aux_loss)))
                ranges.add(output.latents)
            return own, ranges

        for own, ranges in self._ranks.spread(range(len(self._val)), measured):
            latents.merge(ranges)
            for quality, tally in zip(qualities, own, strict=True):
                tallies[quality] += tally

        def content() -> dict[str, Any]:
            codec.make_tables()
            return codec_content(codec.cpu(), self._config, self.detector_fingerprint)

        return Validation(over_qualities(tallies, self.objective), content, latents.report())

    def settings(self) -> dict[str, Any]:
        """The config, without secrets."""
        return shown_settings(self._config)

    def state_dict(self) -> dict[str, Any]:
        """Codec, optimizers, and what follows them."""
        balance = {} if self._balance is None else {"balance": self._balance.means}
        parts = self._measured()
        measured = {"sensitivity": parts[0].state_dict()} if parts else {}
        return {
            "codec": self._codec.state_dict(),
            "optimizers": self._optimizers.state_dict(),
            "detector_fingerprint": self.detector_fingerprint,
            **balance,
            **measured,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Codec and optimizers; raises `WeightsError` if the features would come from another detector."""
        if state["detector_fingerprint"] != self.detector_fingerprint:
            raise WeightsError(
                f"detector: required the one that the run began with, fingerprint {state['detector_fingerprint'][:8]}; "
                f"found {self.detector_fingerprint[:8]}: its weights or its preprocessing changed"
            )
        self._codec.load_state_dict(state["codec"])
        self._optimizers.load_state_dict(state["optimizers"])
        if self._balance is not None:
            self._balance.means.copy_(state["balance"])
        for part in self._measured():
            part.load_state_dict(state["sensitivity"])

    def _measured(self) -> list[SensitivityDistortion]:
        """The part of the objective that was measured when training started, if it has one."""
        return [part for part in parts_of(self.objective.distortion) if isinstance(part, SensitivityDistortion)]


class LatentRanges:
    """Range of the latents of every channel over a set."""

    def __init__(self) -> None:
        self._ranges: dict[str, tuple[Tensor, Tensor]] = {}

    def add(self, latents: Mapping[str, Tensor]) -> None:
        """Rounded latents (batch, channel, height, width) of each level."""
        for name, level in latents.items():
            self._widen(name, level.amin((0, 2, 3)).cpu(), level.amax((0, 2, 3)).cpu())

    def merge(self, other: LatentRanges) -> None:
        """Ranges of further images."""
        for name, (low, high) in other._ranges.items():
            self._widen(name, low, high)

    def _widen(self, name: str, low: Tensor, high: Tensor) -> None:
        if name in self._ranges:
            low = torch.minimum(low, self._ranges[name][0])
            high = torch.maximum(high, self._ranges[name][1])
        self._ranges[name] = low, high

    def report(self) -> Sequence[str]:
        """A line per level; a dead channel has the same value in all images and carries nothing."""
        return [
            f"{name}: latents in [{low.min():.1f}, {high.max():.1f}], "
            f"{int((low == high).sum())} of {len(low)} channels dead"
            for name, (low, high) in self._ranges.items()
        ]


def objective(config: CodecConfig, codec: Codec, detector: Detector | None = None) -> Objective:
    """The loss defined by the config for the codec's levels; only some distortions need the detector."""
    highest = 0.0 if codec.qualities is None else codec.qualities[1]
    distortion = build_distortion(config.loss, codec.spec, detector)
    return Objective(config.loss.lmbda, distortion, config.loss.lowest_lmbda, highest)
