"""Train a detector with torchvision's own losses; validate by COCO AP."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from fpnkit.config.load import shown_settings
from fpnkit.config.schema import DetectorConfig
from fpnkit.data.images import Category, ImageSet
from fpnkit.detectors.base import Detections, Detector
from fpnkit.detectors.one_image import detections_in, features_of
from fpnkit.errors import DataError, DivergedError
from fpnkit.metrics.coco_format import GroundTruth
from fpnkit.metrics.detection import average_precision
from fpnkit.training.batches import Prefetcher, chosen
from fpnkit.training.loop import Validation
from fpnkit.training.optim import detector_optimizer, restore
from fpnkit.training.ranks import ALONE, Ranks
from fpnkit.training.tally import Tally, Values, of_batch


@dataclass(frozen=True)
class LabeledBatch:
    """Images and targets in the form torchvision's detectors expect."""

    images: list[Tensor]  # float (3, height, width) in [0, 1]
    targets: list[dict[str, Tensor]]  # boxes (n, 4); labels (n,), 1 is the first category


class DetectorLearner:
    """A trainable detector with its optimizer and data.

    Its validation loss is 1 - mAP, which selects the best model.
    """

    detector_fingerprint = None

    def __init__(
        self,
        detector: Detector,
        config: DetectorConfig,
        train: ImageSet,
        val: ImageSet,
        device: torch.device,
        ranks: Ranks = ALONE,
    ) -> None:
        """Raises `ConfigError` if several `ranks` cannot have equal parts of a batch."""
        ranks.require_batch(config.training.batch_size, len(train))
        settings, module = config.training, detector.trainable
        assert module is not None  # `build_trainable` sees to it
        detector.to(device)
        self.device, self._config, self._detector, self._module = device, config, detector, module
        self._train, self._val, self._ranks = train, val, ranks
        self._label = {category.id: index for index, category in enumerate(train.categories, start=1)}
        self._parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self._optimizer = detector_optimizer(self._parameters, settings)
        self.steps_per_epoch = max(1, len(train) // settings.batch_size)
        self._batches = Prefetcher(self._batch, self.steps_per_epoch)

    def step(self, epoch: int, index: int, lr: float) -> Tally:
        """Forward, backward, update; raises `DivergedError` before a bad gradient can touch a weight.

        Several processes average the gradients of their parts: a detector that pads, samples or counts over a batch
        does so over a part.
        """
        settings = self._config.training
        batch = self._batches.get(epoch, index)
        self._optimizer.param_groups[0]["lr"] = lr
        self._module.train()
        images = [image.to(self.device) for image in batch.images]
        targets = [{key: value.to(self.device) for key, value in target.items()} for target in batch.targets]
        self._ranks.draw_apart([self._config.seed, epoch, index])
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=settings.amp):
            losses: dict[str, Tensor] = self._module(images, targets)
        loss = torch.stack(list(losses.values())).sum()
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self._ranks.average(each.grad for each in self._parameters if each.grad is not None)
        norm = clip_grad_norm_(self._parameters, settings.clip)
        tally = of_batch(self._ranks.gathered(Tally(count=1, loss=loss.item(), gradient_norm=norm.item())))
        if not math.isfinite(tally.loss + tally.gradient_norm):
            terms = ", ".join(f"{name} {value.item():.4g}" for name, value in losses.items())
            raise DivergedError(f"the loss is {tally.loss} ({terms}), the gradient's norm {tally.gradient_norm}")
        self._optimizer.step()
        return tally

    def close(self) -> None:
        """End the thread that reads ahead."""
        self._batches.close()

    def values(self, tally: Tally) -> Values:
        """The mean loss."""
        return Values(loss=tally.loss / tally.count)

    @torch.no_grad()
    def validate(self) -> Validation:
        """AP over the validation images, one at a time."""
        self._module.eval()
        buffers = list(self._module.buffers())  # those that follow the images differ between processes; 0's are kept
        for own, first in zip(buffers, self._ranks.first(buffers), strict=True):
            own.copy_(first)

        def detected(index: int) -> tuple[GroundTruth, Detections]:
            sample = self._val[index]
            features = features_of(self._detector, sample.image)
            return GroundTruth.of(sample), detections_in(self._detector, features.pyramid, features.geometry)

        pairs = self._ranks.spread(range(len(self._val)), detected)
        truth, found = [each for each, _ in pairs], [each for _, each in pairs]
        scores = average_precision(truth, found)
        content = {
            "kind": "detection",
            "config": self.settings(),
            "categories": [[category.id, category.name] for category in self._train.categories],
            "state_dict": copy.deepcopy(self._module.state_dict()),
        }
        boxes = sum(len(each.boxes) for each in found)
        report = [f"{boxes} detections for {sum(len(image.boxes) for image in truth)} objects"]
        ap = scores.map or 0.0  # None: no object in any validation image, which `require_labels` has excluded
        return Validation(Values(loss=1 - ap, map=ap, map50=scores.map50), lambda: content, report)

    def settings(self) -> dict[str, Any]:
        """The config, without secrets."""
        return shown_settings(self._config)

    def state_dict(self) -> dict[str, Any]:
        """Module and optimizer."""
        return {"module": self._module.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Module and optimizer."""
        self._module.load_state_dict(state["module"])
        restore(self._optimizer, state["optimizer"], "optimizer")

    def _batch(self, epoch: int, index: int) -> LabeledBatch:
        settings, seed = self._config.training, self._config.seed
        items = self._ranks.share(chosen(seed, epoch, index, settings.batch_size, len(self._train)))
        pairs = [self._example(item, np.random.default_rng([seed, epoch, item])) for item in items]
        return LabeledBatch([image for image, _ in pairs], [target for _, target in pairs])

    def _example(self, item: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        sample = self._train[item]
        kept = ~sample.crowd
        image, boxes = sample.image.float() / 255, sample.boxes[kept]
        if self._config.training.flip and rng.random() < 0.5:
            image, width = image.flip(-1), image.shape[-1]
            boxes = torch.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1)
        labels = torch.tensor([self._label[int(label)] for label in sample.labels[kept]], dtype=torch.int64)
        return image, {"boxes": boxes, "labels": labels}


def require_labels(train: ImageSet, val: ImageSet) -> tuple[Category, ...]:
    """The categories to train for."""
    if not train.categories:
        raise DataError(f"{train.name}: required images with boxes to train a detector on, found none")
    if val.categories != train.categories:
        ours, theirs = (", ".join(category.name for category in each.categories) for each in (train, val))
        raise DataError(f"{val.name}: required the categories of {train.name} ({ours}), found {theirs or 'none'}")
    if not any(len(val[index].boxes) for index in range(len(val))):
        raise DataError(f"{val.name}: required at least one box to validate with, found none")
    return train.categories
