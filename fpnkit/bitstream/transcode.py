"""Images → `.fpn` files → features."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save

from fpnkit import container
from fpnkit.codecs.coder import CoderInput
from fpnkit.codecs.learned import LearnedCoder
from fpnkit.codecs.saved import TrainedCodec, load_codec
from fpnkit.container import StreamFile
from fpnkit.data.files import problems_of_files, read_rgb
from fpnkit.detectors.base import Detector
from fpnkit.detectors.build import build_detector
from fpnkit.detectors.one_image import features_of
from fpnkit.errors import DataError
from fpnkit.foundation.files import write_bytes
from fpnkit.metrics.rate import bpp

Work = Callable[[Path, Path], str]  # makes the second file of the first, and says what it made


def encoder(checkpoint: Path, images: Sequence[Path]) -> Work:
    """From image files to `.fpn` files. Checks everything first that does not need the detector."""
    problems = problems_of_files(images, [str(path) for path in images])
    if problems:
        raise DataError("\n".join(problems))
    trained = load_codec(checkpoint)
    detector = _detector(trained, checkpoint)
    coder = LearnedCoder(trained)

    def work(source: Path, target: Path) -> str:
        data, (height, width) = _encode_image(coder, detector, source)
        write_bytes(target, data)
        return f"{len(data)} bytes, {bpp(8 * len(data), height * width):.4f} bpp"

    return work


def decoder(checkpoint: Path, files: Sequence[Path]) -> Work:
    """From `.fpn` files to `.safetensors` files. Checks everything first except the payloads."""
    coder = LearnedCoder(load_codec(checkpoint))
    for path in files:
        stream = container.read_file(path)
        with container.naming(path):
            coder.check(stream)

    def work(source: Path, target: Path) -> str:
        stream = container.read_file(source)
        with container.naming(source):
            data = _features(coder, stream)
        write_bytes(target, data)
        return f"{len(data)} bytes"

    return work


def _detector(trained: TrainedCodec, checkpoint: Path) -> Detector:
    detector = build_detector(trained.config.detector)
    trained.require_detector(str(checkpoint), detector.name, detector.fingerprint())
    return detector


@torch.no_grad()
def _encode_image(coder: LearnedCoder, detector: Detector, path: Path) -> tuple[bytes, tuple[int, int]]:
    image = read_rgb(path, upright=True)
    features = features_of(detector, image)
    with container.naming(path):
        coded = coder.encode(CoderInput(image, features.pyramid, features.geometry))
    return coded.data, (image.shape[1], image.shape[2])


def _features(coder: LearnedCoder, stream: StreamFile) -> bytes:
    """safetensors with a single metadata entry, because several would be in random order."""
    received = coder.decode_stream(stream)
    about = {"codec": stream.codec, "model_hash": stream.model_hash, "geometry": asdict(received.geometry)}
    levels = {name: level.contiguous() for name, level in received.pyramid.items()}
    data: bytes = save(levels, {"fpnkit": json.dumps(about)})
    return data
