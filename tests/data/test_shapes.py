import hashlib
import sys

import numpy as np
import pytest
import torch

from fpnkit.data import shapes
from fpnkit.data.shapes import CLASSES, SIZE, ShapesSet
from tests.support import warm

SOME = [ShapesSet(40, seed=3)[index] for index in range(40)]


def same(a, b):
    return all(torch.equal(getattr(a, field), getattr(b, field)) for field in ("image", "boxes", "labels", "crowd"))


def test_an_image_depends_on_seed_and_index_alone():
    backwards = [ShapesSet(8, seed=3)[index] for index in reversed(range(8))]
    assert all(same(a, b) for a, b in zip(SOME[:8], reversed(backwards), strict=True))


def test_another_process_makes_the_same_images():
    code = (
        "import hashlib; from fpnkit.data.shapes import ShapesSet; images = ShapesSet(40, seed=3)\n"
        "print(*(hashlib.sha256(images[i].image.numpy().tobytes()).hexdigest() for i in (5, 1)))"
    )
    done = warm.run([sys.executable, "-c", code])
    assert done.stdout.split() == [hashlib.sha256(SOME[i].image.numpy().tobytes()).hexdigest() for i in (5, 1)]


def test_seeds_and_indices_differ():
    images = [sample.image for sample in SOME[:5]] + [ShapesSet(5, seed=4)[index].image for index in range(5)]
    assert not any(torch.equal(a, b) for i, a in enumerate(images) for b in images[:i])


def test_samples_are_rgb_with_boxes_inside_the_image():
    for sample in SOME:
        assert sample.image.shape == (3, SIZE, SIZE)
        assert sample.image.dtype == torch.uint8
        left, top, right, bottom = sample.boxes.T
        assert bool(
            ((left >= 0) & (top >= 0) & (right <= SIZE) & (bottom <= SIZE) & (left < right) & (top < bottom)).all()
        )
        assert len(sample.boxes) == len(sample.labels) == len(sample.crowd) <= shapes.OBJECTS[1]


def test_all_classes_and_sizes_of_a_factor_of_five_occur():
    assert set(torch.cat([sample.labels for sample in SOME]).tolist()) == set(range(1, len(CLASSES) + 1))
    boxes = torch.cat([sample.boxes for sample in SOME])
    sides = (boxes[:, 2:] - boxes[:, :2]).amax(dim=1)
    assert sides.quantile(0.95) > 5 * sides.quantile(0.05)


def test_brightness_of_backgrounds_falls_with_frequency_as_in_natural_images():
    spectra = [np.abs(np.fft.fft2(sample.image.float().mean(0).numpy())) for sample in SOME]
    amplitude = np.mean(spectra, axis=0)
    frequency = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.fftfreq(SIZE)[None, :])
    band = (frequency > 0.02) & (frequency < 0.2)
    slope = np.polyfit(np.log(frequency[band]), np.log(amplitude[band]), 1)[0]
    assert -1.6 < slope < -0.9


def paint(*things):
    """The owner map and areas of things of full contrast on gray."""
    canvas = np.full((SIZE, SIZE, 3), 0.5, dtype=np.float32)
    owner = np.full((SIZE, SIZE), -1, dtype=np.int16)
    fill = np.zeros((SIZE, SIZE), dtype=np.float32)
    return owner, [shapes._paint(canvas, owner, k, thing, fill, 1.0) for k, thing in enumerate(things)], canvas


def thing(outline="circle", center=(96.0, 96.0), radius=20.0):
    return shapes._Thing(
        outline=CLASSES[outline],
        label=1,
        radius=radius,
        center=center,
        angle=0.3,
        flatness=1.0,
        variation=0.5,
        color=np.ones(3, dtype=np.float32),
        contrast=0.4,
        texture=0.0,
        texture_shift=(0, 0),
        opacity=1.0,
    )


@pytest.mark.parametrize("outline", CLASSES)
def test_the_box_touches_the_painted_pixels_on_all_sides(outline):
    owner, areas, canvas = paint(thing(outline))
    left, top, right, bottom = shapes._visible_box(owner == 0, areas[0])
    changed = np.abs(canvas - 0.5).max(axis=2) > 0.19  # more than half covered
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert max(abs(left - columns[0]), abs(top - rows[0])) <= 1
    assert max(abs(right - columns[-1] - 1), abs(bottom - rows[-1] - 1)) <= 1


def test_a_circle_has_its_area_and_box():
    owner, areas, _ = paint(thing("circle", center=(96.5, 96.5), radius=30.0))
    assert areas[0] == pytest.approx(np.pi * 30**2, rel=0.01)
    assert shapes._visible_box(owner == 0, areas[0]) == (67, 67, 127, 127)


def test_an_object_cut_by_the_border_counts_what_lies_outside():
    owner, areas, _ = paint(thing("circle", center=(0.0, 96.0)))
    assert areas[0] == pytest.approx(np.pi * 20**2, rel=0.02)
    assert (owner == 0).sum() == pytest.approx(areas[0] / 2, rel=0.05)


def test_a_covered_object_keeps_the_box_of_its_visible_part_until_less_than_a_quarter_shows():
    below, beside = thing(center=(96.0, 96.0)), thing(center=(96.0, 116.0))
    owner, areas, _ = paint(below, beside)
    assert shapes._visible_box(owner == 0, 0.25 * areas[0])[2] < 96 + 19  # the right end is covered
    owner, areas, _ = paint(below, thing(center=(96.0, 100.0)))
    assert shapes._visible_box(owner == 0, 0.25 * areas[0]) is None


def test_identity_names_version_seed_and_index():
    assert ShapesSet(9, seed=7).identity(5) == f"shapes v{shapes.VERSION} seed 7 image 5"


def test_iteration_ends_after_the_last_image():
    images = ShapesSet(2)
    assert len(list(images)) == 2
    with pytest.raises(IndexError) as error:
        images[2]
    assert str(error.value) == "shapes_2_seed_0: image 2 of 2"
