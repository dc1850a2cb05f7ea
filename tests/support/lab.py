"""What a person does in JupyterLab."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

KERNEL = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}


def open_notebook(page: "Page", address: str, name: str) -> None:
    """Until its kernel waits for work. `reset` forgets what was open before."""
    page.goto(f"{address}/tree/{name}?reset")
    page.locator(".jp-Notebook").wait_for()
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()


def run_all(page: "Page") -> None:
    """Run every cell; until the last has run."""
    from playwright.sync_api import expect

    prompts = page.locator(".jp-CodeCell .jp-InputPrompt")
    command(page, "Clear Outputs of All Cells")  # numbers of stored outputs would look as if they had run
    expect(prompts.last).to_have_text("[ ]:")
    command(page, "Run All Cells")
    expect(prompts.last).to_have_text(re.compile(r"\[\d+\]:"))


def command(page: "Page", name: str) -> None:
    """By the command palette, as those do who have no mouse."""
    page.keyboard.press("Control+Shift+C")
    page.locator("#command-palette input, .jp-ModalCommandPalette input").first.wait_for()
    page.keyboard.type(name)
    page.get_by_role("menuitem", name=name, exact=True).first.wait_for()
    page.keyboard.press("Enter")


def tab_to(page: "Page", control: "Locator", most: int = 80) -> None:
    """Press Tab until the control has the focus, as those do who have no mouse."""
    for _ in range(most):
        if control.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{control} was not reached with {most} tabs")


def choose(page: "Page", choice: "Locator", text: str) -> None:
    """Take the first option with this text from the list that has the focus.

    Space opens the list. In a closed one the arrows would be JupyterLab's, which goes to the next cell.
    """
    labels = choice.locator("option").all_inner_texts()
    place = next(place for place, label in enumerate(labels) if text in label)
    for key in ("Space", "Home", *["ArrowDown"] * place, "Enter"):
        page.keyboard.press(key)


def run_first(page: "Page", count: int) -> None:
    """Run so many cells from the first on, and wait for none of them."""
    page.locator(".jp-Notebook .jp-Cell").first.click(position={"x": 4, "y": 4})
    page.keyboard.press("Escape")
    for _ in range(count):
        page.keyboard.press("Shift+Enter")


def restart(page: "Page") -> None:
    """Forget everything that the kernel knows."""
    command(page, "Restart Kernel…")
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
