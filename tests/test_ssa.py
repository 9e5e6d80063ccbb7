"""What reads and writes mean, by facts told by hand: no model runs and nothing is watched."""

import pytest
import torch

from flexir.graph.geometry import tensor_type
from flexir.graph.nodes import Node, Value
from flexir.recording.constants import Origins
from flexir.recording.ssa import ValueTable
from flexir.recording.switches import SwitchWatch
from flexir.recording.trace import Trace


class Told:
    """The tables of a run that only these tests tell what happened."""

    def __init__(self):
        found = Origins(lambda: None, (lambda: None).__code__)
        self.trace = Trace(found, SwitchWatch())
        self.table = ValueTable(self.trace, found)

    def call(self, op, made, tensors=(), args=None):
        """A call ``op`` of these tensors returned ``made``."""
        aliases = [(t, self.table.alias(t)) for t in tensors]
        named = args or dict(zip(("input", "other"), (alias.value for _, alias in aliases)))
        node = Node(op, None, named)
        value = Value(self.trace.number(), tensor_type(made), node)
        node.result, node.outputs = value, (value,)
        self.table.define(made, value, node, aliases)
        self.trace.frames[-1].nodes.append(node)
        return value

    def write(self, tensor, op="fill_"):
        """A call wrote a tensor; torch really does, so that its write counter moves."""
        node = Node(op, None, {"input": self.table.read(tensor)})
        tensor.zero_()
        value = Value(self.trace.number(), tensor_type(tensor), node)
        node.outputs = (value,)
        self.trace.frames[-1].nodes.append(node)
        self.table.write(tensor, value)
        return value

    @property
    def ops(self):
        return [node.op for node in self.trace.frames[0].nodes]


@pytest.fixture
def told():
    told = Told()
    yield told
    told.table.close()


def test_a_tensor_nobody_writes_keeps_its_value_and_nothing_is_written_down(told):
    x = torch.zeros(2, 3)
    value = told.call("made", x)
    assert told.table.read(x) is value
    assert told.table.alias(x) is told.table.alias(x)
    assert told.ops == ["made"]


def test_a_write_of_a_lone_tensor_is_its_new_value_and_nothing_else(told):
    x = torch.zeros(2, 3)
    told.call("made", x)
    written = told.write(x)
    assert told.table.read(x) is written
    assert told.ops == ["made", "fill_"]


def test_a_view_whose_base_was_written_is_emitted_again_when_it_is_read(told):
    x = torch.zeros(2, 3)
    told.call("made", x)
    row = x[0]
    seen = told.call("row", row, [x])
    written = told.write(x)
    assert told.ops == ["made", "row", "fill_"]  # not before somebody reads
    again = told.table.read(row)
    assert again is not seen and told.table.read(row) is again
    assert told.ops == ["made", "row", "fill_", "row"]
    assert again.producer.args["input"] is written


def test_a_write_through_a_view_is_put_back_into_its_base(told):
    x = torch.zeros(4)
    told.call("made", x)
    part = x[1:3]
    told.call("part", part, [x])
    written = told.write(part)
    base = told.table.read(x)
    assert base.producer.op == "as_strided_scatter"
    assert base.producer.args["src"] is written
    assert base.producer.args["storage_offset"] == 1


def test_a_write_through_a_transpose_is_a_permute(told):
    x = torch.zeros(2, 3)
    told.call("made", x)
    turned = x.t()
    told.call("t", turned, [x])
    written = told.write(turned)
    node = told.table.read(x).producer
    assert (node.op, node.args["input"], node.args["dims"]) == ("permute", written, (1, 0))


def test_a_tensor_nobody_told_of_on_known_memory_is_cut_out_of_it(told):
    x = torch.zeros(2, 3)
    value = told.call("made", x)
    node = told.table.read(x[1]).producer
    assert node.op == "as_strided" and node.args["input"] is value
    assert (node.args["size"], node.args["storage_offset"]) == ((3,), 3)


def test_what_is_derived_in_a_module_is_not_seen_outside_unless_it_is_returned(told):
    x = torch.zeros(2, 3)
    told.call("made", x)
    row = x[0]
    seen = told.call("row", row, [x])
    told.write(x)
    for kept in (False, True):
        told.table.enter()
        inside = told.table.read(row)
        assert inside is not seen
        told.table.leave([inside] if kept else [])
        assert (told.table.known(row) is inside) == kept


def test_a_write_nobody_told_of_is_a_new_constant_and_is_named(told):
    x = torch.zeros(2, 3)
    made = told.call("made", x)
    x.add_(1)
    value = told.table.read(x)
    assert value is not made and value.producer is None
    assert told.trace.found.constants[value].tolist() == x.tolist()
    assert "written by code no watcher sees" in told.trace.found.problems[0]


def test_a_lone_tensor_says_where_it_lay_when_another_comes_to_lie_there(told):
    block = torch.zeros(10)
    x = block[2:8].view(2, 3).t()
    told.call("made", x)  # alone: nobody told of the block
    alias = told.table.alias(x)
    assert (alias.where.size, alias.where.stride, alias.where.offset) == ((3, 2), (1, 3), 2)
    told.table.read(x[1])
    assert alias.memory.where == alias.where
    assert told.trace.frames[0].nodes[-1].args["storage_offset"] == 1
    conjugated = torch.zeros(2, dtype=torch.complex64).conj()
    told.call("made", conjugated)
    assert told.table.alias(conjugated).where.flags == 1


def shared(told):
    """A tensor whose memory NumPy was given, and its Value."""
    x = torch.arange(6.0)
    value = told.call("made", x)
    told.table.share(x)
    return x, value


def test_a_tensor_made_of_shared_memory_anew_is_cut_out_where_it_lies(told):
    x, value = shared(told)
    node = told.table.read(torch.from_numpy(x.numpy()[2:4])).producer
    assert node.op == "as_strided" and node.args["input"] is value
    assert (node.args["size"], node.args["storage_offset"]) == ((2,), 2)


def test_what_numpy_wrote_is_a_new_constant_once(told):
    x, value = shared(told)
    x.numpy()[0] = 9.0
    changed = told.table.read(x)
    assert changed is not value and changed.producer is None
    assert told.trace.found.constants[changed].tolist() == x.tolist()
    assert told.table.read(x) is changed, "nothing was written since"
    x.numpy()[1] = 7.0
    assert told.table.read(x) is not changed
