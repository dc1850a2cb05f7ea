"""Loads changed `best_model.pth` and codes with what loads: python -m tests.support.hostile_models FOLDER COUNT SEED
[SECONDS]

Prints what became of them as JSON. A crash in native code ends the process, which is why it has its own.
"""

from __future__ import annotations

import faulthandler
import json
import random
import resource
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from fpnkit.codecs.base import Codec
from fpnkit.codecs.coder import CoderInput
from fpnkit.codecs.learned import LearnedCoder
from fpnkit.codecs.saved import codec_content, load_codec, model_hash
from fpnkit.config.load import plain, validate
from fpnkit.config.schema import CodecConfig
from fpnkit.errors import FpnkitError
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import Pyramid
from fpnkit.torch_files import SCHEMA_VERSION
from tests.support import fixed_codec, fused, golden_fused, linear_codec, tiny
from tests.support.fuzz_decode import HANGS, attempts
from tests.support.hostile import changed

Features = tuple[Pyramid, ImageGeometry]


def _content(codec: Codec, settings: Any) -> dict[str, Any]:
    rates = {} if codec.qualities is None else {"lowest_lambda": 1e-4}
    config = validate({**plain(tiny.config(epochs=1)), "codec": plain(settings), "loss": {"lambda": 0.01, **rates}})
    assert isinstance(config, CodecConfig)
    content = codec_content(codec, config, "f" * 64)
    return {"schema_version": SCHEMA_VERSION, **content, "epoch": 1, "loss": 0.5, "metrics": {}}


def subjects() -> list[tuple[dict[str, Any], Features]]:
    """The checkpoint of every codec, with something for it to code."""
    own = tiny.features(1)
    linear = linear_codec.shared()
    linear.update_tables()
    return [
        (_content(fixed_codec.fixed_codec(), tiny.config().codec), (own.pyramid, own.geometry)),
        (
            _content(golden_fused.codec(), fused.settings(**golden_fused.OPTIONS)),
            (fused.pyramid(1, 32, 48), fused.geometry(32, 48)),
        ),
        (
            _content(linear, linear_codec.SETTINGS),
            (linear_codec.pyramid(32, 48), linear_codec.geometry(32, 48)),
        ),
    ]


def attempt(content: dict[str, Any], features: Features, generator: random.Random, folder: Path) -> str:
    """One changed checkpoint → what became of it."""
    path, marker = folder / "changed.pth", folder / "executed"
    path.write_bytes(changed(content, generator, marker))
    try:
        trained = load_codec(path)
    except FpnkitError as error:
        if "\n" in str(error):
            raise AssertionError(f"several lines: {error}") from error
        return "refused"
    finally:
        assert not marker.exists(), "code in a checkpoint was executed"
    quality = None if trained.codec.qualities is None else 1.0
    coder = LearnedCoder(trained, quality)
    try:
        received = coder.decode(coder.encode(CoderInput(torch.zeros(3, 8, 8), *features)).data)
    except FpnkitError:
        return "loaded, refused to code"
    assert received is not None
    same = trained.hash == model_hash(content["state_dict"])
    return "unchanged where it matters" if same else "codes with other weights"


def main(folder: Path, count: int, seed: int, seconds: float | None = None) -> None:
    each = subjects()
    for content, _ in each:
        torch.save(content, folder / "whole.pth")
        load_codec(folder / "whole.pth")
    results, faults = Counter[str](), Counter[str]()
    slowest, before = 0.0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number, generator in attempts(count, seed, seconds):
        faulthandler.dump_traceback_later(HANGS, exit=True)
        start = time.process_time()
        try:
            results[attempt(*each[number % len(each)], generator, folder)] += 1
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            faults[f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}: {error}"[:300]] += 1
            print(f"checkpoint {number} of seed {seed}", file=sys.stderr)
            traceback.print_exc()
        slowest = max(slowest, time.process_time() - start)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps({"results": results, "faults": faults, "kilobytes": grown, "slowest_seconds": slowest}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), *map(float, sys.argv[4:]))
