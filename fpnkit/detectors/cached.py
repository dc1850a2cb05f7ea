"""The feature cache of a detector's pyramids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from fpnkit.config.schema import Cache
from fpnkit.data.cache import FeatureCache, default_root
from fpnkit.data.images import ImageSet
from fpnkit.data.windows import Features
from fpnkit.detectors.base import Detector
from fpnkit.detectors.one_image import features_of
from fpnkit.errors import UserError


@dataclass(frozen=True)
class FeatureView:
    """A deterministic transform of an image, such as a flip, whose features are cached under their own key."""

    name: str  # part of the key; none: the image as it is
    transform: Callable[[Tensor], Tensor]  # of uint8 RGB (3, height, width)


PLAIN = FeatureView("", lambda image: image)


def feature_cache(
    settings: Cache,
    detector: Detector,
    images: ImageSet,
    *,
    views: Sequence[FeatureView] = (PLAIN,),
    read_only: bool = False,
) -> FeatureCache:
    """Pyramids of all images of a set in the first view, then in the second, and so on."""

    def compute(index: int) -> Features:
        view, image = divmod(index, len(images))
        return features_of(detector, views[view].transform(images[image].image))

    root = Path(settings.directory) if settings.directory else default_root()
    file = next((part for part in (root, *root.parents) if part.exists() and not part.is_dir()), None)
    if file is not None:
        raise UserError(f"cache.directory {root}: required a directory, found the file {file}")
    plain = [images.identity(index) for index in range(len(images))]
    identities = [f"{identity} {view.name}" if view.name else identity for view in views for identity in plain]
    budget_bytes = int(settings.budget_gb * 1e9)
    return FeatureCache(root, detector.fingerprint(), detector.spec, identities, compute, budget_bytes, read_only)
