"""What `fpnkit.widgets` offers by its own name."""

import subprocess
import sys

import pytest

from fpnkit import widgets

PANELS = ["ExampleSweep", "PyramidViewer", "RDExplorer", "RunBrowser", "TrainingPanel"]


def test_every_panel_has_a_short_import() -> None:
    assert widgets.__all__ == PANELS
    assert [getattr(widgets, name).__name__ for name in PANELS] == PANELS


def test_another_name_is_no_panel() -> None:
    with pytest.raises(AttributeError) as caught:
        widgets.Sweeper  # noqa: B018
    assert str(caught.value) == "module 'fpnkit.widgets' has no attribute 'Sweeper'"


def test_the_name_alone_imports_no_panel() -> None:
    code = "import sys, fpnkit.widgets; sys.exit('ipywidgets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
