"""Reads and writes of inputs, constants and tensors that move, by facts told by hand."""

import pytest
import torch
from test_ssa import Told

from flexir.graph.geometry import tensor_type
from flexir.graph.nodes import Node, Value
from flexir.recording.memory import UNKNOWN


@pytest.fixture
def told():
    told = Told()
    yield told
    told.table.close()


def given(told, tensor):
    """An input of the run."""
    value = Value("input", tensor_type(tensor))
    told.table.define(tensor, value, kind="input")
    return value


def changed(told, tensor, op, change, *, only_view=False):
    """A call really changed a tensor; its Value by the call, and whether that is what it means."""
    node = Node(op, None, {"input": told.table.read(tensor)})
    change(tensor)
    value = Value(told.trace.number(), tensor_type(tensor), node)
    node.outputs = (value,)
    told.trace.frames[-1].nodes.append(node)
    return value, told.table.write(tensor, value, only_view=only_view)


# -- inputs and constants


def test_inputs_that_are_written_are_results_of_the_run(told):
    x, y = torch.zeros(3), torch.zeros(3)
    first, _ = given(told, x), given(told, y)
    assert told.table.written() == []
    final = told.write(x)
    assert told.table.written() == [(first, final)]
    again = told.write(x)
    assert told.table.written() == [(first, again)]


def test_inputs_on_one_memory_are_both_written_through_one(told):
    x = torch.zeros(4)
    part = x[1:3]
    whole, seen = given(told, x), given(told, part)
    final = told.write(part)
    (one, base), (other, same) = told.table.written()
    assert (one, other, same) == (whole, seen, final)
    assert base is not whole and base.producer.op == "as_strided"
    assert told.ops == ["fill_", "assemble", "as_strided_scatter", "as_strided"]
    apart = torch.zeros(6)
    left, right = apart[:3], apart[3:]
    first, second = given(told, left), given(told, right)
    assert first is not second and told.table.read(right) is second, "pieces of their own"
    lasts = told.write(left)
    assert (first, lasts) in told.table.written() and told.table.read(right) is second


def test_what_is_met_first_is_a_constant_and_so_are_its_parts(told):
    c = torch.arange(6.0)
    value = told.table.read(c)
    assert value.producer is None and told.trace.found.constants[value].tolist() == c.tolist()
    assert told.table.read(c) is value and told.ops == []
    assert told.table.read(c.view(6)) is value, "it lies there all the same"
    part = told.table.read(c[2:4])
    assert part.producer is None and part is not value, "another constant, as long as none wrote"
    written = told.write(c)
    assert (value, written) in told.table.written()
    cut = told.table.read(c[4:5]).producer
    assert cut.op == "as_strided" and cut.args["storage_offset"] == 4
    assert told.table.read(c[2:4]).producer.op == "as_strided"


def test_what_a_lone_tensor_lies_on_no_more_is_not_it(told):
    x = torch.zeros(3)
    made = told.call("made", x)
    assert told.table.known(x) is made and told.table.known(torch.zeros(3)) is None
    x.data = torch.ones(2)
    assert told.table.known(x) is None
    met = told.table.read(x)
    assert met is not made and met.producer is None
    assert told.trace.found.constants[met].tolist() == [1, 1]


def test_weights_are_met_all_at_once(told):
    w, b = torch.ones(2, 2), torch.ones(2)
    told.table.expect([w, b, w.view(4)])
    assert len(told.table.weights) == 2 and told.table.weights[0].tensor is w
    value = told.table.read(w)
    assert value.producer is None and told.trace.found.constants[value].tolist() == w.tolist()
    assert told.table.known(w) is value and told.table.read(b) is not value
    assert told.table.swapped() == []
    written = told.write(w)
    assert (value, written) in told.table.written()
    assert told.table.read(w.view(2, 2)) is written


def test_after_the_run_nothing_is_kept():
    told = Told()
    x = torch.zeros(3)
    told.call("made", x)
    told.write(x[1:])
    told.table.close()
    table = told.table
    assert not (table.undo or table.aliases or table.memories or table.roots)
    assert not hasattr(table, "trace") and not hasattr(table, "found")


# -- counters of writes


def test_a_write_that_counts_late_is_no_unseen_one(told):
    x = torch.zeros(3)
    made = told.call("made", x)
    told.table.owe(x)
    x.add_(1)
    assert told.table.read(x) is made and told.table.read(x) is made
    x.add_(1)
    x.add_(1)
    assert told.table.read(x) is not made, "more often than it is owed"
    assert len(told.trace.found.problems) == 1
    y = torch.zeros(3)
    told.call("made", y)
    told.table.owe(y)
    written = told.write(y)
    assert told.table.alias(y).memory.owed == 0 and told.table.read(y) is written
    y.add_(1)
    assert told.table.read(y) is not written


def test_a_counter_that_is_not_known_yet_is_taken_as_it_is(told):
    x = torch.zeros(3)
    made = told.call("made", x)
    x.add_(1)
    told.table.forget_versions(x)
    alias = told.table.aliases[id(x)]
    assert alias.version == UNKNOWN and told.table.read(x) is made
    assert alias.version == x._version
    x.add_(1)
    assert told.table.read(x) is not made


def test_without_a_counter_no_write_is_looked_for(told):
    with torch.inference_mode():
        x = torch.zeros(3)
        made = told.call("made", x)
        x.add_(1)
        assert told.table.alias(x).version == -1 and told.table.read(x) is made


def test_a_view_that_was_derived_knows_the_counter_it_was_derived_at(told):
    x = torch.zeros(2, 3)
    told.call("made", x)
    row = x[0]
    told.call("row", row, [x])
    told.write(x)
    again = told.table.read(row)
    row.add_(1)
    assert told.table.read(row) is not again and len(told.trace.found.problems) == 1


def test_an_unseen_write_of_a_part_is_as_if_all_was_written(told):
    x = torch.zeros(2, 3)
    made = told.call("made", x)
    row = x[0]
    told.call("row", row, [x])
    x.add_(1)
    first = told.table.read(row)
    [constant] = told.trace.found.constants
    assert constant.type.dtype == torch.uint8 and constant.type.shape == (24,)
    assert first.producer.op == "as_strided" and first.producer.args["input"] is constant
    whole = told.table.read(x)
    assert whole is not made and whole.producer.args["input"] is constant
    assert told.table.read(row) is first and len(told.trace.found.constants) == 1


def test_an_unseen_write_of_an_input_is_a_result(told):
    x = torch.zeros(3)
    first = given(told, x)
    x.add_(1)
    now = told.table.read(x)
    assert told.table.written() == [(first, now)] and now in told.trace.found.constants


# -- what a call returned


def test_a_call_that_returns_its_argument_gives_it_a_new_value(told):
    x = torch.zeros(3)
    told.call("made", x)
    same = told.call("same", x, [x])
    assert told.table.read(x) is same and told.ops == ["made", "same"]
    y = torch.zeros(3)
    given(told, y)
    same = told.call("same", y, [y])
    assert told.table.read(y) is same


def test_a_call_that_returned_several_views_is_made_again_once(told):
    x = torch.zeros(4)
    told.call("made", x)
    parts = x[:2], x[2:]
    aliases = [(x, told.table.alias(x))]
    node = Node("split", None, {"input": told.table.read(x)})
    values = tuple(Value(told.trace.number(), tensor_type(one), node) for one in parts)
    node.result = node.outputs = values
    views = {}
    for one, value in zip(parts, values):
        told.table.define(one, value, node, aliases, views)
    told.trace.frames[-1].nodes.append(node)
    assert len(views) == 1
    told.write(x)
    assert told.ops == ["made", "split", "fill_"]
    first = told.table.read(parts[0])
    second = told.table.read(parts[1])
    assert told.ops == ["made", "split", "fill_", "split"] and first is not values[0]
    assert first.producer is second.producer and first.producer.outputs == (first, second)


def test_a_view_of_a_view_is_made_again_by_both(told):
    x = torch.zeros(2, 3)
    told.call("made", x)
    row = x[0]
    told.call("row", row, [x])
    one = row[1]
    told.call("one", one, [row])
    told.write(x)
    told.table.read(one)
    assert told.ops == ["made", "row", "one", "fill_", "row", "one"]


def test_what_a_module_returned_stays_and_what_it_derived_goes(told):
    x = torch.zeros(2, 3)
    told.call("made", x)
    row = x[0]
    seen = told.call("row", row, [x])
    told.write(x)
    told.table.enter()
    told.table.enter()
    inside = told.table.read(row)
    told.table.leave([inside])
    assert told.table.known(row) is inside
    told.table.leave([])
    assert told.table.known(row) is None, "it was written since it was read out here"
    assert told.table.read(row) not in (seen, inside)


# -- tensors that look elsewhere


def test_a_tensor_that_is_turned_is_not_written(told):
    x = torch.zeros(2, 3)
    made = told.call("made", x)
    row = x[0]
    seen = told.call("row", row, [x])
    turned, means = changed(told, x, "t_", lambda t: t.t_(), only_view=True)
    assert means is True and told.table.read(x) is turned and made is not turned
    assert told.table.read(row) is seen and told.trace.found.problems == []
    assert told.table.alias(x).where.stride == (1, 3)
    written = told.write(row)
    node = told.table.read(x).producer
    assert node.op == "as_strided" and told.table.read(row) is written
    assert node.args["input"].producer.op in ("as_strided_scatter", "select_scatter", "setitem")


def test_a_tensor_may_be_put_where_another_lies(told):
    x, y = torch.zeros(2), torch.arange(4.0)
    told.call("made", x)
    value = told.call("made", y)
    _, means = changed(told, x, "set_", lambda t: t.set_(y), only_view=True)
    assert means is False and told.table.read(x) is value
    part = torch.zeros(2)
    told.call("made", part)
    _, means = changed(told, part, "set_", lambda t: t.set_(y[1:3]), only_view=True)
    assert means is False
    cut = told.table.read(part).producer
    assert (cut.op, cut.args["input"], cut.args["storage_offset"]) == ("as_strided", value, 1)
    written = told.write(y)
    assert told.table.read(x) is written and told.table.read(part) is not cut.outputs[0]


def test_a_tensor_may_be_put_where_nothing_lies(told):
    x, new = torch.zeros(2), torch.ones(5)
    told.call("made", x)
    value, means = changed(told, x, "set_", lambda t: t.set_(new))
    assert means is True and told.table.read(x) is value
    part = told.table.read(x[1:3]).producer
    assert part.args["input"] is value
    written = told.write(x)
    assert told.table.read(new) is written and told.trace.found.problems == []


def test_an_input_that_is_put_elsewhere_is_written(told):
    x, y = torch.zeros(2), torch.arange(2.0)
    first, other = given(told, x), given(told, y)
    changed(told, x, "set_", lambda t: t.set_(y), only_view=True)
    assert told.table.written() == [(first, other)]


def test_what_lay_in_a_tensor_that_grows_is_gone(told):
    x = torch.zeros(2)
    told.call("made", x)
    part = x[:1]
    seen = told.call("part", part, [x])
    value, means = changed(told, x, "resize_", lambda t: t.resize_(9))
    assert means is True and told.table.read(x) is value
    cut = told.table.read(part)
    assert cut is not seen and told.table.read(x) is value
    again, _ = changed(told, x, "fill_", lambda t: t.fill_(2))
    assert told.table.read(x) is again and told.trace.found.problems == []


def test_a_write_keeps_equal_views_and_others_up_to_date(told):
    x = torch.zeros(4)
    told.call("made", x)
    twin, part = x.view(4), x[:2]
    told.call("twin", twin, [x])
    told.call("part", part, [x])
    written = told.write(x)
    assert told.table.read(twin) is written, "it is the same memory, seen the same way"
    assert told.table.read(part).producer.op == "part"
    mine = told.write(part)
    assert told.table.read(part) is mine
    assert told.table.read(twin) is told.table.read(x)
