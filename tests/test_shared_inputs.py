"""Inputs that were apart when recorded and share memory now, while the model writes one of them."""

import pytest
import torch

import flexir


def writes_first(x, y):
    x.add_(1)
    return x * y


def writes_both(x, y):
    x.add_(1)
    y.mul_(2)
    return x * y


def reads(x, y):
    return x * y


def inputs():
    return torch.ones(3), torch.ones(3)


@pytest.mark.parametrize("model", [writes_first, writes_both])
def test_one_tensor_for_two_inputs_is_refused_where_one_is_written(model):
    graph = flexir.capture(model, inputs())
    x = torch.ones(3)
    with pytest.raises(flexir.errors.Diverged, match="'x' and 'y' share memory now"):
        graph(x, x)
    assert torch.equal(graph(*inputs()), model(*inputs()))


def test_a_view_of_a_written_input_is_refused():
    graph = flexir.capture(writes_first, inputs())
    x = torch.ones(6)
    with pytest.raises(flexir.errors.Diverged, match="share memory now"):
        graph(x[:3], x[2:5])
    assert torch.equal(graph(x[:3], x[3:]), torch.full((3,), 2.0))  # one storage, other elements


def test_what_is_only_read_may_be_one_tensor():
    graph = flexir.capture(reads, inputs())
    x = torch.randn(3)
    assert torch.equal(graph(x, x), x * x)


def test_inputs_that_shared_memory_when_recorded_may_share_it_again():
    def model(x, y):
        x.add_(1)
        return y * 2

    x = torch.zeros(4)
    graph = flexir.capture(model, (x, x[1:3]))
    z = torch.zeros(4)
    expected = model(z, z[1:3])
    z = torch.zeros(4)
    assert torch.equal(graph(z, z[1:3]), expected)


def test_inputs_on_the_meta_device_are_told_apart():
    graph = flexir.capture(writes_first, [t.to("meta") for t in inputs()])
    assert graph(*[t.to("meta") for t in inputs()]).shape == (3,)


@pytest.mark.parametrize("recorded, other", [
    (torch.float16, torch.float64), (1j, 2j), (slice(0, 2), slice(1, 2)), (..., None),
    (torch.Size([2, 2]), torch.Size([4, 1])), (b"a", b"b"),
])  # fmt: skip
def test_an_input_that_is_no_tensor_must_be_the_recorded_one(recorded, other):
    def model(x, how):
        return x.sin()

    graph, x = flexir.capture(model, (torch.ones(4), recorded)), torch.ones(4)
    assert torch.equal(graph(x, recorded), x.sin())
    with pytest.raises(flexir.Diverged, match="when recorded, now"):
        graph(x, other)
