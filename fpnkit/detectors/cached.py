"""The feature cache of a detector's pyramids."""

from __future__ import annotations

from pathlib import Path

from fpnkit.config.schema import Cache
from fpnkit.data.cache import FeatureCache, default_root
from fpnkit.data.images import ImageSet
from fpnkit.data.windows import Features
from fpnkit.detectors.base import Detector
from fpnkit.detectors.one_image import features_of
from fpnkit.errors import UserError


def feature_cache(settings: Cache, detector: Detector, images: ImageSet, *, read_only: bool = False) -> FeatureCache:
    """Pyramids of the images of a set."""

    def compute(index: int) -> Features:
        return features_of(detector, images[index].image)

    root = Path(settings.directory) if settings.directory else default_root()
    file = next((part for part in (root, *root.parents) if part.exists() and not part.is_dir()), None)
    if file is not None:
        raise UserError(f"cache.directory {root}: required a directory, found the file {file}")
    identities = [images.identity(index) for index in range(len(images))]
    budget_bytes = int(settings.budget_gb * 1e9)
    return FeatureCache(root, detector.fingerprint(), detector.spec, identities, compute, budget_bytes, read_only)
