from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fpnkit.analysis.examples import read_photos
from fpnkit.analysis.parts import FOLDER
from fpnkit.errors import DataError

TABLE = pd.DataFrame([(1, 42, 6, 4)], columns=["number", "image", "width", "height"])


def test_photos_are_read_as_they_were_saved(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    (tmp_path / FOLDER).mkdir()
    Image.fromarray(pixels).save(tmp_path / FOLDER / "photo_1.png")
    (photo,) = read_photos(tmp_path, TABLE)
    assert np.array_equal(photo.pixels, pixels)
    assert (photo.number, photo.image, photo.size) == (1, 42, (4, 6))


def test_a_photo_that_somebody_replaced_by_a_program_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / FOLDER / "photo_1.png"
    path.parent.mkdir()
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 4\n%%EndComments\nshowpage\n")
    with pytest.raises(DataError) as error:
        read_photos(tmp_path, TABLE)
    assert str(error.value).startswith(f"{path}: ")
