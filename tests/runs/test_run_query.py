import contextlib
import math
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpnkit.errors import RunError
from fpnkit.runs.query import parse, select
from fpnkit.runs.store import COLUMNS, RunInfo
from tests.support.run_dirs import write_run
from tests.support.run_processes import command_line

NOON = datetime.fromisoformat("2026-12-16T12:00:00+00:00").astimezone()


def run(name, **facts):
    return RunInfo(name, Path("/base") / name, facts.pop("status", "finished"), **facts)


RUNS = [
    run("a", lmbda=1e-4, created=NOON, tags=("paper",), codec="factorized", best_loss=2.0),
    run("b", lmbda=1e-3, created=NOON + timedelta(days=1), status="crashed", best_loss=math.nan, epoch=3),
    run("c", lmbda=1e-2, created=NOON + timedelta(days=2), codec="hyperprior", bpp=-0.5),
    run("d", status="running"),
]


def names(text):
    return "".join(each.name for each in select(RUNS, text))


def message(text):
    with pytest.raises(RunError) as error:
        select(RUNS, text)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lmbda < 1e-3", "a"),
        ("lmbda <= 1e-3 and status == 'finished'", "a"),
        ("lmbda < 1e-3 or status == 'running'", "ad"),
        ("1e-4 < lmbda <= 1e-2", "bc"),
        ("not lmbda == 1e-3", "acd"),
        ("lmbda != 1e-3", "ac"),
        ("lmbda in (1e-4, 1e-2)", "ac"),
        ("status not in ['crashed', 'running']", "ac"),
        ("'paper' in tags", "a"),
        ("'factor' in codec", "a"),
        ("'/base/' in path", "abcd"),
        ("codec == None", "bd"),
        ("best_loss != None", "ab"),
        ("best_loss < 1e9", "a"),
        ("bpp < -0.25", "c"),
        ("created >= '2026-12-17'", "bc"),
        ("created < '2026-12-16T12:00:01+00:00'", "a"),
        (" lmbda < 1 and (epoch > 2 or bpp < 0)\n", "bc"),
        ("epoch == best_loss", ""),
    ],
)
def test_a_query_chooses_rows_in_their_order(text, expected):
    assert names(text) == expected


ALLOWED = "only comparisons of columns with values, joined by and, or, not, are allowed"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("__import__('os').system('id') == 0", "\"__import__('os').system('id')\" is a call"),
        ("name.__class__ == 1", "'name.__class__' is an attribute"),
        ("tags[0] == 'a'", "'tags[0]' is a subscript"),
        ("lmbda * 2 < 1", "'lmbda * 2' is a calculation"),
        ("(lambda: 1) == 1", "'lambda: 1' is Lambda"),
        ("[x for x in tags] == 1", "'[x for x in tags]' is ListComp"),
        ("f'{name}' == 'a'", "\"f'{name}'\" is JoinedStr"),
        ("(name := 'a') == 'a'", "\"name := 'a'\" is NamedExpr"),
        ("name == b'a'", "\"b'a'\" is Constant"),
        ("lmbda < 1j", "'1j' is Constant"),
        ("len(name)", "'len(name)' is a call"),
        ("lmbda in (epoch, 1)", "'epoch' is Name"),
        ("name if name == 'a' else name", "\"name if name == 'a' else name\" is IfExp"),
    ],
)
def test_everything_but_comparisons_is_refused_by_name(text, problem):
    assert message(text) == f"query {text!r}: {problem}, which is not allowed; {ALLOWED}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("status", "'status' is not compared with anything"),
        ("not note", "'note' is not compared with anything"),
        ("lmbda < 1 and True", "'True' is not compared with anything"),
        ("name is None", "'is' is not allowed, write == or !="),
        ("lmbda < None", "None can be compared with == and != only"),
        (
            "best_los < 1",
            f"column 'best_los' is unknown, did you mean 'best_loss'?; there are {', '.join(COLUMNS)}",
        ),
        ("lmbda < 'x'", "lmbda and 'x' cannot be compared, a number with text"),
        ("'x' in lmbda", "'x' and lmbda cannot be compared, text with a number"),
        ("created > 'noon'", "'noon' is not a time; write it like '2026-12-16' or '2026-12-16 14:30'"),
        ("lambda < 1e-3", "invalid syntax; the column of lambda is called lmbda"),
        ("lmbda < @os.getcwd()", "invalid syntax; @ is not allowed"),
        ("status = 'a'", "invalid syntax; write such as \"status == 'finished'\""),
    ],
)
def test_mistakes_are_told_in_words(text, problem):
    assert message(text) == f"query {text!r}: {problem}"


def test_a_query_that_is_too_long_or_too_deep_is_refused():
    assert message("name == 'a' or " * 100 + "name == 'a'") == "query of 1511 characters: must have 1000 at most"
    for text in ("(" * 400 + "1" + ")" * 400, "\0", "-" * 900 + "1"):
        assert message(text).startswith("query ")
    assert names("not " * 200 + "name == 'a'") == "a"


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from([*COLUMNS, "(", ")", "<", "in", "'a'", "1", "@", "."])).map(" ".join)
)
def test_no_text_does_anything_but_choose_or_fail_with_a_message(text):
    chosen = []
    with contextlib.suppress(RunError):
        condition = parse(text)
        chosen = [condition(each) for each in RUNS]
    assert all(isinstance(answer, bool) for answer in chosen)


def test_the_command_line_lists_what_fulfils_the_query_and_runs_nothing(base, tmp_path):
    write_run(base, "run_a", epoch=1)
    write_run(base, "run_b", epoch=2, exit_code=1)
    done = command_line(
        "--base-dir", base, "--csv", "--columns", "name", "--query", "epoch > 1 and status == 'crashed'"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "name\nrun_b\n", "")
    assert command_line("--base-dir", base, "--query", "epoch > 9").stdout == "none of 2 runs matches the query\n"
    for attack in (f"@os.system('touch {tmp_path}/pwned')", f"__import__('os').system('touch {tmp_path}/pwned')"):
        done = command_line("--base-dir", base, "--query", attack)
        assert (done.returncode, done.stdout) == (2, "")
    assert "pwned" not in os.listdir(tmp_path)
