import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpnkit.anchors.ans import Table, Unpacker, pack
from fpnkit.errors import StreamError

counts = st.lists(st.integers(1, 10**6), min_size=1, max_size=9)
tables = st.one_of(counts.map(Table.of), st.integers(1, 2**40).map(Table.even))
symbols = st.lists(
    tables.flatmap(lambda table: st.tuples(st.just(table), st.integers(0, len(table.sums) - 2))), max_size=60
)
END = Table.of([1, 1])


@given(symbols)
def test_symbols_come_back_and_then_there_is_the_end(sent: list[tuple[Table, int]]) -> None:
    unpacker = Unpacker(pack([*sent, (END, 1)]))
    assert [unpacker.take(table) for table, _ in sent] == [symbol for _, symbol in sent]
    assert unpacker.take(END) == 1
    unpacker.require_end()


@given(symbols)
def test_only_the_first_symbols_may_cost_more_than_they_tell(sent: list[tuple[Table, int]]) -> None:
    bits = 32.0  # their tables' sums have up to 24
    for table, symbol in sent:
        bits += math.log2(table.sums[-1]) - math.log2(table.sums[symbol + 1] - table.sums[symbol])
    assert len(pack([*sent, (END, 1)])) <= bits / 8


@pytest.mark.parametrize(("data", "found"), [(b"", "none"), (b"\0\1", "a leading zero")])
def test_what_is_never_written_is_refused(data: bytes, found: str) -> None:
    with pytest.raises(StreamError) as caught:
        Unpacker(data)
    assert str(caught.value) == f"stream: required symbols, found {found}"


def test_symbols_that_were_not_taken_are_told_of() -> None:
    unpacker = Unpacker(pack([(Table.even(5), 3), (Table.even(9), 2), (END, 1)]))
    assert unpacker.take(Table.even(5)) == 3
    with pytest.raises(StreamError) as caught:
        unpacker.require_end()
    assert str(caught.value) == "stream: required the end of its symbols, found more"
