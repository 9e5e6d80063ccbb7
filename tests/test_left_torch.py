"""Values that leave torch by ways that no replay can check are said, with their line."""

from __future__ import annotations

import io
import threading

import pytest
import torch

import flexir


def shown(x):
    return x if "-" in repr(x) else x * 2


def formatted(x):
    return x * float(format(x[0], ".3f"))


def through_a_file(x):
    file = io.BytesIO()
    torch.save(x, file)
    file.seek(0)
    return torch.load(file) * 2


@pytest.mark.parametrize("function, op", [(shown, "repr"), (formatted, "format")])
def test_a_text_made_of_values_is_in_the_audit(function, op):
    graph = flexir.capture(function, torch.ones(3))
    assert f"as recorded, whatever it is now: the text of {op}() at" in str(graph.audit)
    assert not graph.audit.unaccounted, "it may only have been printed"
    merged = flexir.capture(function, torch.ones(3), also=[torch.ones(5)])
    assert any(op in line for line in merged.audit.laundered)


def test_memory_that_a_file_filled_is_unaccounted_for():
    graph = flexir.capture(through_a_file, torch.ones(3))
    assert any("was filled by code no watcher sees" in line for line in graph.audit.problems)


def test_what_a_thread_took_is_in_the_audit():
    def forward(x):
        taken = []
        thread = threading.Thread(target=lambda: taken.append(float(x[0])), name="mine")
        thread.start()
        thread.join()
        return x * taken[0]

    before = threading.getprofile()
    graph = flexir.capture(forward, torch.ones(3))
    assert "as recorded, whatever it is now: what the thread 'mine' did" in str(graph.audit)
    assert threading.getprofile() is before
    assert not flexir.capture(lambda x: x * 2, torch.ones(3)).audit.laundered


def test_memory_of_a_tensor_of_the_run_is_no_such():
    def forward(x):
        return torch.empty(0).set_(x.untyped_storage(), 0, (3,), (1,)) * 2

    assert not flexir.capture(forward, torch.ones(3)).audit.unaccounted


def test_a_size_that_is_stored_is_said():
    def forward(x):
        x.shape[0].__reduce_ex__(2)  # as what stores objects asks
        return x * x.shape[0]

    graph = flexir.capture(forward, torch.ones(3), also=[torch.ones(5)])
    assert any(line.startswith("pickle() at") for line in graph.audit.laundered)


def test_lists_of_numbers_of_other_lengths_are_one_graph():
    def forward(x):
        return x * x.long().tolist()[0]

    graph = flexir.capture(forward, torch.ones(3), also=[torch.ones(5)])
    assert not graph.variants
    for x in (torch.ones(5), torch.ones(7)):
        assert torch.equal(graph(x), forward(x))


def test_a_graph_of_kernels_that_is_launched_is_said(monkeypatch):
    class Launched:
        def replay(self):
            kept.add_(1)

    kept, launched = torch.zeros(3), Launched()
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Launched)
    own = Launched.replay

    def model(x):
        launched.replay()
        return x + 1

    graph = flexir.capture(model, (torch.ones(3),))
    [line] = graph.audit.problems
    assert "what Launched.replay() read and wrote, at " in line and "test_left_torch.py:" in line
    assert Launched.replay is own
