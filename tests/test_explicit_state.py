"""State as inputs and outputs: ``passes.explicit_state``."""

import pytest
import torch
from torch import nn

import flexir
from flexir.passes import explicit_state


class Cell(nn.Module):
    """A recurrent cell that keeps its state in an attribute, and counts in a buffer."""

    def __init__(self):
        super().__init__()
        self.inner = nn.GRUCell(3, 4)
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.h = torch.zeros(2, 4)

    def forward(self, x):
        self.count += 1
        self.h = self.inner(x, self.h)
        return {"y": self.h * self.count}

    def look(self):
        return self.h + self.count


def held_by(graph):
    return {state.path: graph.constants[state.initial] for state in graph.state}


def test_state_goes_in_and_comes_out_by_its_paths():
    xs = [torch.rand(2, 3) for _ in range(5)]
    with torch.no_grad():
        old = flexir.capture(Cell(), (xs[0],))
        run, held = old.start(), held_by(old)
        assert set(held) == {"h", "count"}
        graph = explicit_state(old)
        assert (
            not graph.state
            and not graph.mutations
            and not held.keys() & {name for value in graph.constants for name in value.names}
        )
        assert {v.name for v in graph.input_values} == {"x", "h", "count"}
        for x in xs:
            wanted = run(x)
            made, held = graph(x, state=held)
            assert torch.equal(made["y"], wanted["y"])
        assert all(torch.equal(held[path], tensor) for path, tensor in run.state.items())
    assert len(old.state) == 2, "the graph that was given stays as it is"
    assert explicit_state(graph) is graph


def test_a_missing_state_is_named_by_its_path():
    with torch.no_grad():
        old = flexir.capture(Cell(), (torch.rand(2, 3),))
    held = held_by(old)
    del held["count"]
    with pytest.raises(flexir.Diverged, match="'state'.*without 'count'"):
        explicit_state(old)(torch.rand(2, 3), state=held)
    with pytest.raises(flexir.Diverged, match="'state' is missing"):
        explicit_state(old)(torch.rand(2, 3))


def test_entry_points_take_what_others_write(tmp_path):
    net, x = Cell(), torch.rand(2, 3)
    with torch.no_grad():
        program = flexir.program(net, {"step": (x,), "look": (net.look, ())})
        held = {path: program["step"].constants[s.initial] for path, s in program.state.items()}
        run = program.start()
        plain = explicit_state(program)
        plain.save(tmp_path / "p")
        plain = flexir.load(tmp_path / "p")
        for _ in range(3):
            wanted, seen = run.step(x)["y"], run.look()
            made, held = plain["step"](x, state=held)
            looked, left = plain["look"](state=held)
            assert torch.equal(made["y"], wanted) and torch.equal(looked, seen) and left == {}


def test_a_model_with_an_argument_of_that_name_keeps_it():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.total = torch.zeros(2)

        def forward(self, state, **more):
            self.total = self.total + state
            return self.total

    with torch.no_grad():
        old = flexir.capture(Named(), (torch.ones(2),))
        graph = explicit_state(old)
    (word,) = set(graph.inputs) - {"state", "more"}
    output, left = graph(torch.ones(2), **{word: {"total": torch.ones(2)}})
    assert torch.equal(output, torch.full((2,), 2.0)) and torch.equal(left["total"], output)
