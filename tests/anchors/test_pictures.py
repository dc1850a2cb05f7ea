import contextlib
import io
import math

import pytest
import torch
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from fpnkit.anchors.catalogue import ANCHORS, Anchor
from fpnkit.anchors.ffmpeg import run_ffmpeg
from fpnkit.anchors.pictures import AVIF, HEVC, JPEG, JXL, VVC, WEBP, ImageAnchor, PictureFormat
from fpnkit.errors import StreamError, UserError
from fpnkit.foundation.varints import varints
from fpnkit.pyramid import PyramidSpec
from tests.support.anchor_inputs import (
    as_image,
    fit_of,
    image_source,
    needs_av,
    needs_jxl,
    needs_vvc,
    shapes_image,
    with_skips,
)

FINE = {"jpeg": 95, "webp": 95, "avif": 90, "hevc": 12, "vvc": 12, "jxl": 98}
IMAGES = [anchor for anchor in ANCHORS if "images" in anchor.families]

VIDEO = [pytest.param(HEVC, marks=needs_av), pytest.param(VVC, marks=needs_vvc)]
PICTURES = [JPEG, WEBP, AVIF, pytest.param(JXL, marks=needs_jxl), *VIDEO]
FORMATS = {"hevc": "yuv420p", "vvc": "420p10"}  # as their messages call them
every_picture = pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)


def psnr_db(a: Tensor, b: Tensor) -> float:
    return 10 * math.log10(255**2 / max(1e-9, (a.double() - b.double()).square().mean().item()))


@every_picture
@pytest.mark.parametrize("size", [(1, 1), (17, 33), (64, 47), (2, 130)])
def test_a_picture_of_any_size_comes_back_in_that_size(picture: PictureFormat, size: tuple[int, int]) -> None:
    image = shapes_image(*size)
    coder = ImageAnchor(picture, "original", FINE[picture.name])
    received = as_image(coder.decode(coder.encode(image_source(image, size)).data))
    assert received.original == size
    assert received.image.dtype == torch.uint8
    assert received.image.shape == image.shape


@every_picture
def test_a_gray_picture_at_a_fine_quality_is_nearly_what_it_was(picture: PictureFormat) -> None:
    """Gray, because most of them code color at half the resolution."""
    gray = shapes_image(97, 131)[:1].expand(3, -1, -1)
    coder = ImageAnchor(picture, "original", FINE[picture.name])
    received = as_image(coder.decode(coder.encode(image_source(gray, (97, 131))).data))
    assert psnr_db(received.image, gray) > 40


@every_picture
def test_colors_come_back(picture: PictureFormat) -> None:
    flat = torch.tensor([200, 40, 90], dtype=torch.uint8)[:, None, None].expand(3, 30, 41)
    coder = ImageAnchor(picture, "original", FINE[picture.name])
    received = as_image(coder.decode(coder.encode(image_source(flat, (30, 41))).data))
    assert (received.image.int() - flat.int()).abs().max() <= 3


@every_picture
def test_at_input_scale_the_receiver_has_the_contents_size_and_knows_the_originals(picture: PictureFormat) -> None:
    source = image_source(shapes_image(150, 201), (75, 101))
    coder = ImageAnchor(picture, "input", FINE[picture.name])
    received = as_image(coder.decode(coder.encode(source).data))
    assert received.image.shape == (3, 75, 101)
    assert received.original == (150, 201)
    assert psnr_db(received.image, shapes_image(75, 101)) > 28


@every_picture
def test_the_originals_size_costs_two_varints(picture: PictureFormat) -> None:
    source = image_source(shapes_image(64, 200), (64, 200))  # one byte and two
    original, scaled = (ImageAnchor(picture, scale, 40).encode(source).data for scale in ("original", "input"))
    assert len(varints(64, 200)) == 3
    assert scaled == varints(64, 200) + original


def test_scaling_down_is_antialiased() -> None:
    """Of columns 0 0 0 255 an eighth is left: without a filter, only the black between them would be seen."""
    columns = torch.tensor([0, 0, 0, 255], dtype=torch.uint8).repeat(40).expand(3, 80, 160)
    coder = ImageAnchor(JPEG, "input", 95)
    received = as_image(coder.decode(coder.encode(image_source(columns, (10, 20))).data))
    assert (received.image[:, :, 2:-2].float() - 255 / 4).abs().max() < 8


@pytest.mark.parametrize("anchor", with_skips(IMAGES))
def test_along_the_default_qualities_bytes_and_fidelity_rise(anchor: Anchor) -> None:
    source = image_source(shapes_image(192, 192), (192, 192))
    sizes, fidelity = [], []
    for quality in anchor.qualities:
        coder = anchor.build(quality, PyramidSpec(()), fit_of(PyramidSpec(())))
        data = coder.encode(source).data
        sizes.append(len(data))
        fidelity.append(psnr_db(as_image(coder.decode(data)).image, source.image))
    assert len(anchor.qualities) >= 6
    assert sizes == sorted(set(sizes))
    assert fidelity == sorted(set(fidelity))
    assert sizes[-1] > 5 * sizes[0]


@every_picture
def test_encoding_is_deterministic_and_any_receiver_decodes_the_bytes(picture: PictureFormat) -> None:
    source = image_source(shapes_image(50, 70), (40, 56))
    data = ImageAnchor(picture, "input", 30).encode(source).data
    assert ImageAnchor(picture, "input", 30).encode(source).data == data
    same, other = (ImageAnchor(picture, "input", quality).decode(data) for quality in (30, 50))
    assert torch.equal(as_image(same).image, as_image(other).image)


def test_a_picture_larger_than_the_format_has_is_refused() -> None:
    long = torch.zeros(3, 1, 16384, dtype=torch.uint8)
    with pytest.raises(UserError) as caught:
        ImageAnchor(WEBP, "original", 50).encode(image_source(long, (1, 16384)))
    start, _, reason = str(caught.value).partition(" (")
    assert start == "webp: required an image that it can hold, found 1 x 16384"
    assert reason.startswith("encoding error 5")  # of libwebp: bad dimension


@pytest.mark.parametrize(
    "picture", [JPEG, WEBP, AVIF, pytest.param(JXL, marks=needs_jxl)], ids=lambda picture: picture.name
)
@pytest.mark.parametrize("data", [b"", b"no picture at all" * 9])
def test_what_is_no_picture_is_one_clear_error(picture: PictureFormat, data: bytes) -> None:
    with pytest.raises(StreamError) as caught:
        ImageAnchor(picture, "original", 50).decode(data)
    assert str(caught.value) == f"{picture.name} stream: required a whole picture, found something else"


@pytest.mark.parametrize("picture", VIDEO, ids=lambda picture: picture.name)
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "stream: required 1 more bytes, found 0; the file is cut off"),
        (b"\x00\x01\x00", "stream: required sides from 1 to 65535, found 0 x 1"),
        (b"\x01\x01\x09abc", "stream: required 9 more bytes, found 3; the file is cut off"),
        (b"\x01\x01\x02abc", "stream: required its end, found 1 more bytes"),
        (b"\x01\x01\x03abc", "NAME stream: required one frame 16 x 16 FORMAT, found none"),
    ],
)
def test_what_is_no_video_picture_is_one_clear_error(picture: PictureFormat, data: bytes, message: str) -> None:
    with pytest.raises(StreamError) as caught:
        ImageAnchor(picture, "original", 30).decode(data)
    assert str(caught.value) == message.replace("NAME", picture.name.upper()).replace("FORMAT", FORMATS[picture.name])


@pytest.mark.parametrize("picture", VIDEO, ids=lambda picture: picture.name)
def test_a_video_stream_of_another_picture_is_refused(picture: PictureFormat) -> None:
    coder = ImageAnchor(picture, "original", 30)
    stream = coder.encode(image_source(shapes_image(40, 24), (40, 24))).data[2:]
    with pytest.raises(StreamError) as caught:
        coder.decode(varints(48, 24) + stream)
    name, form = picture.name.upper(), FORMATS[picture.name]
    assert str(caught.value) == f"{name} stream: required one frame 48 x 24 {form}, found 40 x 24 {form}"


@every_picture
@limits(max_examples=30)
@given(st.data())
def test_a_broken_file_decodes_to_something_or_is_a_stream_error(picture: PictureFormat, data: st.DataObject) -> None:
    whole = ImageAnchor(picture, "input", 40).encode(image_source(shapes_image(24, 31), (24, 31))).data
    broken = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for place in data.draw(st.lists(st.integers(0, max(0, len(broken) - 1)), max_size=4)):
        broken[place : place + 1] = bytes([data.draw(st.integers(0, 255))])
    with contextlib.suppress(StreamError):
        image = as_image(ImageAnchor(picture, "input", 40).decode(bytes(broken))).image
        assert image.dtype == torch.uint8
        assert image.shape[0] == 3


@every_picture
def test_a_file_that_lacks_its_last_quarter_is_refused(picture: PictureFormat) -> None:
    coder = ImageAnchor(picture, "original", 40)
    whole = coder.encode(image_source(shapes_image(100, 100), (100, 100))).data
    with pytest.raises(StreamError):
        coder.decode(whole[: len(whole) * 3 // 4])


@needs_jxl
@pytest.mark.parametrize("side", [2**30, 12_000])
def test_a_jxl_stream_that_claims_a_huge_picture_is_refused_before_it_is_decoded(side: int) -> None:
    """The codestream begins with its size (ISO/IEC 18181-1, SizeHeader): here not small, 30 bits, as wide as high."""
    header = 0 | 3 << 1 | (side - 1) << 3 | 1 << 33
    claims = b"\xff\x0a" + header.to_bytes(5, "little") + bytes(40)
    with pytest.raises(StreamError) as error:
        JXL.decode(claims)
    assert str(error.value) == f"jxl stream: required at most 134217728 pixels, found {side} x {side}"


def _animation(name: str, frames: int) -> bytes:
    pictures = [Image.fromarray(shapes_image(24, 24 + n)[:, :, n:].permute(1, 2, 0).numpy()) for n in range(frames)]
    file = io.BytesIO()
    pictures[0].save(file, "mpo" if name == "jpeg" else name, save_all=True, append_images=pictures[1:])
    return file.getvalue()


@pytest.mark.parametrize("picture", [JPEG, WEBP, AVIF], ids=lambda picture: picture.name)
def test_a_file_of_several_frames_is_refused(picture: PictureFormat) -> None:
    assert picture.decode(_animation(picture.name, 1)).shape == (3, 24, 24)
    with pytest.raises(StreamError) as error:
        picture.decode(_animation(picture.name, 3))
    assert str(error.value) == f"{picture.name} stream: required one frame, found 3"


def _jxl_by_ffmpeg(frames: int, coder: str) -> bytes:
    pixels = b"".join(shapes_image(24, 32 + n)[:, :, n:].permute(1, 2, 0).numpy().tobytes() for n in range(frames))
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "32x24", "-i", "pipe:0"]
    return run_ffmpeg([*source, "-c:v", coder, "-f", "image2pipe", "pipe:1"], pixels, seconds=60)[0]


@needs_jxl
@needs_vvc
def test_a_jxl_animation_is_refused() -> None:
    whole = _jxl_by_ffmpeg(1, "libjxl")
    bare = whole if whole.startswith(b"\xff\x0a") else whole[whole.index(b"\xff\x0a") :]
    assert JXL.decode(bare).shape == (3, 24, 32)
    animated = _jxl_by_ffmpeg(3, "libjxl_anim")
    with pytest.raises(StreamError) as error:
        JXL.decode(animated[animated.index(b"\xff\x0a") :])
    assert str(error.value) == "jxl stream: required one frame, found an animation"


@needs_jxl
def test_jxl_is_decoded_by_one_thread_as_the_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    from pillow_jxl import JpegXLImagePlugin

    asked: list[int] = []

    def decoder(num_threads: int) -> object:
        asked.append(num_threads)
        return real(num_threads=num_threads)

    data = JXL.encode(shapes_image(24, 32), 60)
    real = JpegXLImagePlugin.Decoder
    monkeypatch.setattr(JpegXLImagePlugin, "Decoder", decoder)
    assert JXL.decode(data).shape == (3, 24, 32)
    assert asked == [0]
