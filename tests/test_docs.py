"""README and docs: links lead somewhere, commands are accepted, and those about runs do what is shown."""

import importlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fpnkit.__main__ import COMMANDS
from tests.support.fake_runs import write_runs

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [f"run_20261123_{time}_lambda_{lmbda}_lr_1.00e-03_bs_2" for time, lmbda in (
    ("083137", "1.00e-02"), ("083146", "2.00e-02"), ("083224", "3.00e-02"), ("085949", "2.00e-02"),
)]  # fmt: skip

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def commands(page: Path) -> Iterator[list[str]]:
    """Words of every `fpnkit` command that a reader would type."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    lines += [line[2:] for block in blocks(page, "text") for line in block.splitlines() if line.startswith("$ ")]
    for line in lines:
        words = shlex.split(line.replace("&& ", "; ").split(";")[-1], comments=True)
        if words[:2] == ["python", "-m"] and words[2].startswith("fpnkit."):
            yield [words[2].removeprefix("fpnkit."), *words[3:]]
        elif words[:1] == ["fpnkit"]:
            yield words[1:]


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    titles = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE), re.M
    )
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_the_readme_takes_five_minutes() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 145


def test_every_page_is_linked_from_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    assert [page.name for page in PAGES[1:] if f"({page.relative_to(ROOT)})" not in text] == []


@pytest.mark.parametrize(
    "words", [words for page in PAGES for words in commands(page)], ids=lambda words: " ".join(words)[:60]
)
def test_commands_are_accepted(words: list[str]) -> None:
    """By their parser; and configs that they name exist."""
    command, *arguments = words
    module = importlib.import_module(f"fpnkit.{command}" if command in COMMANDS else "nothing")
    if hasattr(module, "__path__"):
        module = importlib.import_module(f"fpnkit.{command}.__main__")
    module._parser().parse_args(arguments)
    for word in arguments:
        assert not word.startswith("configs/") or (ROOT / word).is_file()


def test_commands_about_runs_do_what_the_page_shows(tmp_path: Path) -> None:
    base_dir = tmp_path / "checkpoints" / "fpn_compression"
    for path, name in zip(write_runs(base_dir, len(NAMES)), NAMES, strict=True):
        path.rename(base_dir / name)
    environment = {**os.environ, "FPNKIT_HOME": str(tmp_path)}
    shown = [words for words in commands(ROOT / "docs" / "runs.md") if words[0] == "runs"]
    assert len(shown) >= 9
    for words in shown:
        done = subprocess.run(
            [sys.executable, "-m", "fpnkit.runs", *words[1:]],
            capture_output=True, text=True, env=environment, timeout=60, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, (words, done.stderr)
    left = {path.name for path in base_dir.iterdir() if path.name.startswith("run_")}
    assert left == {NAMES[0], NAMES[3]}  # one was archived, one is in the trash for good
