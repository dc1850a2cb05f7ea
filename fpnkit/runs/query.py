"""Filter runs by a condition such as `lmbda < 1e-3 and status == 'finished'`.

The text is parsed, checked node by node, and evaluated on the rows. It is never run as code: pandas' own `query` lets
anyone who can write an `@` start shell commands.
"""

import ast
import difflib
import operator
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from fpnkit.errors import RunError
from fpnkit.foundation import clock
from fpnkit.runs.store import COLUMNS, RunInfo

Condition = Callable[[RunInfo], bool]

_LONGEST = 1000  # characters
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda part, whole: part in whole,
    ast.NotIn: lambda part, whole: part not in whole,
}
_REFUSED = {ast.Call: "a call", ast.Attribute: "an attribute", ast.Subscript: "a subscript", ast.BinOp: "a calculation"}
_ALLOWED = "only comparisons of columns with values, joined by and, or, not, are allowed"
_TIMES = ("created",)


def select(runs: Sequence[RunInfo], text: str) -> list[RunInfo]:
    """The runs that match the condition; unknown values match only `== None`. Raises RunError."""
    condition = parse(text)
    return [run for run in runs if condition(run)]


def parse(text: str) -> Condition:
    """Raises RunError that names what is unknown or not allowed."""
    if len(text) > _LONGEST:
        raise RunError(f"query of {len(text)} characters: must have {_LONGEST} at most")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        hint = "; the column of lambda is called lmbda" if "lambda" in text else ""
        hint = hint or ("; @ is not allowed" if "@" in text else "; write such as \"status == 'finished'\"")
        reason = error.msg if isinstance(error, SyntaxError) else "cannot be parsed"
        raise RunError(f"query {text!r}: {reason}{hint}") from None
    return _Parser(text.strip()).condition(tree.body)


class _Parser:
    """Turns the syntax tree of one query into functions of a row."""

    def __init__(self, text: str) -> None:
        self._text = text

    def condition(self, node: ast.expr) -> Condition:
        match node:
            case ast.BoolOp():
                parts = [self.condition(value) for value in node.values]
                joined = all if isinstance(node.op, ast.And) else any
                return lambda run: joined(part(run) for part in parts)
            case ast.UnaryOp(op=ast.Not()):
                part = self.condition(node.operand)
                return lambda run: not part(run)
            case ast.Compare():
                operands = [node.left, *node.comparators]
                pairs = zip(operands, node.ops, operands[1:], strict=False)
                comparisons = [self._comparison(left, op, right) for left, op, right in pairs]
                return lambda run: all(comparison(run) for comparison in comparisons)
            case ast.Name() | ast.Constant():
                raise self._error(f"{self._source(node)!r} is not compared with anything")
        raise self._refuse(node)

    def _comparison(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Condition:
        compare = _COMPARISONS.get(type(op))
        if compare is None:
            raise self._error("'is' is not allowed, write == or !=")
        times = any(isinstance(side, ast.Name) and side.id in _TIMES for side in (left, right))
        first, second = self._operand(left, times), self._operand(right, times)
        about_none = any(isinstance(side, ast.Constant) and side.value is None for side in (left, right))
        if about_none and not isinstance(op, ast.Eq | ast.NotEq):
            raise self._error("None can be compared with == and != only")

        def condition(run: RunInfo) -> bool:
            a, b = first(run), second(run)
            if not about_none and (a is None or b is None):
                return False
            try:
                return bool(compare(a, b))
            except TypeError:
                shown = f"{self._source(left)} and {self._source(right)}"
                raise self._error(f"{shown} cannot be compared, {_kind(a)} with {_kind(b)}") from None

        return condition

    def _operand(self, node: ast.expr, as_time: bool) -> Callable[[RunInfo], Any]:
        if isinstance(node, ast.Name):
            return self._column(node.id)
        value = self._literal(node)
        if as_time and isinstance(value, str):
            value = self._time(value)
        return lambda run: value

    def _column(self, name: str) -> Callable[[RunInfo], Any]:
        if name not in COLUMNS:
            near = difflib.get_close_matches(name, COLUMNS, n=1)
            hint = f", did you mean {near[0]!r}?" if near else ""
            raise self._error(f"column {name!r} is unknown{hint}; there are {', '.join(COLUMNS)}")

        def value(run: RunInfo) -> Any:
            found = getattr(run, name)
            return str(found) if isinstance(found, Path) else found

        return value

    def _literal(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=None | bool() | int() | float() | str() as value):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                return -number
            case ast.Tuple() | ast.List() | ast.Set():
                return tuple(self._literal(item) for item in node.elts)
        raise self._refuse(node)

    def _time(self, text: str) -> datetime:
        time = clock.from_text(text)
        if time is None:
            raise self._error(f"{text!r} is not a time; write it like '2026-12-16' or '2026-12-16 14:30'")
        return time

    def _refuse(self, node: ast.expr) -> RunError:
        what = _REFUSED.get(type(node), type(node).__name__)
        return self._error(f"{self._source(node)!r} is {what}, which is not allowed; {_ALLOWED}")

    def _error(self, problem: str) -> RunError:
        return RunError(f"query {self._text!r}: {problem}")

    def _source(self, node: ast.expr) -> str:
        return ast.get_source_segment(self._text, node) or type(node).__name__


def _kind(value: object) -> str:
    if isinstance(value, bool | int | float):
        return "a number"
    return {str: "text", datetime: "a time", tuple: "a list"}.get(type(value), type(value).__name__)
