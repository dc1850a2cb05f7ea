"""RT-DETR, RT-DETRv2 and D-FINE of Hugging Face's transformers, cut between their encoder and their decoder.

Their hybrid encoder ends in levels of one width, which are what a pyramid is elsewhere; the decoder, which looks at
them from a fixed number of queries, is the head (Zhao et al. 2024, arXiv:2304.08069; Lv et al. 2024, arXiv:2407.17140;
Peng et al. 2024, arXiv:2410.13842).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_convert, clip_boxes_to_image

from fpnkit.detectors.base import Detections, HeadOutput, HeadOutputs, ImageBatch, Places
from fpnkit.detectors.torchvision import hash_weights
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec

_VERSION = "detr 1"  # part of the fingerprint; raised when `prepare` or `pyramid` give other numbers
_NOTICED = 0.05  # scores below it hardly change AP, so a codec need not keep them apart
_SMALLEST_SIDE = 1e-3  # of the canvas; keeps the relative error of a box without extent finite


class DetrAdapter:
    """Implements `DetectorWithHeads`; labels are the numbers of the model's configuration."""

    trainable = None

    def __init__(
        self, module: Any, processor: Any, name: str, class_names: Mapping[int, str], score_threshold: float
    ) -> None:
        self.module = module.eval().requires_grad_(False)
        self.name, self.class_names = name, class_names
        self._processor, self._score_threshold = processor, score_threshold
        # Anchors follow from the sizes of the levels. They could be stored for one size, but windows have others.
        self.module.config.anchor_image_size = None
        strides, channels = self.module.config.feat_strides, self.module.config.encoder_hidden_dim
        self.spec = PyramidSpec(tuple(LevelSpec(f"p{s.bit_length() - 1}", channels, s) for s in strides))

    def to(self, device: torch.device) -> None:
        """Move the weights."""
        self.module.to(device)

    def prepare(self, images: Sequence[Tensor]) -> ImageBatch:
        """The model's own preprocessing, which stretches every image to one size."""
        pixels = self._processor(images=list(images), return_tensors="pt")["pixel_values"].to(self.module.device)
        canvas = pixels.shape[-2], pixels.shape[-1]
        sizes = [(image.shape[-2], image.shape[-1]) for image in images]
        return ImageBatch(pixels, tuple(ImageGeometry(size, canvas, canvas) for size in sizes))

    @torch.no_grad()
    def pyramid(self, batch: ImageBatch) -> Pyramid:
        """Backbone and hybrid encoder."""
        model = self.module.model
        mask = torch.ones_like(batch.pixels[:, 0])  # of pixels that are no padding: all
        features = [
            project(level)
            for project, (level, _) in zip(model.encoder_input_proj, model.backbone(batch.pixels, mask), strict=True)
        ]
        return Pyramid(dict(zip(self.spec.names, model.encoder(features).last_hidden_state, strict=True)))

    def complete(self, pyramid: Pyramid) -> Pyramid:
        """Nothing to add: a further level, where the decoder wants one, is computed inside it."""
        self.spec.check(pyramid)
        return pyramid

    @torch.no_grad()
    def detect(self, pyramid: Pyramid, geometry: Sequence[ImageGeometry]) -> list[Detections]:
        """Query selection, decoder, and the model's own post-processing; boxes are clipped to their image."""
        from transformers.modeling_outputs import BaseModelOutput

        levels = list(pyramid.values())
        encoded = BaseModelOutput(last_hidden_state=levels)
        output = self.module(None, encoder_outputs=encoded, inputs_embeds=levels[0])  # asked for device and batch only
        return self._detections(output, geometry)

    def whole(self, images: Sequence[Tensor]) -> list[Detections]:
        """The model's own forward pass, to compare with."""
        batch = self.prepare(images)
        with torch.no_grad():
            return self._detections(self.module(batch.pixels), batch.geometry)

    def heads(
        self, pyramid: Pyramid, geometry: Sequence[ImageGeometry], fixed: HeadOutputs | None = None
    ) -> HeadOutputs:
        """`cells`, of which queries are selected, and `queries`, what the decoder's last layer says of each."""
        memory = _Memory(self.module.model, list(pyramid.values()))
        threshold = max(self._score_threshold, _NOTICED)
        outputs = {"cells": _output(memory.logits, memory.boxes.sigmoid(), threshold)}
        if fixed is None:
            chosen = memory.chosen(self.module.config.num_queries)
        else:
            places = fixed["queries"].places
            assert places is not None
            chosen = torch.stack(list(places.cells))
        logits, boxes = memory.decoded(chosen)
        scores, labels = logits.detach().sigmoid().max(-1)
        places = Places(_corners(boxes.detach(), geometry), list(labels), list(scores), list(chosen))
        return outputs | {"queries": _output(logits, boxes, threshold, places)}

    def fingerprint(self) -> str:
        """Hash of weights, configuration of the preprocessing, and this adapter."""
        prepared = json.dumps(self._processor.to_dict(), sort_keys=True, default=str)
        digest = hashlib.sha256(f"{_VERSION} {self.spec} {prepared}".encode())
        hash_weights(digest, self.module)
        return digest.hexdigest()

    def _detections(self, output: Any, geometry: Sequence[ImageGeometry]) -> list[Detections]:
        sizes = torch.tensor([image.original for image in geometry], device=output.logits.device)
        found = self._processor.post_process_object_detection(
            output, threshold=self._score_threshold, target_sizes=sizes
        )
        return [
            Detections(clip_boxes_to_image(one["boxes"], image.original), one["scores"], one["labels"])
            for one, image in zip(found, geometry, strict=True)
        ]


class _Memory:
    """The levels as the decoder sees them: one long sequence of cells, each with classes and a box of its own.

    What the models compute between encoder and decoder, but with gradients, and with queries that can be given.
    """

    def __init__(self, model: Any, levels: Sequence[Tensor]) -> None:
        self._model = model
        further = [levels[-1]] * (len(model.decoder_input_proj) - len(levels))
        sources = [project(level) for project, level in zip(model.decoder_input_proj, [*levels, *further], strict=True)]
        self._shapes = tuple((level.shape[-2], level.shape[-1]) for level in sources)
        self._cells = torch.cat([level.flatten(2).transpose(1, 2) for level in sources], dim=1)
        anchors, valid = model.generate_anchors(self._shapes, device=self._cells.device, dtype=self._cells.dtype)
        self._memory = model.enc_output(valid.to(self._cells.dtype) * self._cells)
        self.logits: Tensor = model.enc_score_head(self._memory)  # (batch, cell, class)
        self.boxes: Tensor = model.enc_bbox_head(self._memory) + anchors  # (batch, cell, 4), before the sigmoid

    def chosen(self, queries: int) -> Tensor:
        """(batch, query) numbers of the most promising cells."""
        best = self.logits.detach().amax(-1)
        return best.topk(min(queries, best.shape[1]), dim=1).indices

    def decoded(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, query, class) logits and (batch, query, 4) center, width and height as shares of the canvas."""
        shapes = torch.tensor(self._shapes, device=chosen.device)
        starts = torch.cat([shapes.new_zeros(1), shapes.prod(1).cumsum(0)[:-1]])
        output = self._model.decoder(
            inputs_embeds=_at(self._memory, chosen),
            encoder_hidden_states=self._cells,
            encoder_attention_mask=None,
            reference_points=_at(self.boxes, chosen),
            spatial_shapes=shapes,
            spatial_shapes_list=list(self._shapes),
            level_start_index=starts,
        )
        return output.intermediate_logits[:, -1], output.intermediate_reference_points[:, -1]


def _output(logits: Tensor, boxes: Tensor, threshold: float, places: Places | None = None) -> HeadOutput:
    """`boxes`: (batch, place, 4) center, width and height."""
    tenth = boxes.detach()[..., 2:].clamp(min=_SMALLEST_SIDE).repeat(1, 1, 2) / 10
    return HeadOutput(logits, threshold, offsets=boxes, tenth=tenth, places=places)


def _corners(boxes: Tensor, geometry: Sequence[ImageGeometry]) -> list[Tensor]:
    """(batch, query, 4) center, width and height → of each image (query, 4) left, top, right, bottom in its canvas."""
    height, width = geometry[0].canvas
    return list(box_convert(boxes, "cxcywh", "xyxy") * boxes.new_tensor([width, height, width, height]))


def _at(values: Tensor, chosen: Tensor) -> Tensor:
    """(batch, cell, n) → (batch, query, n)."""
    return values.gather(1, chosen[..., None].expand(-1, -1, values.shape[-1]))
