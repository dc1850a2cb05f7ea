"""Names that somebody may give to anything, most of them on purpose."""

import random
import string

from tests.support.run_dirs import ODD_NAMES

_WORDS = [
    *(
        "..",
        ".",
        "...",
        "~",
        "-",
        "--",
        "-rf",
        "--base-dir",
        "--yes",
        "*",
        "?",
        "[a-z]",
        "{a,b}",
        "%s",
        "%n",
        "{0}",
        "$HOME",
    ),
    *(
        "$(touch executed)",
        "`touch executed`",
        "; touch executed",
        "| touch executed",
        "&& touch executed",
        "> executed",
    ),
    *(
        "a'b",
        'a"b',
        "a\\b",
        "a\\nb",
        "a\tb",
        "a\rb",
        "a\nb",
        "a\x00b",
        "a\x1b[2Jb",
        "a\x07b",
        "a\x7fb",
        "a\x9bb",
        " ",
        "  a ",
    ),
    *(
        "../outside",
        "../../outside",
        "/etc",
        "/",
        "a/b",
        "a/../b",
        "./a",
        "outside",
        "sweeps",
        "archive",
        ".trash",
        ".lock",
    ),
    *(
        "é",
        "e\u0301",
        "\u202egpj.exe",
        "\u200b",
        "\ufeff",
        "\u2028",
        "\ud800",
        "😀",
        "漢字",
        "ß",
        "İ",
        "ﬁ",
        "NUL",
        "con",
    ),
    *(
        "<script>",
        "<img src=x onerror=alert(1)>",
        "&lt;",
        "[bold]",
        "[/red]",
        "[link=x]",
        "None",
        "null",
        "nan",
        "1e9",
        "0",
    ),
    *("x" * 255, "é" * 127, "run.json", "config_used.yaml", "run_.tar.gz", "run.log", "run_20261216_143022_lr_1_bs_1"),
    *("lmbda == 1", "__import__('os').system('touch executed')", "a,b", "a;b", "=cmd|'/c calc'!A1", "@x", "+1"),
]


def odd_text(generator: random.Random) -> str:
    """Anything that can be typed, and more."""
    kind = generator.random()
    if kind < 0.45:
        return generator.choice(_WORDS)
    if kind < 0.6:
        return generator.choice(ODD_NAMES)
    if kind < 0.75:
        return generator.choice(_WORDS)[:100] + generator.choice(_WORDS)[:100]
    if kind < 0.9:
        return "".join(chr(generator.choice((*range(1, 128), 0x85, 0xE9, 0x2028, 0x1F600))) for _ in range(8))
    return "".join(generator.choices(string.printable, k=generator.randint(1, 40)))


def odd_name(generator: random.Random) -> str:
    """Of a file: what a file system takes."""
    while True:
        text = odd_text(generator).replace("/", "_").replace("\0", "_").replace("\ud800", "_")
        if text not in ("", ".", "..") and len(text.encode("utf-8", "surrogateescape")) <= 255:
            return text


def odd_argument(generator: random.Random) -> str:
    """Of a command: what a system passes on."""
    return odd_text(generator).replace("\0", "_").replace("\ud800", "_")
