import pytest
from PIL import Image

from fpnkit.data.folder import FolderSet
from fpnkit.errors import DataError


def save(path, size=(8, 6), color="red"):
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.new("RGB", size, color).save(path)


def test_images_come_in_name_order_from_all_folders_below(tmp_path):
    for name in ("b.JPG", "a.png", "sub/c.webp", "sub/.hidden.png", "d.tif"):
        save(tmp_path / name)
    (tmp_path / "notes.txt").touch()
    images = FolderSet(tmp_path)
    assert [images.identity(index).split(" ")[0] for index in range(len(images))] == [
        str(tmp_path / name) for name in ("a.png", "b.JPG", "d.tif", "sub/c.webp")
    ]
    assert images.name == tmp_path.name
    assert images.categories == ()


def test_samples_hold_no_boxes(tmp_path):
    save(tmp_path / "a.png", (8, 6))
    sample = FolderSet(tmp_path)[0]
    assert sample.image.shape == (3, 6, 8)
    assert sample.boxes.shape == (0, 4)
    assert len(sample.labels) == len(sample.crowd) == 0
    assert FolderSet(tmp_path).size(0) == (6, 8)


def test_limit_takes_the_first(tmp_path):
    for name in "abc":
        save(tmp_path / f"{name}.png")
    images = FolderSet(tmp_path, limit=2)
    assert len(images) == 2
    assert images.name == f"{tmp_path.name}_first2"


def test_a_folder_without_images_is_named(tmp_path):
    with pytest.raises(DataError) as error:
        FolderSet(tmp_path)
    assert str(error.value) == f"{tmp_path}: required images (.jpg .jpeg .png .webp .bmp .tif .tiff), found none"
    with pytest.raises(DataError) as error:
        FolderSet(tmp_path / "x")
    assert str(error.value) == f"{tmp_path / 'x'}: required a folder of images, found nothing"
    (tmp_path / "y").touch()
    with pytest.raises(DataError) as error:
        FolderSet(tmp_path / "y")
    assert str(error.value) == f"{tmp_path / 'y'}: required a folder of images, found a file"


def test_check_names_all_that_is_broken(tmp_path):
    for name in "abcdefgh":
        save(tmp_path / f"{name}.png")
    images = FolderSet(tmp_path)
    images.check()
    for name in "bcdefg":
        (tmp_path / f"{name}.png").write_text("no image")
    (tmp_path / "h.png").unlink()
    with pytest.raises(DataError) as error:
        images.check()
    broken = ", ".join(f"{name}.png (not an image of a known format)" for name in "bcdef")
    assert str(error.value) == (
        f"{tmp_path}:\n  missing images: h.png\n  images that cannot be used: {broken}, … (6 in all)"
    )
    images.check([0])
