"""Run directories: write, list, query, compare and tidy them, and read their evaluations. Without torch."""

from fpnkit.foundation.callable_module import make_callable

make_callable(__name__, "fpnkit.api.runs:table")
