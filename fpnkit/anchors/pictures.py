"""The alternative to a feature codec: send the picture and run the whole detector on the receiver's side.

Two scales. `original`: the picture as it is; boxes are reported in its size. `input`: the picture scaled, with
antialiasing, to the size at which the detector will see it; the original's height and width, two varints, stand in
front of the picture and count as bytes of the file. Where a detector enlarges its input, `input` codes more pixels.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import PIL
import torch
import torch.nn.functional as F
from PIL import Image, UnidentifiedImageError, features
from torch import Tensor

from fpnkit.anchors import hevc, jxl, vvc
from fpnkit.anchors.colors import from_frame, to_frame
from fpnkit.anchors.fields import read_size, read_to_end, with_length
from fpnkit.codecs.coder import CodedImage, CoderInput, ReceivedImage
from fpnkit.errors import StreamError, UserError
from fpnkit.foundation.varints import ByteReader, varints

Scale = Literal["original", "input"]

_PILLOW = f"Pillow {PIL.__version__}"
_JXL_OPTIONS: Mapping[str, object] = {"effort": 9, "num_threads": 1}


class PictureFormat(Protocol):
    """uint8 RGB (3, height, width) ↔ bytes; the size is in the bytes."""

    @property
    def name(self) -> str: ...

    @property
    def encoder(self) -> str: ...

    def encode(self, image: Tensor, quality: int) -> bytes: ...

    def decode(self, data: bytes) -> Tensor: ...


@dataclass(frozen=True)
class PillowFormat:
    """A Pillow file format; higher quality, better picture."""

    name: str
    library: str  # as Pillow names it in its list of features
    options: Mapping[str, object]

    @property
    def encoder(self) -> str:
        """The library, its version and its settings."""
        options = [f"{key} {value}" for key, value in self.options.items()]
        return ", ".join([_PILLOW, f"{self.library} {features.version(self.library)}", *options])

    def encode(self, image: Tensor, quality: int) -> bytes:
        """Raises `UserError` for a picture that the format cannot hold."""
        file = io.BytesIO()
        try:
            _to_pillow(image).save(file, self.name, quality=quality, **self.options)
        except (OSError, ValueError, KeyError) as error:
            size = f"{image.shape[1]} x {image.shape[2]}"
            raise UserError(f"{self.name}: required an image that it can hold, found {size} ({error})") from error
        return file.getvalue()

    def decode(self, data: bytes) -> Tensor:
        """Raises `StreamError`."""
        try:
            with Image.open(io.BytesIO(data), formats=[self.name]) as picture:
                frames: int = getattr(picture, "n_frames", 1)
                decoded = _to_tensor(picture.convert("RGB"))
        except Exception as error:  # Pillow's parsers raise almost anything on broken files
            found = "something else" if isinstance(error, UnidentifiedImageError) else str(error)
            raise StreamError(f"{self.name} stream: required a whole picture, found {found}") from error
        if frames != 1:
            raise StreamError(f"{self.name} stream: required one frame, found {frames}")
        return decoded


@dataclass(frozen=True)
class HevcPicture:
    """HEVC intra, 8 bits, 4:2:0; quality is the quantizer, so a smaller one gives a better picture.

    Colors as in JPEG (BT.601, full range), chroma averaged over 2x2 pixels. Height, width and length of the stream,
    three varints, stand in front: HEVC has no odd sizes in 4:2:0, and its decoder does not notice truncation.
    """

    name = "hevc"
    _FORMAT = "yuv420p"

    @property
    def encoder(self) -> str:
        """x265 and its settings, and Pillow, which converts colors."""
        return f"{hevc.encoder_of()}, {self._FORMAT}, {_PILLOW}"

    def encode(self, image: Tensor, quality: int) -> bytes:
        """Repeat edges up to a size that HEVC can code."""
        height, width = image.shape[1:]
        padded, side = _padded(image)
        luma, *chroma = _to_pillow(padded).convert("YCbCr").split()
        halves = [plane.resize((side[1] // 2, side[0] // 2), Image.Resampling.BOX) for plane in chroma]
        planes = [np.asarray(plane).reshape(-1, side[1]) for plane in (luma, *halves)]
        stream = hevc.encode_frame(np.concatenate(planes), side, self._FORMAT, quality)
        return varints(height, width) + with_length(stream)

    def decode(self, data: bytes) -> Tensor:
        """Raises `StreamError`."""
        reader = ByteReader(data)
        height, width = read_size(reader)
        side = hevc.padded_side(height), hevc.padded_side(width)
        frame = hevc.decode_frame(read_to_end(reader), side, self._FORMAT)
        chroma = frame[side[0] :].reshape(2, side[0] // 2, side[1] // 2)
        halves = [Image.fromarray(plane).resize((side[1], side[0]), Image.Resampling.BILINEAR) for plane in chroma]
        picture = Image.merge("YCbCr", [Image.fromarray(frame[: side[0]]), *halves]).convert("RGB")
        return _to_tensor(picture.crop((0, 0, width, height)))


@dataclass(frozen=True)
class VvcPicture:
    """VVC intra, 10 bits, 4:2:0; quality is the quantizer. Framed as `HevcPicture`, with the colors of `colors`."""

    name = "vvc"
    _FORMAT: Literal["yuv420p10le"] = "yuv420p10le"

    @property
    def encoder(self) -> str:
        """ffmpeg, VVenC and their settings. Raises `UserError` without them."""
        return f"{vvc.encoder_of(vvc.FOR_PICTURES)}, {self._FORMAT} BT.601"

    def encode(self, image: Tensor, quality: int) -> bytes:
        """Repeat edges up to a size that VVC can code. Raises `UserError` without ffmpeg."""
        padded, side = _padded(image)
        stream = vvc.encode_frame(to_frame(padded), side, self._FORMAT, quality, vvc.FOR_PICTURES)
        return varints(*image.shape[1:]) + with_length(stream)

    def decode(self, data: bytes) -> Tensor:
        """Raises `StreamError`, and `UserError` without ffmpeg."""
        reader = ByteReader(data)
        height, width = read_size(reader)
        side = hevc.padded_side(height), hevc.padded_side(width)
        frame = vvc.decode_frame(read_to_end(reader), side, self._FORMAT)
        return from_frame(frame, side)[:, :height, :width].contiguous()


@dataclass(frozen=True)
class JxlPicture:
    """JPEG XL as Pillow's plugin writes it; higher quality, better picture.

    Quality 0 is a distance of 25, the largest that there is: at its original size a picture is still good then.
    """

    name = "jxl"

    @property
    def encoder(self) -> str:
        """The plugin, which holds libjxl, and its settings. Raises `UserError` without it."""
        options = [f"{key} {value}" for key, value in _JXL_OPTIONS.items()]
        return ", ".join([_PILLOW, jxl.require_plugin(), *options])

    def encode(self, image: Tensor, quality: int) -> bytes:
        """Raises `UserError` without the plugin."""
        jxl.require_plugin()
        file = io.BytesIO()
        _to_pillow(image).save(file, self.name, quality=quality, **_JXL_OPTIONS)
        return file.getvalue()

    def decode(self, data: bytes) -> Tensor:
        """Raises `StreamError`, and `UserError` without the plugin."""
        jxl.require_plugin()
        jxl.require_plausible(data)
        try:
            with Image.open(io.BytesIO(data), formats=[self.name]) as picture:
                return _to_tensor(picture.convert("RGB"))
        except Exception as error:  # the plugin has no error of its own
            raise StreamError("jxl stream: required a whole picture, found one that is broken") from error


# Slow settings: a weak anchor would flatter what it is compared with. Only AVIF stops
# halfway: speed 4 saves 1.5 % of the bytes and takes four times as long.
JPEG = PillowFormat("jpeg", "libjpeg_turbo", {"optimize": True, "progressive": True})
WEBP = PillowFormat("webp", "webp", {"method": 6})
AVIF = PillowFormat("avif", "avif", {"speed": 6, "max_threads": 1})
HEVC, VVC, JXL = HevcPicture(), VvcPicture(), JxlPicture()
FORMATS: Mapping[str, PictureFormat] = {picture.name: picture for picture in (JPEG, WEBP, AVIF, JXL, HEVC, VVC)}


class ImageAnchor:
    """Implements `AnchorCoder`."""

    def __init__(self, picture: PictureFormat, scale: Scale, quality: int) -> None:
        self.name = f"{picture.name}_{scale}"
        self.suffix = f".{picture.name}" if scale == "original" else f".{self.name}"
        self._picture, self._scale, self._quality = picture, scale, quality

    @property
    def encoder(self) -> str:
        """Name of the picture format."""
        return self._picture.encoder

    def encode(self, source: CoderInput) -> CodedImage:
        """Encode one image; its pyramid is ignored."""
        if self._scale == "original":
            return CodedImage(self._picture.encode(source.image, self._quality))
        image = _resized(source.image, source.geometry.content)
        height, width = source.geometry.original
        return CodedImage(varints(height, width) + self._picture.encode(image, self._quality))

    def decode(self, data: bytes) -> ReceivedImage:
        """Raises `StreamError`."""
        if self._scale == "original":
            image = self._picture.decode(data)
            return ReceivedImage(image, (image.shape[1], image.shape[2]))
        reader = ByteReader(data)
        original = read_size(reader)
        return ReceivedImage(self._picture.decode(reader.rest()), original)


def _padded(image: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """With edges repeated, and the size (height, width) that it has then."""
    height, width = image.shape[1:]
    side = hevc.padded_side(height), hevc.padded_side(width)
    padded = F.pad(image.float(), (0, side[1] - width, 0, side[0] - height), mode="replicate")
    return padded.to(torch.uint8), side


def _resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(image.shape[1:]) == size:
        return image
    resized = F.interpolate(image[None].float(), size, mode="bilinear", antialias=True)[0]
    return resized.round().clamp(0, 255).to(torch.uint8)


def _to_pillow(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())


def _to_tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
