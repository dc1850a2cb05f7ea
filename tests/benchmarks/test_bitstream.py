"""What coding a pyramid into a `.fpn` file costs beside compressai's own `compress` and `decompress`.

compressai's side is what its `FactorizedPrior` does for one image, level by level with the same transforms and the same
tables: analysis and `EntropyBottleneck.compress`; `decompress` and synthesis. fpnkit's side is `LearnedCoder`: beyond
that it standardizes, checks, estimates the bits, takes the checksums of symbols and file, pads payloads against reading
behind their end, and packs and unpacks the file. The pyramid is that of a ResNet-50 FPN for an image of 320 x 448:
256 channels at strides 4 to 32. Features and weights are random and the prior is untrained, so that a symbol takes
some 5 bits, twice what it takes in a trained codec.
"""

import time
from collections.abc import Callable, Mapping

import pytest
import torch
from compressai.entropy_models import EntropyBottleneck
from torch import Tensor

from fpnkit.codecs.build import build_codec
from fpnkit.codecs.coder import CoderInput
from fpnkit.codecs.factorized import FactorizedPyramidCodec, LevelCodec
from fpnkit.codecs.learned import LearnedCoder
from fpnkit.codecs.saved import TrainedCodec
from fpnkit.config.schema import FactorizedCodec
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec
from tests.support import tiny
from tests.support.in_turns import in_turns

HEIGHT, WIDTH, CHANNELS = 320, 448, 256
SPEC = PyramidSpec(tuple(LevelSpec(f"p{k}", CHANNELS, 2**k) for k in (2, 3, 4, 5)))
REPETITIONS = 10


def trained() -> TrainedCodec:
    torch.manual_seed(0)
    codec = build_codec(FactorizedCodec(channels=96, latent_channels=96), SPEC).eval()
    assert isinstance(codec, FactorizedPyramidCodec)
    with torch.no_grad():
        for level in codec.levels.values():
            level.analysis[-1].weight.mul_(10)  # latents of several values
    codec.update_tables()
    return TrainedCodec(codec, tiny.config(), "", 1, "00000000")


def source() -> CoderInput:
    torch.manual_seed(1)
    levels = {
        level.name: torch.randn(1, CHANNELS, HEIGHT // level.stride, WIDTH // level.stride) for level in SPEC.levels
    }
    geometry = ImageGeometry((HEIGHT, WIDTH), (HEIGHT, WIDTH), (HEIGHT, WIDTH))
    return CoderInput(torch.zeros(3, HEIGHT, WIDTH, dtype=torch.uint8), Pyramid(levels), geometry)


Coded = Mapping[str, tuple[list[bytes], torch.Size]]


class Compressai:
    """The same transforms, compressai's way of calling its entropy model."""

    def __init__(self, codec: FactorizedPyramidCodec) -> None:
        self.levels = {name: level for name, level in codec.levels.items() if isinstance(level, LevelCodec)}

    @torch.no_grad()
    def encode(self, pyramid: Pyramid) -> Coded:
        latents = {name: level.analysis(pyramid[name]) for name, level in self.levels.items()}
        return {
            name: (EntropyBottleneck.compress(self.levels[name].bottleneck, y), y.shape[-2:])
            for name, y in latents.items()
        }

    @torch.no_grad()
    def decode(self, coded: Coded) -> dict[str, Tensor]:
        return {
            name: level.synthesis(EntropyBottleneck.decompress(level.bottleneck, *coded[name]))
            for name, level in self.levels.items()
        }


def seconds(work: Callable[[], object]) -> float:
    """Of the processor, the least of some: what the work takes on one thread when nothing interferes."""
    times = []
    for _ in range(REPETITIONS + 1):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


@torch.no_grad()
def shares(model: TrainedCodec, coder: LearnedCoder, original: CoderInput, data: bytes) -> str:
    """Where the time goes: transforms, entropy coder with the making of its lists, everything else."""
    codec = model.codec
    assert isinstance(codec, FactorizedPyramidCodec)
    levels = {name: level for name, level in codec.levels.items() if isinstance(level, LevelCodec)}
    latents = {name: level.analysis(original.pyramid[name])[0] for name, level in levels.items()}
    symbols = {name: level.bottleneck.symbols(latents[name]).int() for name, level in levels.items()}
    payloads = {name: level.bottleneck.encode(symbols[name]) for name, level in levels.items()}
    sizes = {name: (each.shape[1], each.shape[2]) for name, each in symbols.items()}
    parts = {
        "encode": (
            seconds(lambda: [level.analysis(original.pyramid[name]) for name, level in levels.items()]),
            seconds(lambda: [level.bottleneck.encode(symbols[name]) for name, level in levels.items()]),
            seconds(lambda: coder.encode(original)),
        ),
        "decode": (
            seconds(lambda: [level.synthesis(latents[name][None]) for name, level in levels.items()]),
            seconds(lambda: [level.bottleneck.decode(payloads[name], sizes[name]) for name, level in levels.items()]),
            seconds(lambda: coder.decode(data)),
        ),
    }
    megabytes = sum(level.numel() for level in original.pyramid.values()) * 4 / 1e6
    count = sum(each.numel() for each in symbols.values())
    lines = [f"{count} symbols, {8 * len(data) / count:.2f} bits each; {megabytes:.1f} MB of features an image"]
    for what, (network, entropy, whole) in parts.items():
        lines.append(
            f"{what}: {1 / whole:.1f} images/s, {megabytes / whole:.0f} MB/s; transforms {network / whole:.0%}, "
            f"entropy coder {entropy / whole:.0%}, everything else {1 - (network + entropy) / whole:.0%}"
        )
    return "\n".join(lines)


@pytest.mark.benchmark
def test_coding_beside_compressais_compress_and_decompress() -> None:
    torch.set_num_threads(1)
    model, original = trained(), source()
    coder, other = LearnedCoder(model), Compressai(model.codec)  # type: ignore[arg-type]
    data, other_data = coder.encode(original).data, other.encode(original.pyramid)
    encoding = in_turns(
        lambda: lambda: coder.encode(original), lambda: lambda: other.encode(original.pyramid), REPETITIONS
    )
    decoding = in_turns(lambda: lambda: coder.decode(data), lambda: lambda: other.decode(other_data), REPETITIONS)
    print(encoding.table("encode one image", ("LearnedCoder.encode", "analysis + compressai's compress"), 1, "image"))
    print(decoding.table("decode it", ("LearnedCoder.decode", "compressai's decompress + synthesis"), 1, "image"))
    print(shares(model, coder, original, data))
    payloads = sum(len(strings[0]) for strings, _ in other_data.values())
    assert len(data) - payloads <= 48  # the same payloads; what is more are header and checks
    found, expected = coder.decode(data).pyramid, other.decode(other_data)
    assert all(torch.equal(found[name], expected[name]) for name in found)  # the standardiser does nothing here
