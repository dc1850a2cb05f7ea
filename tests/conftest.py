import os
from pathlib import Path

import pytest


@pytest.fixture
def real_data() -> Path:
    """The folder of real images, boxes and weights."""
    if "FPNKIT_DATA" not in os.environ:
        pytest.skip("needs real images and weights: set FPNKIT_DATA to their folder")
    return Path(os.environ["FPNKIT_DATA"])
