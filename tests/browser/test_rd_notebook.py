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

    figure = lab.locator(".fpnkit-pointer").first
    tip = figure.locator(".tip")
    expect(figure).to_be_visible()
    expect(tip).to_be_hidden()
    figure.focus()
    lab.keyboard.press("ArrowRight")
    place = figure.locator(".spot").bounding_box()
    lab.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    lab.mouse.move(place["x"] + place["width"] / 2 + 3, place["y"] + place["height"] / 2)
    expect(tip).to_be_visible()
    assert re.match(r"curve  factorized\nrun  20261101_093000\n(.*\n)*mAP  [\d.]+ \[", tip.inner_text())


def test_the_arrow_keys_go_along_a_curve_and_what_is_chosen_is_marked_in_figure_and_table(lab: "Page") -> None:
    from playwright.sync_api import expect

    figure = lab.locator(".fpnkit-pointer").first
    lab.mouse.move(0, 0)
    tab_to(lab, figure)
    for key in ("ArrowRight", "ArrowRight"):
        lab.keyboard.press(key)
    expect(figure.get_by_role("status")).to_contain_text("run  20261101_095000")
    lab.keyboard.press("Enter")
    expect(figure.locator(".ring")).to_have_count(1)
    table = lab.get_by_role("table", name="points")
    chosen = table.get_by_role("row").filter(has=lab.get_by_role("button", pressed=True))
    expect(chosen).to_contain_text("20261101_095000")
    before = str(figure.locator(".ring").get_attribute("style"))
    table.get_by_role("row").filter(has_text="20261101_105000").get_by_role("button").click()
    expect(chosen).to_contain_text("20261101_105000")
    expect(figure.locator(".ring")).not_to_have_attribute("style", before)


def test_a_frame_or_a_key_zooms_and_a_key_shows_all_again(lab: "Page") -> None:
    from playwright.sync_api import expect

    figure = lab.locator(".fpnkit-pointer").first
    picture = lab.get_by_role("img", name=re.compile(r"over rate")).first
    whole = picture.get_attribute("src")
    box = figure.bounding_box()
    lab.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.2 * box["height"])
    lab.mouse.down()
    lab.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.5 * box["height"], steps=3)
    lab.mouse.up()
    back = figure.get_by_role("button", name="show all")
    expect(back).to_be_enabled()
    zoomed = picture.get_attribute("src")
    assert zoomed != whole
    back.click()
    expect(back).to_be_disabled()
    figure.focus()
    lab.keyboard.press("+")
    expect(back).to_be_enabled()
    assert picture.get_attribute("src") not in (whole, zoomed)
    lab.keyboard.press("0")
    expect(back).to_be_disabled()
    expect(lab.get_by_role("img", name=re.compile(r"over rate"))).to_have_count(1)


def test_bits_saved_against_an_anchor_are_computed_and_points_are_told_in_numbers(lab: "Page") -> None:
    from playwright.sync_api import expect

    against = lab.get_by_label("BD-rate against", exact=True)
    tab_to(lab, against)
    choose(lab, against, "jpeg_input")
    table = lab.get_by_role("table", name=re.compile("^Against jpeg_input"))
    expect(table.get_by_role("columnheader", name="BD-rate %")).to_be_visible()
    row = table.get_by_role("row", name=re.compile(r"^factorized [+-][\d.]+ \[[+-][\d.]+, [+-][\d.]+\]"))
    expect(row).to_be_visible()
    points = lab.get_by_role("table", name="points")
    expect(
        points.get_by_role("row", name=re.compile(r"^factorized [\d.]+ [\d.]+ \[.* 20261101_093000 3e-6"))
    ).to_be_visible()
