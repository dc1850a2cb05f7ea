"""The viewer's networks on another device than the CPU."""

from pathlib import Path

import pytest
import torch

from fpnkit.widgets.pyramid.loading import Loader
from fpnkit.widgets.pyramid.viewer import PyramidViewer
from tests.support.elsewhere import elsewhere
from tests.support.store import store


@pytest.fixture(scope="module")
def shared() -> Path:
    """Runs that no test changes."""
    return store() / "checkpoints" / "fpn_compression"


def test_a_view_on_a_device_is_that_on_the_cpu(shared: Path) -> None:
    run = sorted(shared.glob("run_20261101_*_lambda_3.00e-06_*"))[0]
    here = Loader().view(run, "val", 1)
    with elsewhere() as device:
        there = Loader(device).view(run, "val", 1)
        assert {level.device.type for level in (*there.original.values(), *there.decoded.values())} == {"cpu"}
    assert (there.file_bytes, there.bpp) == (here.file_bytes, here.bpp)
    assert all(torch.equal(there.decoded[name], level) for name, level in here.decoded.items())
    assert there.bits is not None
    assert there.bits.equals(here.bits)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_missing_is_said_in_the_panel(shared: Path) -> None:
    panel = PyramidViewer(shared, device="cuda")
    panel.finish()
    assert [str(error) for error in panel.failures.values()] == ["device: required cuda, found only cpu"]
