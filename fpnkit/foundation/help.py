"""The text of `--help`, which is a module's docstring."""

from __future__ import annotations

import argparse

_EXAMPLES = "Examples:\n"


class Paragraphs(argparse.HelpFormatter):
    """Fills paragraphs to the terminal's width; one with an indented line keeps its lines, as examples do."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(
            paragraph if "\n " in f"\n{paragraph}" else super(Paragraphs, self)._fill_text(paragraph, width, indent)
            for paragraph in text.split("\n\n")
        )


def described_parser(typed: str, doc: str) -> argparse.ArgumentParser:
    """A parser of the command `typed`; the docstring's first paragraph stands above the options, the rest below."""
    description, _, epilog = doc.strip().partition("\n\n")
    return argparse.ArgumentParser(typed, None, description, epilog, formatter_class=Paragraphs)


def examples_of(parser: argparse.ArgumentParser, action: str) -> str:
    """Those of the parser's examples that begin with the action, as text; each with the comments above it."""
    block = next(each for each in (parser.epilog or "").split("\n\n") if each.startswith(_EXAMPLES))
    kept: list[str] = []
    comments: list[str] = []
    for line in block.removeprefix(_EXAMPLES).splitlines():
        comments.append(line)
        if not line.lstrip().startswith("#"):
            kept += comments if f"{line} ".startswith(f"  {parser.prog} {action} ") else []
            comments = []
    return _EXAMPLES + "\n".join(kept)
