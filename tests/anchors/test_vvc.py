"""VVC through ffmpeg: what its process may do, and what comes back."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fpnkit.anchors import vvc
from fpnkit.anchors.catalogue import missing_encoders, select
from fpnkit.anchors.ffmpeg import FfmpegError, run_ffmpeg
from fpnkit.errors import StreamError, UserError
from tests.support.anchor_inputs import needs_vvc

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
pytestmark = needs_vvc


def smooth(rows: int, columns: int) -> vvc.Frame:
    """A frame with something of everything in it."""
    steps = np.random.default_rng(0).normal(0, 6, (rows, columns))
    return np.clip(512 + steps.cumsum(0).cumsum(1) / 8 + steps, 0, 1023).astype(np.uint16)


@pytest.mark.parametrize("size", [(16, 16), (24, 136), (72, 40)])
def test_a_gray_frame_of_ten_bits_comes_back(size: tuple[int, int]) -> None:
    frame = smooth(*size)
    back = vvc.decode_frame(vvc.encode_frame(frame, size, "gray10le", 4), size, "gray10le")
    assert back.shape == size
    assert np.abs(back.astype(int) - frame).mean() < 1.5  # of 1023: more than eight bits are kept


def test_any_number_of_threads_gives_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = smooth(96, 120)
    one = vvc.encode_frame(frame, (64, 120), "yuv420p10le", 30, vvc.FOR_PICTURES)
    options = tuple("4" if each == "1" and before == "-threads" else each for before, each in pairs(vvc._OPTIONS))
    assert options != vvc._OPTIONS
    monkeypatch.setattr(vvc, "_OPTIONS", options)
    assert vvc.encode_frame(frame, (64, 120), "yuv420p10le", 30, vvc.FOR_PICTURES) == one


def pairs(options: tuple[str, ...]) -> list[tuple[str, str]]:
    return list(zip(("", *options), options, strict=False))


def test_a_stream_says_little_beside_the_picture() -> None:
    flat = np.full((480, 320), 512, np.uint16)
    assert len(vvc.encode_frame(flat, (320, 320), "yuv420p10le", 30)) < 110


def test_a_stream_of_two_frames_is_refused() -> None:
    stream = vvc.encode_frame(smooth(24, 16), (16, 16), "yuv420p10le", 30)
    with pytest.raises(StreamError) as caught:
        vvc.decode_frame(stream * 2, (16, 16), "yuv420p10le")
    told = "VVC stream: required one frame 16 x 16 420p10, found 16 x 16 420p10, more than once"
    assert str(caught.value) == told


def test_a_stream_of_another_format_or_of_a_huge_picture_is_refused() -> None:
    stream = vvc.encode_frame(smooth(960, 640), (640, 640), "yuv420p10le", 50)
    for size, kind, found in (((640, 640), "gray10le", "640 x 640 420p10"), ((16, 16), "yuv420p10le", "none")):
        with pytest.raises(StreamError) as caught:
            vvc.decode_frame(stream, size, kind)
        expected = f"{size[0]} x {size[1]} {'mono10' if kind == 'gray10le' else '420p10'}"
        assert str(caught.value) == f"VVC stream: required one frame {expected}, found {found}"


def test_a_quantizer_that_does_not_exist_is_told_in_the_encoders_words() -> None:
    with pytest.raises(UserError) as caught:
        vvc.encode_frame(smooth(16, 16), (16, 16), "gray10le", 64)
    reason = "Value 64.000000 for parameter 'qp' out of range [-1 - 63]"
    assert str(caught.value) == f"VVC: required a frame that VVenC takes, found 16 x 16 ({reason})"


def test_a_process_that_hangs_is_ended() -> None:
    with pytest.raises(FfmpegError) as caught:
        run_ffmpeg(["-re", "-f", "lavfi", "-i", "color=s=16x16", "-f", "null", "-"], b"", seconds=0.3)
    assert str(caught.value) == "nothing after 0.3 s"


def test_the_encoder_is_told_with_the_versions_of_all_three() -> None:
    start, _, settings = vvc.encoder_of("alf=0").partition(" medium ")
    wheel, ffmpeg, encoder = start.split(", ")
    assert wheel == f"imageio-ffmpeg {imageio_ffmpeg.__version__}"
    assert ffmpeg == f"ffmpeg {imageio_ffmpeg.get_ffmpeg_version()}"
    assert encoder.startswith("vvenc 1.")
    assert settings == "-g 1 -qpa 0 -threads 1 accessunitdelimiter=0:intraqpoffset=0:alf=0"


@pytest.mark.skipif(os.name == "nt", reason="needs a program that is a script")
def test_another_ffmpeg_without_vvenc_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(
        f'#!{sys.executable}\nimport sys\nif "-version" in sys.argv:\n    print("ffmpeg version 4.2.2 of old")\n'
        "else:\n    sys.exit(\"[vost#0:0 @ 0x5] Unknown encoder 'libvvenc'\\nNothing was written\")\n"
    )
    program.chmod(stat.S_IRWXU)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(program))
    version = imageio_ffmpeg.__version__
    told = f"VVC: required ffmpeg with libvvenc, found imageio-ffmpeg {version}, ffmpeg 4.2.2 without it"
    assert missing_encoders(select(["vvc_input", "jpeg_input"])) == {told: ["vvc_input"]}
    program.unlink()
    told = f"VVC: required an ffmpeg that runs, found {program} (No such file or directory)"
    assert missing_encoders(select(["vvc_input"])) == {told: ["vvc_input"]}


@pytest.mark.parametrize(
    ("module", "anchor", "told"),
    [
        (
            "imageio_ffmpeg",
            "vvc_input",
            'VVC: required imageio-ffmpeg, found none; pip install "fpnkit[vvc]" installs it',
        ),
        (
            "pillow_jxl",
            "jxl_input",
            'JPEG XL: required pillow-jxl-plugin, found none; pip install "fpnkit[jxl]" installs it',
        ),
    ],
)
def test_without_its_wheel_the_message_says_what_brings_it(module: str, anchor: str, told: str) -> None:
    code = (
        f"import sys; sys.modules[{module!r}] = None; from fpnkit.anchors.catalogue import *; "
        f"print(missing_encoders(select([{anchor!r}])))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"{ ({told: [anchor]}) }\n"), done.stderr
