"""The notebook of rate and accuracy as a person uses it, in JupyterLab with the keyboard."""

import re
from typing import TYPE_CHECKING

from tests.support.lab import choose, tab_to

if TYPE_CHECKING:
    from playwright.sync_api import Page


NOTEBOOK = "03_rate_distortion.ipynb"


def test_the_curves_appear_and_another_metric_is_chosen_with_the_keyboard(lab: "Page") -> None:
    from playwright.sync_api import expect

    told = r" over rate \(bits per pixel\)\. factorized: [\d.]+ at [\d.]+ to [\d.]+ at [\d.]+\. jpeg_input: "
    figure = lab.get_by_role("img", name=re.compile(r"^mAP \(%\)" + told))
    expect(figure).to_be_visible()
    assert figure.evaluate("image => image.naturalWidth") > 500
    metric = lab.get_by_label("y axis", exact=True)
    tab_to(lab, metric)
    choose(lab, metric, "self-mAP")
    expect(lab.get_by_role("img", name=re.compile(r"^self-mAP \(%\)" + told))).to_be_visible()
    expect(lab.get_by_text("self-mAP on uncompressed features 100.0")).to_be_visible()


def test_a_point_tells_its_values_to_who_points_at_it(lab: "Page") -> None:
    from playwright.sync_api import expect

    spot = lab.locator(".fpnkit-spot").filter(has_text="jpeg_input").first  # no other is as near as its size
    told = spot.locator("span")
    expect(told).to_be_hidden()
    spot.hover()
    expect(told).to_be_visible()
    assert re.match(r"curve  jpeg_input\nquality  \d+\n(.*\n)*mAP  [\d.]+ \[", told.inner_text())


def test_bits_saved_against_an_anchor_are_computed_and_points_are_told_in_numbers(lab: "Page") -> None:
    from playwright.sync_api import expect

    against = lab.get_by_label("BD-rate against", exact=True)
    tab_to(lab, against)
    choose(lab, against, "jpeg_input")
    table = lab.get_by_role("table", name=re.compile("^Against jpeg_input"))
    expect(table.get_by_role("columnheader", name="BD-rate %")).to_be_visible()
    row = table.get_by_role("row", name=re.compile(r"^factorized [+-][\d.]+ \[[+-][\d.]+, [+-][\d.]+\]"))
    expect(row).to_be_visible()
    numbers = lab.get_by_role("group").filter(has=lab.get_by_text("The points in numbers", exact=True))
    numbers.locator("summary").click()
    expect(numbers.get_by_role("row", name=re.compile("^factorized 20261101_093000 3e-6"))).to_be_visible()
