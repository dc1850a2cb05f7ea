"""The notebook of features as a person uses it: what became of a channel, at one lambda and at another."""

import re
from typing import TYPE_CHECKING

from tests.support.lab import tab_to

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


NOTEBOOK = "04_fpn_analysis.ipynb"


def slider(lab: "Page", label: str) -> "Locator":
    """The handle, which takes the focus."""
    return lab.locator(".widget-slider", has=lab.get_by_text(label, exact=True)).get_by_role("slider")


def test_channels_and_lambdas_are_gone_through_with_the_keyboard(lab: "Page") -> None:
    from playwright.sync_api import expect

    first = lab.get_by_role("img", name="p2 channel 0 of shapes_8_seed_4, image 0: original, decoded, difference")
    expect(first).to_be_visible()
    assert first.evaluate("image => image.naturalWidth") > 500
    codec = lab.get_by_text(re.compile("run_.*, best model of epoch"))
    run, pixels = codec.inner_text(), first.get_attribute("src")

    lab.get_by_label("Search", exact=True).focus()
    tab_to(lab, slider(lab, "Channel"))
    lab.keyboard.press("ArrowRight")
    second = lab.get_by_role("img", name="p2 channel 1 of shapes_8_seed_4, image 0: original, decoded, difference")
    expect(second).to_be_visible()
    assert second.get_attribute("src") != pixels

    lab.get_by_label("Search", exact=True).focus()
    tab_to(lab, slider(lab, "Lambda"))
    before = second.get_attribute("src")
    lab.keyboard.press("Home")
    expect(codec).to_have_text(re.compile(r"lambda_3\.00e-06"))
    expect(second).not_to_have_attribute("src", before or "")
    assert codec.inner_text() != run
    expect(lab.get_by_text(re.compile(r"^λ 3e-6 · \d\.\d{3} bpp$"))).to_be_visible()


def test_the_slider_has_as_many_places_as_the_set_has_runs(lab: "Page") -> None:
    from playwright.sync_api import expect

    sets = lab.get_by_label("Runs", exact=True)
    labels = [label.replace("\xa0", " ") for label in sets.locator("option").all_inner_texts()]
    for words, last in (("2 runs", 1), ("8 runs", 7)):
        sets.select_option(index=next(at for at, label in enumerate(labels) if label.endswith(words)))
        expect(slider(lab, "Lambda")).to_have_attribute("aria-valuemax", f"{last:.1f}")
        slider(lab, "Lambda").focus()
        lab.keyboard.press("End")
        expect(slider(lab, "Lambda")).to_have_attribute("aria-valuenow", f"{last:.1f}")
