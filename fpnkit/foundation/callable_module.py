"""Modules that can be called, where a function and a command, or a package, share a name: `fpnkit.train(...)` trains,
and `python -m fpnkit.train` does too.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


def make_callable(module: str, function: str) -> None:
    """Let `module` be called as `function`, a `package.module:name` that is imported on the first call."""
    if module not in sys.modules or module == "__main__":
        return
    where, _, name = function.partition(":")

    class CallableModule(ModuleType):
        def __call__(self, *arguments: Any, **named: Any) -> Any:
            return getattr(importlib.import_module(where), name)(*arguments, **named)

        def __repr__(self) -> str:
            return f"<module {self.__name__!r}, and the function {where}.{name}>"

    sys.modules[module].__class__ = CallableModule
