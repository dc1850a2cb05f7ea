"""Batches of random crops from cached pyramids; the crops depend only on seed and epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from fpnkit.data.cache import FeatureCache
from fpnkit.data.windows import Features, Window, random_window
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid, PyramidSpec
from fpnkit.training.background import one_core_thread
from fpnkit.training.losses import Batch
from fpnkit.training.ranks import ALONE, Ranks

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
        self,
        cache: FeatureCache,
        spec: PyramidSpec,
        *,
        batch_size: int,
        crop: int,
        crops_per_image: int,
        seed: int,
        ranks: Ranks = ALONE,
    ) -> None:
        """Raises `ConfigError` if several `ranks` cannot have equal parts."""
        self._cache, self._spec, self._batch_size, self._crop, self._seed = cache, spec, batch_size, crop, seed
        self._items, self._ranks = len(cache) * crops_per_image, ranks
        ranks.require_batch(batch_size, self._items)
        self._geometries: dict[int, ImageGeometry] = {}  # of images seen so far
        self.per_epoch = max(1, self._items // batch_size)  # a last smaller batch is left out

    def batch(self, epoch: int, index: int) -> Batch:
        """Batch `index` of `epoch`; of several processes the own part, with an equal part of the pixels."""
        items = chosen(self._seed, epoch, index, self._batch_size, self._items)
        crops = [self._random_crop(epoch, item) for item in self._ranks.share(items)]
        windows = [self._window(epoch, item) for item in items]
        # Images smaller than the crop make the whole batch smaller, because its crops must have one size.
        height, width = min(window.height for window in windows), min(window.width for window in windows)

        def together(name: str, parts: Sequence[Tensor]) -> Tensor:
            stride = self._spec[name].stride
            rows, columns = -(-height // stride), -(-width // stride)
            return torch.cat([part[..., :rows, :columns] for part in parts])

        levels = {name: together(name, [crop.pyramid[name] for crop in crops]) for name in self._spec.names}
        whole = [
            (self._geometries[item % len(self._cache)], window) for item, window in zip(items, windows, strict=True)
        ]
        pixels = [each.original_pixels(window.top, window.left, height, width) for each, window in whole]
        geometry = tuple(
            each.window(window.top, window.left, height, width) for each, window in self._ranks.share(whole)
        )
        return Batch(Pyramid(levels), sum(pixels) / self._ranks.size, geometry)

    def _random_crop(self, epoch: int, item: int) -> Features:
        image = item % len(self._cache)

        def choose(geometry: ImageGeometry) -> Window:
            self._geometries[image] = geometry
            return self._window(epoch, item)

        return self._cache.crop(image, choose)

    def _window(self, epoch: int, item: int) -> Window:
        """Also of a crop that another process reads."""
        image = item % len(self._cache)
        if image not in self._geometries:
            self._random_crop(epoch, item)  # what it reads is not needed, but this image's geometry is known for good
        rng = np.random.default_rng([self._seed, epoch, item])
        return random_window(self._geometries[image], self._crop, self._spec, rng)
