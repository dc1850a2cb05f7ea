"""One process: every statistic of an analysis over images of a 256-channel pyramid; prints seconds and memory."""

import json
import resource
import sys
import time
from collections.abc import Iterator

import torch

from fpnkit.analysis.statistics.histogram import LevelHistograms
from fpnkit.analysis.statistics.latents import LatentStatistics
from fpnkit.analysis.statistics.loss import ErrorStatistics
from fpnkit.analysis.statistics.moments import FeatureStatistics
from fpnkit.analysis.statistics.relations import LevelRelations
from fpnkit.analysis.statistics.spectrum import RadialSpectrum
from fpnkit.codecs.build import build_codec
from fpnkit.codecs.factorized import FactorizedPyramidCodec
from fpnkit.config.schema import FactorizedCodec
from fpnkit.geometry import ImageGeometry
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec

CANVAS = 320
SPEC = PyramidSpec(tuple(LevelSpec(f"p{exponent}", 256, 2**exponent) for exponent in range(2, 7)))
GEOMETRY = ImageGeometry((256, 256), (256, 256), (256, 256))


def pyramids(count: int, canvas: int = CANVAS) -> Iterator[Pyramid]:
    """Noise that is smooth enough to have something of features."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(count):
        levels = {}
        for level in SPEC.levels:
            side = canvas // level.stride
            coarse = torch.randn(1, level.channels, -(-side // 2), -(-side // 2), generator=generator)
            levels[level.name] = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")
        yield Pyramid(levels)


def codec() -> FactorizedPyramidCodec:
    torch.manual_seed(0)
    result = build_codec(FactorizedCodec(channels=96, latent_channels=96), SPEC).eval()
    result.update_tables()
    assert isinstance(result, FactorizedPyramidCodec)
    return result


@torch.no_grad()
def measure(count: int) -> dict[str, float]:
    """Both passes, as `fpnkit.analysis.compute` makes them, without detector and figures."""
    model, start = codec(), time.perf_counter()
    scale = model.standardiser
    statistics = (
        FeatureStatistics(SPEC),
        LevelRelations(SPEC),
        RadialSpectrum(),
        LevelHistograms(SPEC, scale.mean, scale.deviation),
    )
    for pyramid in pyramids(count):
        for each in statistics:
            each.update(pyramid)
    features = time.perf_counter() - start
    latents, errors, spectrum = LatentStatistics(), ErrorStatistics(), RadialSpectrum()
    for pyramid in pyramids(count):
        decoded = model.decode(model.encode(pyramid, GEOMETRY))
        latents.update(model.coded_latents(pyramid, GEOMETRY))
        errors.update(pyramid, decoded)
        spectrum.update(Pyramid({name: decoded[name] - level for name, level in pyramid.items()}))
    tables = (statistics[0].channels(), statistics[0].correlations(), statistics[1].table(), latents.channels())
    assert all(len(table) for table in tables)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"images": count, "feature_seconds": features, "seconds": seconds, "peak_gb": peak}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
