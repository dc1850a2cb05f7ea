"""Batches of random crops from cached pyramids; the crops depend only on seed and epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from fpnkit.data.cache import FeatureCache
from fpnkit.data.windows import Features, random_window
from fpnkit.pyramid import Pyramid, PyramidSpec
from fpnkit.training.background import one_core_thread
from fpnkit.training.losses import Batch

T = TypeVar("T")


class Prefetcher(Generic[T]):
    """Calls `make(epoch, index)` one batch ahead in a thread, so that training does not wait for reading."""

    def __init__(self, make: Callable[[int, int], T], per_epoch: int) -> None:
        self._make, self._per_epoch = make, per_epoch
        self._thread = one_core_thread("batches")
        self._next: tuple[int, int, Future[T]] | None = None

    def get(self, epoch: int, index: int) -> T:
        """The batch; any order works, the natural order is fast."""
        if self._next is not None and self._next[:2] == (epoch, index):
            batch = self._next[2].result()
        else:
            batch = self._make(epoch, index)
        following = (epoch, index + 1) if index + 1 < self._per_epoch else (epoch + 1, 0)
        self._next = (*following, self._thread.submit(self._make, *following))
        return batch

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(cancel_futures=True)


def chosen(seed: int, epoch: int, index: int, batch_size: int, items: int) -> list[int]:
    """The items of batch `index` in the epoch's random order."""
    order = np.random.default_rng([seed, epoch]).permutation(items)
    return [int(item) for item in order[index * batch_size : (index + 1) * batch_size]]


class CropBatches:
    """Crops of `crop` pixels of the network input (less if images are smaller) at random places."""

    def __init__(
        self, cache: FeatureCache, spec: PyramidSpec, *, batch_size: int, crop: int, crops_per_image: int, seed: int
    ) -> None:
        self._cache, self._spec, self._batch_size, self._crop, self._seed = cache, spec, batch_size, crop, seed
        self._items = len(cache) * crops_per_image
        self.per_epoch = max(1, self._items // batch_size)  # a last smaller batch is left out

    def batch(self, epoch: int, index: int) -> Batch:
        """Batch `index` of `epoch`."""
        items = chosen(self._seed, epoch, index, self._batch_size, self._items)
        crops = [self._random_crop(item, np.random.default_rng([self._seed, epoch, item])) for item in items]
        windows = [crop.window for crop in crops if crop.window is not None]
        # Images smaller than the crop make the whole batch smaller, because its crops must have one size.
        height, width = min(window.height for window in windows), min(window.width for window in windows)

        def together(name: str, parts: Sequence[Tensor]) -> Tensor:
            stride = self._spec[name].stride
            rows, columns = -(-height // stride), -(-width // stride)
            return torch.cat([part[..., :rows, :columns] for part in parts])

        levels = {name: together(name, [crop.pyramid[name] for crop in crops]) for name in self._spec.names}
        pixels = [
            crop.geometry.original_pixels(window.top, window.left, height, width)
            for crop, window in zip(crops, windows, strict=True)
        ]
        geometry = tuple(
            crop.geometry.window(window.top, window.left, height, width)
            for crop, window in zip(crops, windows, strict=True)
        )
        return Batch(Pyramid(levels), sum(pixels), geometry)

    def _random_crop(self, item: int, rng: np.random.Generator) -> Features:
        return self._cache.crop(
            item % len(self._cache), lambda geometry: random_window(geometry, self._crop, self._spec, rng)
        )
