"""Numbers that Python makes of the number of a round, in loops that values end."""

import pytest
import torch

import flexir
from flexir.recording.proof import equal


def times_and_plus(x):
    y = x[0]
    for k in range(5):
        if x[k].sum() > 1:
            break
        y = y * 2 + k
    return y


def squared(x):
    y = x[0]
    for k in range(5):
        if x[k].sum() > 1:
            break
        y = y * 2 + k * k
    return y


def squared_in_a_variable(x):
    y = x[0]
    for k in range(5):
        if x[k].sum() > 1:
            break
        z = k
        z *= k
        y = y * 2 + z
    return y


def times_another(x):
    y, j = x[0], 0
    for k in range(5):
        if x[k].sum() > 1:
            break
        y = y + j * k
        j = k
    return y


def ending(n):
    x = -torch.ones(6, 3)
    x[n:] = 1
    return x


MODELS = [times_and_plus, squared, squared_in_a_variable, times_another]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@pytest.mark.parametrize("shown", [(2, 0), (3, 0), (2, 1), (1, 2), (0, 2), (3, 1, 2)], ids=str)
def test_right_or_refused_and_right_on_all_that_was_shown(model, shown):
    first, *others = map(ending, shown)
    graph = flexir.capture(model, first, also=others)
    assert not graph.audit.problems
    for n in range(6):
        try:
            made = graph(ending(n))
        except flexir.Diverged:
            assert n not in shown
            continue
        assert equal(made, model(ending(n))), n


def test_the_number_of_a_round_is_live():
    graph = flexir.capture(times_and_plus, ending(3), also=[ending(0)])
    assert not graph.variants
    assert torch.equal(graph(ending(4)), times_and_plus(ending(4)))


def every_second(x):
    listed = list(range(int((x[:4].sum(1) > 0).sum())))
    return x[0] + sum(listed[::2])


def test_what_a_variant_reads_unseen_is_said_by_the_first_graph():
    shown = [-ending(n) for n in (2, 3, 2, 0)]
    graph = flexir.capture(every_second, shown[0], also=shown[1:])
    said = [one for variant in graph.variants for one in variant.audit.laundered]
    assert graph.variants and said and set(said) <= set(graph.audit.laundered)
