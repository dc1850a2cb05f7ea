"""A small fused codec with its weights and tables, a stream that it wrote, and what was decoded then.

`python -m tests.support.golden_fused` writes them anew, which no change of the code should need.
"""

from __future__ import annotations

import numpy as np
import torch

from fpnkit.codecs.base import Payload, Streams
from fpnkit.codecs.fused import FusedPyramidCodec
from fpnkit.container import FilePayload, StreamFile, read, write
from fpnkit.pyramid import Pyramid
from tests.support import fused
from tests.support.golden import FOLDER

WEIGHTS, STREAM, DECODED = (FOLDER / name for name in ("fused_weights.npz", "fused.fpn", "fused_decoded.npz"))
OPTIONS = {"latent_channels": 8, "components": 10, "channels": 8, "context_channels": 8}


def codec() -> FusedPyramidCodec:
    """With the stored weights."""
    made = FusedPyramidCodec(fused.settings(**OPTIONS), fused.SPEC)
    with np.load(WEIGHTS) as stored:
        made.load_state_dict({name: torch.from_numpy(stored[name]) for name in stored.files})
    return made.eval()


def streams() -> Streams:
    """The stored file, as the codec takes it."""
    file = read(STREAM.read_bytes())
    sizes = dict(zip(fused.SPEC.names, file.sizes, strict=True))
    payloads = {"shared": Payload(file.payloads[0].data, fused.SPEC.names)}
    return Streams(payloads, sizes, file.symbols_crc, file.geometry, file.quality)


def decoded() -> Pyramid:
    """What the stream became when it was made."""
    with np.load(DECODED) as stored:
        return Pyramid({name: torch.from_numpy(stored[name]) for name in fused.SPEC.names})


def _make() -> None:
    made, levels = fused.codec(**OPTIONS), fused.pyramid(1, 100, 131)
    np.savez_compressed(WEIGHTS, **{name: value.numpy() for name, value in made.state_dict().items()})
    coded = made.encode(levels, fused.geometry(100, 131), 1.375)
    payload = FilePayload(coded.payloads["shared"].data, tuple(range(len(fused.SPEC.names))))
    sizes = tuple(coded.sizes.values())
    file = StreamFile("fused", "00112233", coded.geometry, sizes, (payload,), coded.symbols_crc, coded.quality)
    STREAM.write_bytes(write(file))
    np.savez_compressed(DECODED, **{name: level.numpy() for name, level in made.decode(coded).items()})


if __name__ == "__main__":
    _make()
