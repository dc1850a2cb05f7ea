"""Streams whose symbols follow a formula, coded once and kept: a later fpnkit has to read them.

python -m tests.support.golden makes them again under tests/support/streams/.
"""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch

from fpnkit.codecs.factorized import FactorizedPyramidCodec
from fpnkit.container import Size, StreamFile, of_each_level, write
from fpnkit.geometry import ImageGeometry
from tests.support.fixed_codec import LATENT_CHANNELS, trained

FOLDER = Path(__file__).parent / "streams"


@dataclass(frozen=True)
class Golden:
    geometry: ImageGeometry
    sizes: tuple[Size, Size]
    scale: int  # of the symbols; many of those that are not small are escaped

    def symbols(self, level: int) -> list[int]:
        """Channel, row, column; a latent of p2 covers 8 x 8 cells, one of p3 4 x 4."""
        covered = (8, 4)[level]
        rows, columns = (-(-side // covered) for side in self.sizes[level])
        return [
            self.scale * ((7 * channel + 5 * row + 3 * column + level) % 9 - 4)
            for channel in range(LATENT_CHANNELS)
            for row in range(rows)
            for column in range(columns)
        ]

    def symbols_crc(self) -> int:
        symbols = [*self.symbols(0), *self.symbols(1)]
        return zlib.crc32(struct.pack(f"<{len(symbols)}i", *symbols))


GOLDEN = {
    "plain": Golden(ImageGeometry((128, 144), (64, 72), (64, 72), (0, 0)), ((16, 18), (8, 9)), 1),
    "one_cell": Golden(ImageGeometry((1, 1), (1, 1), (3, 5), (1, 2)), ((1, 2), (1, 1)), 1),
    "odd_sizes_and_escapes": Golden(ImageGeometry((99, 301), (50, 150), (70, 161), (9, 0)), ((19, 40), (8, 20)), 1000),
}


def make(golden: Golden) -> bytes:
    model = trained()
    assert isinstance(model.codec, FactorizedPyramidCodec)
    payloads = []
    for number, level in enumerate(model.codec.levels.values()):
        symbols = torch.tensor(golden.symbols(number), dtype=torch.int32)
        rows = -(-golden.sizes[number][0] // (8, 4)[number])
        payloads.append(level.bottleneck.encode(symbols.view(LATENT_CHANNELS, rows, -1)))
    crc = golden.symbols_crc()
    return write(StreamFile("factorized", model.hash, golden.geometry, golden.sizes, of_each_level(*payloads), crc))


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, golden in GOLDEN.items():
        (FOLDER / f"{name}.fpn").write_bytes(make(golden))
