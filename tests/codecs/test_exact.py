"""Fixed-point networks: the same bits whatever the order of the sums."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from fpnkit.codecs.exact import ExactNetwork, on_grid


def network() -> ExactNetwork:
    torch.manual_seed(0)
    made = ExactNetwork(37, 64, 20, blocks=2)
    torch.nn.init.normal_(made.last.weight, std=0.2)
    return made


def values(batch: int = 3, rows: int = 7, columns: int = 9) -> torch.Tensor:
    return on_grid(3 * torch.randn(batch, 37, rows, columns, generator=torch.Generator().manual_seed(1)))


@torch.no_grad()
def test_neither_batch_nor_threads_nor_order_of_channels_change_a_bit() -> None:
    made, batch = network(), values()
    expected = made.exact(batch)
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            assert torch.equal(torch.cat([made.exact(each[None]) for each in batch]), expected)
    finally:
        torch.set_num_threads(threads)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(2))
    shuffled = network()
    shuffled.first.weight.copy_(made.first.weight[order])
    shuffled.first.bias.copy_(made.first.bias[order])
    for neighbors, middle in zip(shuffled.neighbors, shuffled.middle, strict=True):
        neighbors.weight.copy_(neighbors.weight[order])
        neighbors.bias.copy_(neighbors.bias[order])
        middle.weight.copy_(middle.weight[order][:, order])
        middle.bias.copy_(middle.bias[order])
    shuffled.last.weight.copy_(made.last.weight[:, order])
    shuffled.last.bias.copy_(made.last.bias)
    assert torch.equal(shuffled.exact(batch), expected)
    assert not torch.equal(shuffled(batch.float()), made(batch.float()))  # float32 is not so lucky


@torch.no_grad()
def test_a_backend_that_multiplies_in_another_way_gives_the_same() -> None:
    """oneDNN on or off, and products one by one in Python's unbounded whole numbers."""
    made, batch = network(), values(1, 2, 3)
    expected = made.exact(batch)
    with torch.backends.mkldnn.flags(enabled=False, allow_tf32=None):
        assert torch.equal(made.exact(batch), expected)
    layer = made.first
    weight = (on_grid(layer.weight, 2.0**-14, 8.0) * 2**14).long().tolist()
    bias = (on_grid(layer.bias, 2.0**-14, 8.0) * 2**24).long().tolist()
    column = (batch[0, :, 1, 2] * 2**10).long().tolist()
    total = [b + sum(w * v for w, v in zip(row, column, strict=True)) for row, b in zip(weight, bias, strict=True)]
    assert torch.equal(layer.exact(batch)[0, :, 1, 2], on_grid(torch.tensor(total, dtype=torch.float64) / 2**24))


@torch.no_grad()
def test_it_is_the_network_that_was_trained_but_for_rounding() -> None:
    made, batch = network(), values()
    assert (made.exact(batch) - made(batch.float())).abs().max() < 0.01
    assert made(batch.float()).std() > 0.3


@given(st.floats(-1e6, 1e6), st.sampled_from([2.0**-10, 2.0**-14]), st.sampled_from([8.0, 512.0]))
def test_numbers_on_a_grid(value: float, step: float, bound: float) -> None:
    found = on_grid(torch.tensor(value, dtype=torch.float64), step, bound).item()
    assert (found / step).is_integer()
    assert abs(found) <= bound
    assert abs(found - max(-bound, min(bound, value))) <= step / 2
