"""Joining, padding and taking where tensors have slots: the written calls do what torch does."""

import pytest
import torch
from torch.nn import functional

import flexir
from flexir.graph.geometry import tensor_type
from flexir.graph.nodes import Value
from flexir.graph.replay import Environment, Replay, interpret
from flexir.passes.along import join, pad, take
from flexir.passes.rewrite import Draft, NoRewrite, Rewrite
from flexir.passes.slots import Filled, Slots

ROWS, CHOSEN = torch.tensor([1, 0, 1]), torch.tensor([False, True])
SLOTS = Slots(8, 1)  # a cache of eight slots, of which a call fills one


class Case:
    """One call of a recorded graph, to be written with slots.

    Args:
        model: the call; its inputs are recorded at position 3.
        shapes: sizes of the tensors among its inputs, Filled where they grow; a list of numbers for
            an input that is a number: what it is at every position.
    """

    def __init__(self, model, *shapes, out=None, slots=SLOTS):
        self.model, self.slots = model, slots
        self.position = Value("position", tensor_type(torch.tensor(0)))
        self.draft = Draft(slots, self.position, set())
        made = [torch.zeros([self.at(n, 3) for n in shape]) for shape in shapes]
        graph = flexir.capture(model, tuple(made))
        self.node = graph.nodes[-1]
        self.known = graph.constants
        self.values = graph.input_values
        self.shapes = shapes
        self.draft.shapes.update(zip(self.values, shapes))
        if out is not None:
            self.draft.shapes[self.node.outputs[0]] = out
        for value, shape in zip(self.values, shapes):
            wide = torch.zeros(slots.static(shape))
            self.draft.env[value] = Value(f"wide_{value.name}", tensor_type(wide))

    @staticmethod
    def at(size, position):
        return position + size.offset if isinstance(size, Filled) else size

    def write(self, kind):
        self.rewrite = Rewrite(self.draft, self.node)
        kind(self.rewrite)
        return self

    def run(self, position):
        """What torch makes at a position, and the slots that the written calls make."""
        env = Environment({**self.known, **self.rewrite.constants})
        env[self.position] = torch.tensor(position)
        narrow = []
        for value, shape in zip(self.values, self.shapes):
            tensor = torch.randn([self.at(n, position) for n in shape])
            wide = torch.full(self.slots.static(shape), 7.0)  # what lies in empty slots
            wide[tuple(slice(0, n) for n in tensor.shape)] = tensor
            env[self.draft.env[value]] = wide
            narrow.append(tensor)
        interpret(self.rewrite.nodes, env, Replay(flexir.Graph("written"), check=False))
        return self.model(*narrow), env[self.rewrite.made[self.node.outputs[0]]]

    def holds(self, kind, shape):
        """At every position the slots are as many as ``shape`` says and hold torch's elements."""
        self.write(kind)
        for position in self.slots.positions:
            want, wide = self.run(position)
            assert tuple(wide.shape) == self.slots.static(shape)
            assert torch.equal(wide[tuple(slice(0, n) for n in want.shape)], want)
        return [node.op for node in self.rewrite.nodes]


def test_what_is_joined_behind_is_written_where_the_slots_end():
    case = Case(lambda a, b: torch.cat([a, b], 1), (2, Filled(0)), (2, 1))
    assert case.holds(join, (2, Filled(1))) == ["reshape", "index_copy"]  # there are slots enough


def test_what_is_joined_before_moves_the_slots():
    case = Case(lambda a, b: torch.cat([b, a], -1), (2, Filled(0)), (2, 2))
    case.holds(join, (2, Filled(2)))
    dims = [node.args["dim"] for node in case.rewrite.nodes if "dim" in node.args]
    assert dims and set(dims) == {1}, "counted from the front, as engines want it"


def test_tensors_are_joined_along_their_first_dimension_if_nothing_is_said():
    Case(lambda a, b: torch.cat([a, b]), (Filled(0), 3), (1, 3)).holds(join, (Filled(1), 3))


def test_several_parts_are_joined_on_both_sides():
    case = Case(lambda a, b, c, d: torch.cat([b, a, c, d]), (Filled(1),), (2,), (1,), (3,))
    assert case.holds(join, (Filled(7),)).count("index_copy") == 1


def test_of_the_parts_joined_one_grows():
    case = Case(lambda a, b: torch.cat([a, b]), (Filled(0),), (Filled(0),))
    with pytest.raises(NoRewrite, match="2 of the tensors"):
        case.write(join)


@pytest.mark.parametrize("value", [None, 0.0, 2.5])
def test_padding_goes_up_to_the_end_of_the_slots(value):
    def model(x):
        return functional.pad(x, (0, 2), value=value)

    case = Case(model, (3, Filled(1)), out=(3, Filled(3)))
    case.holds(pad, (3, Filled(3)))
    want, wide = case.run(2)
    assert (wide[:, 3:] == (value or 0)).all()  # nothing of what lay in empty slots


def test_padding_of_other_dimensions_stays_and_a_front_is_kept():
    def model(x):
        return functional.pad(x, (2, 1, 1, 3))

    case = Case(model, (2, Filled(0)), out=(6, Filled(3)))
    case.holds(pad, (6, Filled(3)))


def test_padding_with_what_stands_at_the_end_is_no_way():
    def model(x):
        return functional.pad(x, (0, 2), mode="replicate")

    case = Case(model, (1, 3, Filled(1)), out=(1, 3, Filled(3)))
    with pytest.raises(NoRewrite, match="what stands in the slots"):
        case.write(pad)


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (lambda x: x[:, 1], (2,)),
        (lambda x: x[:, 0:1], (2, 1)),
        (lambda x: x[..., :1], (2, 1)),
        (lambda x: x[1], (Filled(2),)),
        (lambda x: x[1:, None], (1, 1, Filled(2))),
        (lambda x: x[:, 1:], (2, Filled(1))),
        (lambda x: x[:, 2:], (2, Filled(0))),
        (lambda x: x[:, :-1], (2, Filled(1))),
        (lambda x: x[0:2], (2, Filled(2))),
        (lambda x: x[:, 0], (2,)),
        (lambda x: x[:, :], (2, Filled(2))),
        (lambda x: x[:, 2:1], (2, 0)),
    ],
)
def test_what_is_taken_from_the_front_is_taken(model, shape):
    Case(model, (2, Filled(2))).holds(take, shape)


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (lambda x: x[:, -1], (2,)),
        (lambda x: x[:, -2], (2,)),
        (lambda x: x[:, -1:], (2, 1)),
        (lambda x: x[..., -3:-1], (2, 2)),
        (lambda x: x[None, :, -1], (1, 2)),
        (lambda x: x[-1, -1], ()),
        (lambda x: x[0, ..., -1], ()),
        (lambda x: x[ROWS, -1], (3,)),
        (lambda x: x[CHOSEN, -1], (1,)),
    ],
)
def test_what_is_taken_from_the_end_is_taken_from_where_the_slots_end(model, shape):
    assert "index_select" in Case(model, (2, Filled(2))).holds(take, shape)


def test_a_mask_is_for_as_many_dimensions_as_it_has():
    mask = torch.ones(2, 2).triu().bool()
    case = Case(lambda x: x[mask, -1], (2, 2, Filled(1)))
    assert "index_select" in case.holds(take, (3,))
    case = Case(lambda x: x[..., mask], (Filled(1), 2, 2))
    case.holds(take, (Filled(1), 3))


def test_an_ellipsis_stands_for_what_the_others_leave():
    case = Case(lambda x: x[0, ..., 1], (2, Filled(1), 3))
    case.holds(take, (Filled(1),))
    case = Case(lambda x: x[0, ..., -1, 1:], (2, 4, Filled(1), 3))
    assert "index_select" in case.holds(take, (4, 2))


def test_a_step_along_a_dimension_that_grows_is_no_way():
    with pytest.raises(NoRewrite, match="steps other than 1"):
        Case(lambda x: x[:, ::2], (2, Filled(2))).write(take)
    Case(lambda x: x[::2], (4, Filled(2))).holds(take, (2, Filled(2)))


def test_a_start_that_the_size_bounds_is_no_way():
    with pytest.raises(NoRewrite, match="neither a start nor an end"):
        Case(lambda x: x[:, 3:], (2, Filled(0))).write(take)
    with pytest.raises(NoRewrite, match="neither a start nor an end"):
        Case(lambda x: x[:, :3], (2, Filled(0))).write(take)
