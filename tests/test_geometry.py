import pytest

from fpnkit.geometry import ImageGeometry

WHOLE = ImageGeometry(original=(200, 400), content=(100, 200), canvas=(128, 256), offset=(10, 20))


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ((0, 0, 128, 256), WHOLE),
        ((32, 64, 32, 64), ImageGeometry((64, 128), (32, 64), (32, 64), (0, 0))),
        ((96, 192, 32, 64), ImageGeometry((28, 56), (14, 28), (32, 64), (0, 0))),
        ((0, 0, 32, 32), ImageGeometry((44, 24), (22, 12), (32, 32), (10, 20))),
    ],
)
def test_a_window_has_the_picture_that_lies_under_it(
    window: tuple[int, int, int, int], expected: ImageGeometry
) -> None:
    assert WHOLE.window(*window) == expected
    assert WHOLE.window(*window).original_pixels() == WHOLE.original_pixels(*window)


def test_a_window_of_padding_has_no_picture() -> None:
    window = WHOLE.window(120, 0, 8, 256)
    assert (window.content, window.original_pixels()) == ((0, 200), 0.0)
