"""A stream of the fused codec that was written once is read the same for ever."""

import os
import subprocess
import sys

import pytest
import torch

from fpnkit.container import read, write
from tests.support import ROOT, fused, golden_fused

# The symbols' checksum is compared by `decode` itself.
DECODE = """
from tests.support import golden_fused
found, expected = golden_fused.codec().decode(golden_fused.streams()), golden_fused.decoded()
print(max(float((found[name] - expected[name]).abs().max()) for name in expected))
"""


def test_the_symbols_are_those_of_then_and_the_features_nearly() -> None:
    codec, expected = golden_fused.codec(), golden_fused.decoded()
    found = codec.decode(golden_fused.streams())  # raises StreamError if one symbol differs
    deviations = codec.standardiser.deviation.tolist()
    for (name, level), deviation in zip(expected.items(), deviations, strict=True):
        assert (found[name] - level).abs().max() <= 1e-4 * deviation


@pytest.mark.parametrize(
    "settings",
    [
        {"ATEN_CPU_CAPABILITY": "default"},
        {"ONEDNN_MAX_CPU_ISA": "SSE41"},
        pytest.param({"ATEN_CPU_CAPABILITY": "avx2"}, marks=pytest.mark.slow),
        pytest.param({"OMP_NUM_THREADS": "2", "MKL_CBWR": "COMPATIBLE"}, marks=pytest.mark.slow),
    ],
    ids=lambda settings: " ".join(f"{key}={value}" for key, value in settings.items()),
)
def test_other_kernels_read_the_same_symbols(settings: dict[str, str]) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **settings}
    command = [sys.executable, "-W", "ignore", "-c", DECODE]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) <= 1e-3


def test_coding_the_decoded_symbols_gives_the_same_payload_today() -> None:
    codec, streams = golden_fused.codec(), golden_fused.streams()
    part = codec.parts["shared"]
    quality = torch.tensor([streams.quality])
    side = part.side([streams.geometry], torch.zeros(1, 1, *part.grid(streams.sizes)), quality)
    coded = part.entropy.read(streams.payloads["shared"].data, side, part.exact_steps(quality, 1))
    assert coded.symbols.unique().numel() > 3
    assert part.entropy.write(coded) == streams.payloads["shared"].data


def test_the_file_has_no_name_for_its_only_payload_and_a_short_header() -> None:
    data = golden_fused.STREAM.read_bytes()
    file = read(data)
    assert write(file) == data
    assert (file.codec, file.quality) == ("fused", 1.375)
    assert [(each.name, each.levels) for each in file.payloads] == [("", tuple(range(len(fused.SPEC.names))))]
    assert file.header_bytes <= 40
