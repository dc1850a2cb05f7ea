"""Running `python -m fpnkit.analyze` and looking at what it leaves."""

import re
import sys
from pathlib import Path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", "fpnkit.analyze", *map(str, arguments)]


def shown_images(page: Path) -> list[str]:
    """Names of the figures on a page, in order."""
    return re.findall(r'<img src="([^"]+)\.png"', page.read_text())


def assert_complete(page: Path, *, small: bool = False) -> None:
    """Every figure of the page is there in all its forms, and nothing half-made is."""
    names = shown_images(page)
    assert len(names) == len(set(names)) > 0
    for name in names:
        assert (page.parent / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        pdf = page.parent / f"{name}.pdf"
        assert not pdf.exists() if small else pdf.read_bytes().startswith(b"%PDF")
        assert (page.parent / f"{name}.csv").read_text().count("\n") > 1
    assert {path.stem for path in page.parent.glob("*.png")} == set(names)
    assert list(page.parent.rglob(".*.tmp")) == []
