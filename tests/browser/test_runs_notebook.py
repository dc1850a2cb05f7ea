"""The notebook of runs as a person uses it: in JupyterLab with the keyboard, and as an app."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.jupyter import page, voila
from tests.support.lab import choose, tab_to

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PAUSED_RUN = "run_20261101_092000_lambda_2.00e-05_lr_4.00e-03_bs_4"  # see tests/support/make_store.py


NOTEBOOK = "02_runs.ipynb"


def test_a_run_is_found_and_looked_at_with_the_keyboard_alone(lab: "Page") -> None:
    from playwright.sync_api import expect

    search, choice = lab.get_by_label("Search", exact=True), lab.get_by_label("Run", exact=True)
    tab_to(lab, search)
    lab.keyboard.type("2e-5")
    expect(lab.get_by_text("2 of 13 runs")).to_be_visible()
    tab_to(lab, choice)
    choose(lab, choice, "stopped")
    details = lab.locator(".widget-tab-contents")
    expect(details.get_by_text(PAUSED_RUN, exact=True)).to_be_visible()
    expect(details.get_by_text("■ stopped", exact=True)).to_be_visible()
    resume = details.get_by_text(re.compile(r"^python -m fpnkit.train --resume .*" + PAUSED_RUN + "$"))
    expect(resume).to_be_visible()


def test_curves_are_seen_and_told_in_words(lab: "Page") -> None:
    from playwright.sync_api import expect

    lab.get_by_role("tab", name="Compare", exact=True).click()
    figure = lab.get_by_role("img", name=re.compile("^Curves of loss over training steps for 20261101_"))
    expect(figure).to_be_visible()
    assert figure.evaluate("image => image.naturalWidth") > 500
    expect(lab.get_by_role("columnheader", name="last in validation")).to_be_visible()


def test_the_table_is_sorted_and_picked_from_with_the_keyboard(lab: "Page") -> None:
    from playwright.sync_api import expect

    lab.get_by_label("Search", exact=True).fill("")
    table = lab.get_by_role("table", name="runs")
    expect(table.locator("tbody tr")).to_have_count(13)  # else these rows come while those in order are awaited
    heading = table.get_by_role("columnheader", name=re.compile("^mAP"))
    heading.get_by_role("button").focus()
    lab.keyboard.press("Enter")
    expect(heading).to_have_attribute("aria-sort", "descending")
    expect(heading.get_by_role("button")).to_be_focused()  # though the table was drawn anew
    column = table.locator("tbody tr").locator("td:nth-child(4)").all_inner_texts()
    measured = [float(text) for text in column if text != "-"]
    assert len(measured) == 8
    assert measured == sorted(measured, reverse=True)
    assert column == [*column[:8], *["-"] * 5]  # what was not measured comes last
    names = table.locator("tbody th button").all_inner_texts()
    for number in (1, 2):
        box = table.get_by_role("checkbox", name=f"compare {names[number]}")
        box.focus()
        lab.keyboard.press("Space")
        expect(box).to_be_checked()
        expect(box).to_be_focused()
    table.get_by_role("button", name=names[0]).focus()
    lab.keyboard.press("Enter")
    expect(table.get_by_role("button", name=names[0])).to_have_attribute("aria-pressed", "true")
    lab.get_by_role("tab", name="Compare", exact=True).click()
    told = re.compile(".*".join(["^Curves of loss", *names[:3]]))
    expect(lab.get_by_role("img", name=told)).to_be_visible()
    choice = lab.get_by_label("Run", exact=True)
    time = re.sub(r"(....)(..)(..)_(..)(..)..", r"\1-\2-\3 \4:\5", names[0])
    assert choice.evaluate("list => list.selectedOptions[0].text").replace("\xa0", " ").startswith(time)
    choice.focus()
    choose(lab, choice, "stopped")
    expect(table.get_by_role("button", name=PAUSED_RUN[4:19])).to_have_attribute("aria-pressed", "true")


def test_a_question_comes_before_a_run_is_moved(lab: "Page", home: Path) -> None:
    from playwright.sync_api import expect

    run = home / "checkpoints" / "fpn_compression" / PAUSED_RUN
    lab.get_by_role("tab", name="Archive", exact=True).click()
    lab.get_by_role("button", name="Move to the trash").click()
    expect(lab.get_by_text(f"Move {PAUSED_RUN} to the trash?")).to_be_visible()
    assert run.is_dir()
    lab.get_by_role("button", name="Yes, move it").click()
    expect(lab.get_by_text(f"in the trash: {PAUSED_RUN}")).to_be_visible()
    assert not run.exists()
    lab.get_by_label("In the trash").select_option(index=0)
    lab.get_by_role("button", name="Restore").click()
    expect(lab.get_by_text("restored:")).to_be_visible()
    assert run.is_dir()


def test_the_notebook_is_an_app(browser: "Browser", root: Path, home: Path) -> None:
    from playwright.sync_api import expect

    with voila(root / "02_runs.ipynb", home) as address, page(browser) as app:
        app.goto(address)
        choice = app.get_by_label("Run", exact=True)
        choice.wait_for()
        label = choice.locator("option", has_text="paper").inner_text()
        choice.select_option(label=label)
        details = app.locator(".widget-tab-contents")
        run = "run_20261101_101000_lambda_1.00e-04_lr_4.00e-03_bs_4"
        expect(details.get_by_text(run, exact=True)).to_be_visible()
        expect(details.get_by_text("keeps small objects")).to_be_visible()
