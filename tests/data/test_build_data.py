import json

import pytest
from PIL import Image

from fpnkit.config.schema import CocoData, Data, FolderData, HoldoutData, ShapesData
from fpnkit.data.build import Subset, build_image_set, build_image_sets
from fpnkit.data.coco import CocoSet
from fpnkit.data.folder import FolderSet
from fpnkit.data.shapes import ShapesSet
from fpnkit.errors import DataError


def shapes(images, seed=0):
    return ShapesData(kind="shapes", images=images, seed=seed)


def identities(images):
    return [images.identity(index) for index in range(len(images))]


@pytest.fixture
def folder(tmp_path):
    for name in "abcd":
        Image.new("RGB", (8, 6)).save(tmp_path / f"{name}.png")
    return tmp_path


def test_each_kind_builds_its_set(folder):
    file = folder / "set.json"
    image = {"id": 1, "file_name": "a.png", "height": 6, "width": 8}
    file.write_text(json.dumps({"images": [image], "annotations": [], "categories": []}))
    assert isinstance(build_image_set(CocoData(kind="coco", images=str(folder), annotations=str(file))), CocoSet)
    assert isinstance(build_image_set(shapes(3)), ShapesSet)
    images = build_image_set(FolderData(kind="folder", images=str(folder), limit=3))
    assert isinstance(images, FolderSet)
    assert len(images) == 3


def test_people_call_images_by_their_files(folder):
    file = folder / "set.json"
    image = {"id": 1, "file_name": "b.png", "height": 6, "width": 8}
    file.write_text(json.dumps({"images": [image], "annotations": [], "categories": []}))
    (folder / "deeper").mkdir()
    (folder / "a.png").rename(folder / "deeper" / "e.png")
    images = build_image_set(FolderData(kind="folder", images=str(folder)))
    assert [images.title(index) for index in range(4)] == ["b.png", "c.png", "d.png", "deeper/e.png"]
    assert Subset(images, [3, 1], "some").title(1) == "c.png"
    assert build_image_set(CocoData(kind="coco", images=str(folder), annotations=str(file))).title(0) == "b.png"
    assert build_image_set(shapes(3, 7)).title(2) == "shapes_3_seed_7, image 2"


def test_the_holdout_is_a_tenth_taken_out_of_the_training_set():
    train, val = build_image_sets(Data(train=shapes(50)), seed=1)
    assert (len(train), len(val)) == (45, 5)
    assert sorted(identities(train) + identities(val)) == sorted(identities(ShapesSet(50)))
    assert (train.name, val.name) == ("shapes_50_seed_0_train", "shapes_50_seed_0_holdout")
    assert train.categories == val.categories == ShapesSet.categories


def test_the_seed_draws_the_holdout():
    def holdout(seed):
        return identities(build_image_sets(Data(train=shapes(50)), seed)[1])

    assert holdout(1) == holdout(1)
    assert holdout(1) != holdout(2)


@pytest.mark.parametrize(("images", "asked", "held_out"), [(2, None, 1), (9, None, 1), (20, None, 2), (20, 19, 19)])
def test_sizes_of_the_holdout(images, asked, held_out):
    train, val = build_image_sets(Data(train=shapes(images), val=HoldoutData(images=asked)), seed=0)
    assert (len(train), len(val)) == (images - held_out, held_out)


@pytest.mark.parametrize(("images", "asked", "held_out"), [(1, None, 1), (20, 20, 20)])
def test_a_holdout_that_leaves_nothing_is_refused(images, asked, held_out):
    with pytest.raises(DataError) as error:
        build_image_sets(Data(train=shapes(images), val=HoldoutData(images=asked)), seed=0)
    assert str(error.value) == (
        f"data.val: a holdout of {held_out} images leaves nothing to train on; "
        f"required fewer than the training set has ({images} in shapes_{images}_seed_0)"
    )


def test_a_validation_set_of_its_own_leaves_the_training_set_whole():
    train, val = build_image_sets(Data(train=shapes(5), val=shapes(3, seed=1)), seed=0)
    assert (len(train), len(val)) == (5, 3)
    assert val.identity(0) == ShapesSet(3, seed=1).identity(0)


def test_a_subset_shows_and_checks_its_images_only(folder):
    part = Subset(FolderSet(folder), [3, 1], "part")
    assert [identity.split(" ")[0] for identity in identities(part)] == [str(folder / "d.png"), str(folder / "b.png")]
    assert part[0].image_id == 3
    assert part.size(1) == (6, 8)
    (folder / "a.png").unlink()
    part.check()
    (folder / "b.png").write_text("no image")
    part.check([0])
    with pytest.raises(DataError) as error:
        part.check()
    assert str(error.value) == (f"{folder}:\n  images that cannot be used: b.png (not an image of a known format)")
