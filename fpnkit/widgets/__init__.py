"""The panels, each imported on first use.

from fpnkit.widgets import TrainingPanel TrainingPanel()
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fpnkit.widgets.pyramid.viewer import PyramidViewer
    from fpnkit.widgets.rd.explorer import RDExplorer
    from fpnkit.widgets.runs.browser import RunBrowser
    from fpnkit.widgets.training.example import ExampleSweep
    from fpnkit.widgets.training.panel import TrainingPanel

__all__ = ["ExampleSweep", "PyramidViewer", "RDExplorer", "RunBrowser", "TrainingPanel"]

_MODULES = {
    "ExampleSweep": "training.example",
    "PyramidViewer": "pyramid.viewer",
    "RDExplorer": "rd.explorer",
    "RunBrowser": "runs.browser",
    "TrainingPanel": "training.panel",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
