"""What asks a size nothing, or cuts a list off, is refused at other sizes or named in the audit."""

import pytest
import torch

import flexir

FLAG = True


def a_bool_before(x):
    return x * (FLAG + x.shape[0])


def a_comparison_before(x):
    n = x.shape[0]
    return x * ((x.dim() == 2) * n)


def a_question_before(x):
    n = x.shape[0]
    return x * (isinstance(n, int) * n)


def between_floats(x):
    n = x.shape[0]
    return x * 2 if 4.5 < n < 7.5 else x * 3


def inverted(x):
    return x * (~x.shape[0])


def power_of_three(x):
    return x * pow(x.shape[0], 2, 7)


def rows_cut_off(x):
    return torch.stack(x.unbind()[:8])


def a_list_cut_off(x):
    o = [r * 2 for r in x]
    return x * 2 if o[7:] else x * 3


def numbers_cut_off(x):
    return x * sum(x.reshape(-1).tolist()[:8])


def pieces_cut_off(x):
    return torch.cat(x.split(1)[-8:])


def how_long_as_text(x):
    return x * len(str(len(x)))


MODELS = [a_bool_before, a_comparison_before, a_question_before, between_floats, inverted,
          power_of_three, rows_cut_off, a_list_cut_off, numbers_cut_off, pieces_cut_off,
          how_long_as_text]  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
def test_it_is_right_or_refused_or_named(model):
    graph = flexir.capture(model, torch.rand(4, 2), also=[torch.rand(6, 2)])
    for n in (3, 5, 9, 12):
        x = torch.rand(n, 2)
        try:
            made = graph(x)
        except flexir.Diverged:
            continue
        assert torch.equal(made, model(x)) or graph.audit.laundered


def test_numbers_follow_an_inversion():
    graph = flexir.capture(inverted, torch.rand(4, 2), also=[torch.rand(6, 2)])
    assert torch.equal(graph(torch.ones(9, 2)), inverted(torch.ones(9, 2)))
    assert not graph.audit.laundered


def test_a_text_is_named_once():
    graph = flexir.capture(how_long_as_text, torch.rand(4, 2), also=[torch.rand(6, 2)])
    (line,) = graph.audit.laundered
    assert line.startswith("len(str(len(x))) at ")
