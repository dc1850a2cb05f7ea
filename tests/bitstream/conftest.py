from pathlib import Path

import pytest
from PIL import Image

from fpnkit.bitstream.__main__ import main
from fpnkit.data.shapes import ShapesSet
from tests.support.coded_run import write_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs"), 4)


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three of different sizes."""
    folder = tmp_path_factory.mktemp("images")
    shapes = ShapesSet(3, 0)
    for index, name in enumerate("abc"):
        picture = Image.fromarray(shapes[index].image.permute(1, 2, 0).numpy())
        picture.crop((0, 0, 100 + index, 90)).save(folder / f"{name}.png")
    return sorted(folder.iterdir())


@pytest.fixture(scope="session")
def coded(tmp_path_factory: pytest.TempPathFactory, run: Path, images: list[Path]) -> list[Path]:
    """The three images as files."""
    folder = tmp_path_factory.mktemp("coded")
    assert main(["encode", str(run), *map(str, images), "-o", str(folder)]) == 0
    return sorted(folder.iterdir())
