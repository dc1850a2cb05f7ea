"""Every key of a config: python -m fpnkit.keys [SECTION]

Prints type, default, range and meaning, and, where a section has kinds, of which kind a key is. --schema prints a JSON
schema for editors; begin a config with

    # yaml-language-server: $schema=fpnkit.schema.json

and they complete keys and mark mistakes. Exit codes: 0 done, 2 the input is wrong.

Examples:
  python -m fpnkit.keys codec
  python -m fpnkit.keys training.lr
  python -m fpnkit.keys --schema > fpnkit.schema.json
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Sequence

from fpnkit import cli
from fpnkit.config.keys import json_schema, keys
from fpnkit.errors import UserError
from fpnkit.foundation.tables import print_rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.run(_parser(), arguments, lambda options, session: _show(options))


def _parser() -> argparse.ArgumentParser:
    parser = cli.command_parser("fpnkit.keys", __doc__)
    parser.add_argument("section", metavar="SECTION", nargs="?", help="such as codec, or training.lr (default: all)")
    parser.add_argument("--schema", action="store_true", help="a JSON schema")
    parser.set_defaults(only_prints=True)
    return parser


def _show(options: argparse.Namespace) -> None:
    if options.schema:
        print(json.dumps(json_schema(), indent=1, ensure_ascii=False))
        return
    found = keys()
    if options.section is not None:
        known = list(dict.fromkeys([key.path.split(".")[0] for key in found] + [key.path for key in found]))
        found = [key for key in found if f"{key.path}.".startswith(f"{options.section}.")]
        if not found:
            near = difflib.get_close_matches(options.section, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(f"{options.section}: required a section or a key, found none of that name{hint}")
    rows = [[key.path, key.where, key.type, key.default, key.range, key.meaning] for key in found]
    print_rows(["key", "kind", "type", "default", "range", "meaning"], rows)


if __name__ == "__main__":
    sys.exit(main())
