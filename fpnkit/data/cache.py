"""Features of a frozen detector on disk, so that it runs only once per image."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import random
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from fpnkit.data import cache_folder
from fpnkit.data.feature_file import SUFFIX, ChooseWindow, UnreadableFile, read_features, write_features
from fpnkit.data.windows import Features, as_float16, as_float32, crop
from fpnkit.errors import StorageError
from fpnkit.foundation.files import free_bytes
from fpnkit.pyramid import PyramidSpec

_log = logging.getLogger(__name__)

_PROBES = 4  # images computed to estimate size and time; the first ones warm up, so the fastest counts
_RECOUNT_SECONDS = 10.0  # other processes write below the same root
_MARK_SECONDS = 600.0


def default_root() -> Path:
    """Default directory of the cache."""
    return Path(platformdirs.user_cache_dir("fpnkit")) / "features"


@dataclass(frozen=True)
class CachePlan:
    """What filling will take; bytes and seconds are estimated from the first missing images."""

    directory: Path
    images: int
    present: int
    fitting: int  # missing ones for which budget and disk have room
    image_bytes: int  # of one missing image
    image_seconds: float
    dropped_bytes: int  # features of other detectors that made room
    wanted_bytes: int = 0  # that filling will write, if the disk has them

    @property
    def left_out(self) -> int:
        """Images that will be recomputed whenever they are needed."""
        return self.images - self.present - self.fitting

    def describe(self) -> str:
        """One line for the log."""
        parts = [f"feature cache {self.directory}: {self.present} of {self.images} images present"]
        if self.fitting:
            size, seconds = _size(self.fitting * self.image_bytes), self.fitting * self.image_seconds
            parts.append(f"{self.fitting} to add (about {size}, {seconds:.0f} s)")
        if self.left_out:
            size = _size(self.left_out * self.image_bytes) if self.image_bytes else "no budget"
            parts.append(f"{self.left_out} do not fit ({size}) and are computed whenever they are needed")
        if self.dropped_bytes:
            parts.append(f"dropped {_size(self.dropped_bytes)} of detectors not used for a day")
        return ", ".join(parts)


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


class FeatureCache:
    """Features of images by index: read from disk, or computed and saved while the budget has room.

    `compute` gives the features of image `index`; `identities` identify images and their views, and `fingerprint` the
    detector. `budget_bytes` bounds everything below `root`; `read_only` plans and reads but does not write. Values are
    always rounded to float16, so results do not depend on the budget. Several processes may share one `root`. An
    unreadable file is written again; if the disk refuses a file, a warning is logged and no more are saved. Raises
    `PyramidError` if features do not fit `spec`, and `FpnkitError` if float16 cannot hold a value.
    """

    def __init__(
        self,
        root: Path,
        fingerprint: str,
        spec: PyramidSpec,
        identities: Sequence[str],
        compute: Callable[[int], Features],
        budget_bytes: int,
        read_only: bool = False,
    ) -> None:
        self._root, self._spec, self._compute, self._budget = root, spec, compute, budget_bytes
        self._folder = root / _digest(fingerprint, 16)
        self._names = [_digest(identity, 32) for identity in identities]
        self._writable = budget_bytes > 0 and not read_only
        self._read_only = read_only
        self._room = 0  # bytes that may still be written
        self._recount_at = self._mark_at = 0.0

    def __len__(self) -> int:
        return len(self._names)

    def load(self, index: int) -> Features:
        """All features of an image, float32."""
        return self._get(index, None)

    def crop(self, index: int, choose: ChooseWindow) -> Features:
        """Features of the window that `choose` picks for the image's geometry; only these are read."""
        return self._get(index, choose)

    def plan(self, reserved_bytes: int = 0) -> CachePlan:
        """Compute the first missing images, make room for all, and estimate what filling will take.

        `reserved_bytes` of budget and disk are for what another cache of the same root will write first.
        """
        missing = self._missing()
        probes, image_bytes, seconds, dropped = {}, 0, [0.0], 0
        if missing and self._budget > 0:
            seconds.clear()
            for index in missing[:_PROBES]:
                start = time.perf_counter()
                probes[index] = self._computed(index)
                seconds.append(time.perf_counter() - start)
            image_bytes = sum(probe.pyramid_bytes for probe in probes.values()) // len(probes)
            if self._writable:
                dropped = cache_folder.make_room(
                    self._root, self._folder, len(missing) * image_bytes + reserved_bytes, self._budget
                )
            self._recount_at = 0.0
            for index, features in probes.items():
                self._keep(index, features)
            missing = self._missing()
        room, wanted = 0, 0
        if image_bytes and (self._writable or self._read_only):
            in_budget = self._budget - cache_folder.used_bytes(self._root)
            there = min(in_budget, free_bytes(self._root)) if self._read_only else self._room
            room = max(0, there - reserved_bytes) // image_bytes
            wanted = min(max(0, in_budget - reserved_bytes) // image_bytes, len(missing)) * image_bytes
        self._mark_used()
        return CachePlan(
            directory=self._folder,
            images=len(self),
            present=len(self) - len(missing),
            fitting=min(room, len(missing)),
            image_bytes=image_bytes,
            image_seconds=min(seconds),
            dropped_bytes=dropped,
            wanted_bytes=wanted,
        )

    def fill(self, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Compute and save missing features while there is room.

        `progress(done, total)` is called after each image. Each process goes through the images in its own order and
        skips what already exists, so several can share the work. `progress` may raise to stop.
        """
        missing = self._missing()
        random.Random().shuffle(missing)  # not the global generator, which belongs to training
        for done, index in enumerate(missing, start=1):
            if not self._path(index).exists() and not self._keep(index, self._computed(index)):
                return
            progress(done, len(missing))

    def _get(self, index: int, choose: ChooseWindow | None) -> Features:
        self._mark_used()
        try:
            return read_features(self._path(index), self._spec, choose)
        except UnreadableFile:
            features = self._computed(index)
            self._keep(index, features)
        return as_float32(crop(features, choose(features.geometry), self._spec) if choose else features)

    def _computed(self, index: int) -> Features:
        features = self._compute(index)
        self._spec.check(features.pyramid)
        return as_float16(features, f"image {index}")

    def _keep(self, index: int, features: Features) -> bool:
        """Write the file if there is room; return whether it is on disk."""
        if not self._writable:
            return False
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._recount()
            if self._room < features.pyramid_bytes:
                return False
            self._room -= write_features(self._path(index), features)
        except (OSError, StorageError) as error:
            self._writable = False
            told = "feature cache %s: %s; features are computed whenever they are needed"
            _log.warning(told, self._folder, error, extra={"kind": "cache"})
            return False
        return True

    def _recount(self) -> None:
        if time.monotonic() >= self._recount_at:
            free = shutil.disk_usage(self._folder).free
            self._room = min(self._budget - cache_folder.used_bytes(self._root), free)
            self._recount_at = time.monotonic() + _RECOUNT_SECONDS

    def _mark_used(self) -> None:
        if not self._read_only and time.monotonic() >= self._mark_at:
            self._mark_at = time.monotonic() + _MARK_SECONDS
            with contextlib.suppress(OSError):  # missing or read-only: reading continues
                cache_folder.mark_used(self._folder)

    def _missing(self) -> list[int]:
        stored = cache_folder.stored_names(self._folder)
        return [index for index, name in enumerate(self._names) if name not in stored]

    def _path(self, index: int) -> Path:
        return self._folder / (self._names[index] + SUFFIX)


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:length]
