"""The examples in each `--help`: there are some, in the spelling that was typed, and the command takes them."""

import shlex
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from fpnkit import cli
from fpnkit.__main__ import _PACKAGES, COMMANDS
from fpnkit.__main__ import main as fpnkit
from fpnkit.anchors.catalogue import require_qualities, select
from fpnkit.config.load import load_config
from tests.support import ROOT

MODULES = {name: f"fpnkit.{name}" for name in COMMANDS} | {"detectors.export": "fpnkit.detectors.export"}
SPELLINGS = [(f"python -m {module}", module) for module in MODULES.values()]
SPELLINGS += [(f"fpnkit {name}", MODULES[name]) for name in COMMANDS]
ACTIONS = {
    "bitstream": ("encode", "decode", "inspect"),
    "runs": ("diff", "note", "tag", "archive", "trash", "restore", "purge", "prune", "tensorboard"),
}


def module_of(name: str) -> ModuleType:
    return import_module(f"{name}.__main__" if name.removeprefix("fpnkit.") in _PACKAGES else name)


def help_of(typed: str, module: str, *action: str) -> str:
    """The exit code of `--help`, of a command typed like this; `capsys` has the text."""
    main = fpnkit if typed.startswith("fpnkit ") else module_of(module).main
    name = [typed.split()[1]] if main is fpnkit else []
    with pytest.raises(SystemExit) as asked:
        main([*name, *action, "--help"])
    return str(asked.value.code)


def examples(said: str, typed: str) -> list[list[str]]:
    """The arguments of each example that follows the options, where all else is a comment."""
    options, block = said.split("\n\nExamples:\n")
    assert "\n  -h, --help" in options
    lines = [line.removeprefix("  ") for line in block.splitlines() if not line.startswith("  # ")]
    assert [line for line in lines if not line.startswith(f"{typed} ")] == []
    return [shlex.split(line.removeprefix(typed).partition(" > ")[0]) for line in lines]


@pytest.mark.parametrize(("typed", "module"), SPELLINGS, ids=[typed for typed, _ in SPELLINGS])
def test_each_command_takes_the_examples_of_its_help(
    typed: str, module: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FPNKIT_DATA", "/data")  # which some configs name; nothing is opened
    assert help_of(typed, module) == "0"
    found = examples(capsys.readouterr().out, typed)
    assert len(found) >= 2
    parser = module_of(module)._parser()
    for arguments in found:
        options = parser.parse_args(arguments)  # would exit
        config = getattr(options, "config", None)
        if config is not None:
            load_config(ROOT / config, cli.overrides(options))  # flags have values that these keys take
        files = [Path(each) for each in arguments if each.startswith("configs/")]
        assert [file for file in files if not (ROOT / file).is_file()] == []


@pytest.mark.parametrize(("name", "action"), [(name, action) for name, some in ACTIONS.items() for action in some])
def test_an_action_shows_those_of_its_command_that_are_its_own(
    name: str, action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for typed in (f"fpnkit {name}", f"python -m fpnkit.{name}"):
        help_of(typed, f"fpnkit.{name}")
        of_all = examples(capsys.readouterr().out, typed)
        assert help_of(typed, f"fpnkit.{name}", action) == "0"
        found = examples(capsys.readouterr().out, typed)
        assert found == [each for each in of_all if each[0] == action]
        assert found


def test_anchors_and_qualities_in_examples_are_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    named = []
    for name, key in (("anchors", "only"), ("sweep", "anchors")):
        help_of(f"fpnkit {name}", f"fpnkit.{name}")
        for arguments in examples(capsys.readouterr().out, f"fpnkit {name}"):
            options = module_of(f"fpnkit.{name}")._parser().parse_args(arguments)
            for anchor in select(getattr(options, key)):
                require_qualities(anchor, getattr(options, "qualities", []))
            named += getattr(options, key)
    assert named == ["jpeg_input", "avif_input", "hevc_input", "vvc_input", "jpeg"]


def test_filled_paragraphs_stand_above_examples_that_keep_their_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    doc = "Do it.\n\nOne long\nparagraph.\n\nExamples:\n  python -m fpnkit.one " + "a " * 60 + "\n"
    print(cli.command_parser("fpnkit.one", doc).format_help(), end="")
    assert capsys.readouterr().out.splitlines()[-4:] == [
        "One long paragraph.",
        "",
        "Examples:",
        "  python -m fpnkit.one " + "a " * 59 + "a",
    ]
