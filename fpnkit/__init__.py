"""A lab bench for compressing the feature pyramids of object detectors.

    import fpnkit as fk

    run = fk.run("134530")  # a path or a unique part of a name; fk.runs() is a table of all
    detector, codec = run.detector(), run.codec()
    pyramid = detector.pyramid("street.jpg")
    data = codec.encode(pyramid, quality=2)  # bytes
    found = detector.detect(codec.decode(data))
    fk.plot_boxes("street.jpg", found)

Runs: `run`, `runs`, `train`, `sweep`, `evaluate`, and `plot_metrics` for what training logged. Rate-distortion:
`points`, `plot_rd`, `bd_rate`. Bits of each level: `bits`, `plot_bits`, of those runs that are `comparable`. A detector
of your own: `check`; an object is given as `detector=` to `train`, `sweep` and `evaluate`. Places and files: `home`,
`base_dir`, `load_config`, `example_image`. Panels: `TrainingPanel`, `RunBrowser`, `RDExplorer`, `PyramidViewer`,
`ExampleSweep`. All are imported on first use.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "run": "fpnkit.api.runs:find",
    "points": "fpnkit.api.rate_distortion:points",
    "plot_rd": "fpnkit.api.rate_distortion:plot_rd",
    "bd_rate": "fpnkit.api.rate_distortion:bd_rate",
    "plot_metrics": "fpnkit.api.curves:plot_metrics",
    "comparable": "fpnkit.api.curves:comparable",
    "bits": "fpnkit.api.curves:bits",
    "plot_bits": "fpnkit.api.curves:plot_bits",
    **{name: f"fpnkit.api.project:{name}" for name in ("home", "base_dir", "load_config", "example_image")},
    "plot_boxes": "fpnkit.api.pictures:plot_boxes",
    "check": "fpnkit.api.detector:check",
    **{
        name: f"fpnkit.widgets:{name}"
        for name in ("TrainingPanel", "RunBrowser", "RDExplorer", "PyramidViewer", "ExampleSweep")
    },
}
_CALLABLE = ("runs", "train", "sweep", "evaluate")  # modules that are functions too

__all__ = [*_CALLABLE, *_WHERE]


def __getattr__(name: str) -> Any:
    if name in _CALLABLE:
        return import_module(f"fpnkit.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, function = _WHERE[name].partition(":")
    found = getattr(import_module(module), function)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
