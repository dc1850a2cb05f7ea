"""What the feature cache saves: an epoch of crops from it against an epoch through the detector.

The detector is torchvision's `fasterrcnn_resnet50_fpn` at 320 pixels, small for it: its pyramid and its time both grow
with the area. Both sides make the same batches by the same code; the detector's side has a cache without a budget, so
that each image is decoded, scaled, run through backbone and FPN, rounded and cropped. The files are in the page cache, as
they are from the second epoch on where memory suffices.

What limits the cached side is told by doing more and more of its work: mapping the files and reading their headers; copying
the windows, float16 as stored; making them float32, channels first; putting the batch together.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from in_turns import in_turns
from PIL import Image
from safetensors import safe_open

from fpnkit.config.schema import TorchvisionDetector
from fpnkit.data.cache import FeatureCache
from fpnkit.data.feature_file import SUFFIX, read_features
from fpnkit.data.features import Window, cells
from fpnkit.data.folder import FolderSet
from fpnkit.detectors.build import build_detector
from fpnkit.pyramid import ImageGeometry
from fpnkit.training.batches import CropBatches
from fpnkit.training.prepare import feature_cache
from fpnkit.config.schema import Cache
