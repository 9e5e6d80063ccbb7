"""What several conditions of one statement decided together is known only as examples showed it."""

import pytest
import torch

import flexir
from tests.rows import right_or_refused


def sign(v):
    return 1 if v > 0 else -1


def sum_of_two(x):
    return x * ((1 if x[0] > 0 else 0) + (1 if x[1] > 0 else 0))


def product_of_variables(x):
    a = sign(x[0])
    b = sign(x[1])
    return x * (a * b)


def looked_up(x):
    table = {(True, False): 2.0, (False, True): 2.0, (True, True): 3.0, (False, False): 5.0}
    return x * table[(bool(x[0] > 0), bool(x[1] > 0))]


def the_larger(x):
    return x * max(1 if x[0] > 0 else 3, 1 if x[1] > 0 else 3)


def as_text(x):
    return x * len(("a" if x[0] > 0 else "") + ("b" if x[1] > 0 else ""))


def compared(x):
    if (x[0] > 0).item() != (x[1] > 0).item():
        return x * 2
    return x * 3


def counted(x):
    k = [bool(x[0] > 0), bool(x[1] > 0)].count(True)
    return x * k


def filtered(x):
    return x * len(list(filter(lambda v: v > 0, x.tolist())))


def a_size(x):
    return torch.zeros(int(x[0] > 0) + int(x[1] > 0))


def how_many(x):
    return (1 if x[0] > 0 else 0) + (1 if x[1] > 0 else 0)


def returned_and_kept(x):
    n = how_many(x)
    return torch.zeros(n)


def returned(x):
    return torch.zeros(how_many(x))


def kept_and_changed(x):
    n = (1 if x[0] > 0 else 0) + (1 if x[1] > 0 else 0)
    m = n + 1
    return torch.zeros(m)


def of_sizes(x):
    n = x.shape[0]
    return x * ((n == 5) + (n == 6))


def largest_of_sizes(x):
    n = x.shape[0]
    return x * max(n % 5 == 0, n % 6 == 0)


def sizes_compared(x):
    n = x.shape[0]
    if (n == 5) == (n == 6):
        return x
    return x * 2


def any_of(x):
    return x * 2 if any(x.shape[0] == k for k in (5, 6)) else x * 3


def tensors_chosen(x):
    return torch.add(x if x[0] > 0 else -x, x if x[1] > 0 else x.exp(), alpha=2)


VALUES = [sum_of_two, product_of_variables, looked_up, the_larger, as_text, compared, counted,
          filtered, a_size, returned_and_kept, returned, kept_and_changed]  # fmt: skip
SIZES = [of_sizes, largest_of_sizes, sizes_compared, any_of]


@pytest.mark.parametrize("function", VALUES)
def test_outcomes_that_no_example_showed_together(function):
    shown = torch.tensor([1.0, -1.0]), torch.tensor([-1.0, 1.0])
    both, neither = torch.tensor([1.0, 2.0]), torch.tensor([-1.0, -2.0])
    graph = flexir.capture(function, shown[0], also=shown[1:])
    right_or_refused(graph, function, [*shown, both, neither])
    graph = flexir.capture(function, shown[0], also=[shown[1], both, neither])
    if function is filtered:  # what C keeps is not known, whatever was shown
        right_or_refused(graph, function, [*shown, both, neither, both * 2, neither * 2])
        return
    for x in (*shown, both, neither, both * 2, neither * 2):
        assert torch.equal(graph(x), function(x)), "all were shown"


@pytest.mark.parametrize("function", SIZES)
def test_what_comparisons_of_sizes_decide_together(function):
    graph = flexir.capture(function, torch.ones(5), also=[torch.ones(6)])
    right_or_refused(graph, function, [torch.ones(n) for n in (3, 4, 5, 6, 7, 9, 30)])


def test_tensors_that_conditions_choose_are_one_graph():
    shown = torch.tensor([1.0, -1.0]), torch.tensor([-1.0, 1.0])
    graph = flexir.capture(tensors_chosen, shown[0], also=shown[1:])
    assert not graph.variants
    for x in (torch.tensor([1.0, 2.0]), torch.tensor([-1.0, -2.0])):
        assert torch.equal(graph(x), tensors_chosen(x))
