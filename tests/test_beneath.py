"""Numbers that C++ computes from sizes, as ``torch.vmap`` does, are live in a graph by example."""

import pytest
import torch

import flexir
from flexir.recording.proof import equal


def rows_alone(x):
    return torch.vmap(lambda row: row.sin() + row.sum())(x)


def one_for_each(x):
    return torch.vmap(lambda i: torch.ones(3) * 2)(torch.arange(x.shape[0])).sum(1)


def products_of_pairs(x):
    inner = torch.vmap(torch.dot, in_dims=(None, 0))
    return torch.vmap(inner, in_dims=(0, None))(x, x)


def outer_products(x):
    return torch.vmap(lambda row: torch.outer(row, row) @ row)(x)


def a_mask(x):
    query, batch = torch.arange(x.shape[1]), torch.arange(x.shape[0])
    shown = torch.vmap(lambda b, q, k: (q >= k) & (b >= 0), in_dims=(None, None, 0))
    shown = torch.vmap(shown, in_dims=(None, 0, None))
    shown = torch.vmap(shown, in_dims=(0, None, None))
    return torch.where(shown(batch, query, query), x[:, :, None], 0.0)


MODELS = (rows_alone, one_for_each, products_of_pairs, outer_products, a_mask)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@pytest.mark.parametrize("sizes", [((2, 3), (3, 4)), ((4, 3), (6, 5), (2, 7))], ids=str)
def test_vmap_is_live(model, sizes):
    first, *others = [(torch.randn(*one),) for one in sizes]
    graph = flexir.capture(model, first, also=others)
    assert not graph.variants
    for size in ((7, 5), (6, 7), (1, 1), (4, 4)):
        x = torch.randn(*size)
        assert equal(graph(x), model(x))


def of_two(x, y):
    pairs = torch.vmap(torch.vmap(lambda a, b: a - b, in_dims=(None, 0)), in_dims=(0, None))
    return pairs(x, y).reshape(-1)


def test_what_else_it_may_be_must_agree():
    shown = [(torch.randn(n), torch.randn(n)) for n in (3, 4)]
    graph = flexir.capture(of_two, shown[0], also=shown[1:])
    for sizes in ((5, 5), (5, 6), (2, 7), (3, 4)):
        x, y = map(torch.randn, sizes)
        try:
            assert equal(graph(x, y), of_two(x, y))
        except flexir.Diverged:
            assert len(set(sizes)) == 2


def test_a_length_that_no_example_varied_is_refused():
    graph = flexir.capture(a_mask, (torch.randn(2, 3),), also=[(torch.randn(4, 3),)])
    x = torch.randn(6, 3)
    assert equal(graph(x), a_mask(x))
    with pytest.raises(flexir.Diverged):
        graph(torch.randn(2, 4))


def test_the_line_is_told():
    graph = flexir.capture(rows_alone, (torch.randn(2, 3),), also=[(torch.randn(4, 3),)])
    assert any("vmap() at test_beneath.py" in line for line in graph.audit.laundered)
