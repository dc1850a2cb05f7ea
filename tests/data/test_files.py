import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from fpnkit.data.files import file_identity, file_problem, first_five, read_rgb, read_size
from fpnkit.errors import DataError


def photo(height=96, width=128, seed=0):
    """Something that JPEG cannot shrink to nothing."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def gray(value=100):
    return Image.new("L", (8, 6), value)


def palette_with_transparency(path):
    image = Image.new("P", (8, 6), 1)
    image.putpalette([0, 0, 0, 10, 20, 30] + [0] * 762)
    image.save(path, transparency=bytes([0, 128]))


@pytest.mark.parametrize(
    ("mode", "color", "name", "rgb"),
    [
        ("L", 100, "a.png", (100, 100, 100)),
        ("1", 1, "a.png", (255, 255, 255)),
        ("LA", (100, 0), "a.png", (100, 100, 100)),
        ("RGBA", (10, 20, 30, 0), "a.png", (10, 20, 30)),
        ("I;16", 0x6412, "a.png", (100, 100, 100)),
        ("CMYK", (0, 0, 0, 0), "a.jpg", (255, 255, 255)),
        ("RGB", (10, 20, 30), "a.bmp", (10, 20, 30)),
        ("RGB", (10, 20, 30), "a.tiff", (10, 20, 30)),
    ],
)
def test_every_mode_becomes_rgb(tmp_path, mode, color, name, rgb):
    Image.new(mode, (8, 6), color).save(tmp_path / name)
    image = read_rgb(tmp_path / name, upright=False)
    assert image.dtype == torch.uint8
    assert torch.equal(image, torch.tensor(rgb, dtype=torch.uint8)[:, None, None].expand(3, 6, 8))


def test_a_palette_with_transparency_is_read_without_a_warning(tmp_path):
    palette_with_transparency(tmp_path / "a.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_rgb(tmp_path / "a.png", upright=False)[:, 0, 0].tolist() == [10, 20, 30]


def test_exif_orientation_turns_only_what_is_wanted_upright(tmp_path):
    path, image = tmp_path / "a.png", photo(6, 8)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise
    image.save(path, exif=exif)
    stored = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    assert torch.equal(read_rgb(path, upright=False), stored)
    assert torch.equal(read_rgb(path, upright=True), stored.rot90(-1, (1, 2)))
    assert read_size(path, upright=False) == (6, 8)
    assert read_size(path, upright=True) == (8, 6)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.9])
def test_a_truncated_jpeg_is_found_by_the_quick_check_and_by_reading(tmp_path, kept, progressive):
    path = tmp_path / "a.jpg"
    photo().save(path, progressive=progressive, quality=90)
    assert file_problem(path) is None
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    assert file_problem(path) is not None
    with pytest.raises(DataError) as error:
        read_rgb(path, upright=False)
    assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize("suffix", [".png", ".webp", ".bmp", ".tif"])
def test_truncated_files_of_other_formats_are_found(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    photo().save(path)
    assert file_problem(path) is None
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert file_problem(path) is not None


def test_problems_have_words_of_their_own(tmp_path):
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.jpg").touch()
    photo(6, 8).save(tmp_path / "small.png")
    Image.new("F", (8, 6)).save(tmp_path / "float.tiff")
    assert file_problem(tmp_path / "text.jpg") == "not an image of a known format"
    assert file_problem(tmp_path / "empty.jpg") == "not an image of a known format"
    assert file_problem(tmp_path / "none.jpg") == "no such file"
    assert file_problem(tmp_path / "small.png", (7, 8)) == "8 x 6 pixels, required 8 x 7"
    assert file_problem(tmp_path / "float.tiff") == "pixels of Pillow's mode F, required 8 or 16 bits"


def test_identity_changes_with_the_file(tmp_path):
    path = tmp_path / "a.png"
    gray().save(path)
    first = file_identity(path)
    assert first == file_identity(path)
    gray(200).resize((9, 9)).save(path)
    assert file_identity(path) != first
    path.unlink()
    with pytest.raises(DataError) as error:
        file_identity(path)
    assert str(error.value) == f"{path}: no such file"


def test_long_lists_name_five_and_the_count():
    assert first_five(range(5)) == "0, 1, 2, 3, 4"
    assert first_five(range(12)) == "0, 1, 2, 3, 4, … (12 in all)"
