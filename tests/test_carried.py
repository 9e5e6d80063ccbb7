"""What a place holds from round to round of a loop and after it, on loops made by hand."""

import types

import pytest
from by_hand import TENSOR, branch, code_of, computed, held, number, stands, tensor, two_runs
from test_looping import loop_in

from flexir.graph import numbers
from flexir.graph.nodes import TensorType, Value
from flexir.recording.alike import Misfit
from flexir.recording.carried import _left_in, _places
from flexir.recording.looping import ANY
from flexir.recording.scopes import Scope


@pytest.fixture
def laid():
    return two_runs()


@pytest.fixture
def root():
    return Scope([0, 1], None, 0)


def rolled(laid, root, first=2, second=3):
    """A loop of two runs; in each round a Value is made of which one stands for all."""
    rounds = [[laid.part(r) for _ in range(many)] for r, many in enumerate((first, second))]
    loop = loop_in(root, *rounds, born=laid.tick())
    laid.loops.append(loop)
    inside = laid.new(TENSOR, None, loop.body)
    made = {}
    for parts in rounds:
        for part in parts:
            made[part] = tensor()
            laid.env[part][made[part]], loop.made[made[part]] = inside, part
    return loop, made, inside


def before(laid, root):
    """A Value of either run from before a loop, and what stands for both."""
    pair = tensor(), tensor()
    return pair, stands(laid, root, *pair, age=laid.tick())


# -- in a round


def test_what_is_the_same_in_all_rounds_is_what_it_was_before(laid, root):
    pair, made = before(laid, root)
    loop, _, _ = rolled(laid, root)
    values = {p: pair[r] for p, (r, _) in loop.place.items()}
    assert laid.in_rounds(loop.body, values, []) is made
    assert laid.in_rounds(root, {0: pair[0], 1: pair[1]}, []) is None
    first, second = loop.rounds[0]
    assert laid.in_rounds(loop.body, {**values, second: tensor()}, []) is None


def test_what_this_round_made_came_by_a_branch_of_it(laid, root):
    loop, made, _ = rolled(laid, root)
    assert laid.in_rounds(loop.body, dict(made), []) is None


def test_what_a_round_before_made_is_carried(laid, root):
    pair, initial = before(laid, root)
    loop, made, inside = rolled(laid, root)
    values = {p: pair[r] if k == 0 else made[loop.rounds[r][k - 1]]
              for p, (r, k) in loop.place.items()}  # fmt: skip
    found = laid.in_rounds(loop.body, values, [])
    [slot] = loop.slots
    assert found is slot.param and slot.column == values and slot.output is None
    assert laid.in_rounds(loop.body, values, []) is found and len(loop.slots) == 1
    laid.seal(root, [found])
    assert slot.sealed and slot.initial is initial and slot.next is inside
    with pytest.raises(Misfit, match="only some rounds read"):
        laid.in_rounds(loop.body, {p: tensor() if k == 0 else values[p] for p, (_, k) in
                                   loop.place.items() if p != loop.rounds[1][2]}, [])  # fmt: skip


def test_what_some_rounds_alone_read_is_what_others_have_there(laid, root):
    pair, _ = before(laid, root)
    loop, made, _ = rolled(laid, root)
    values = {p: pair[r] if k == 0 else made[loop.rounds[r][k - 1]]
              for p, (r, k) in loop.place.items()}  # fmt: skip
    param = laid.in_rounds(loop.body, values, [])
    some = {p: v for p, v in values.items() if loop.place[p][1]}
    assert laid.in_rounds(loop.body, some, []) is param
    laid._slot(loop, values)
    with pytest.raises(Misfit):
        laid.in_rounds(loop.body, some, [])  # one or the other
    loop.slots.clear()
    laid.ignored = values.keys() - some.keys()
    assert laid.in_rounds(loop.body, some, []) is loop.slots[0].param


def test_a_place_is_of_one_type(laid, root):
    loop, made, _ = rolled(laid, root)
    wide = Value("w", TensorType(TENSOR.dtype, (2,), TENSOR.device))
    with pytest.raises(Misfit, match="of another type in another round"):
        laid._slot(loop, {2: wide, 3: tensor()})
    assert laid._slot(loop, {}, like=wide).param.type == wide.type


# -- after a loop


def test_what_the_last_round_left_is_an_output(laid, root):
    loop, made, inside = rolled(laid, root)
    last = {r: made[parts[-1]] for r, parts in loop.rounds.items()}
    laid.read = frozenset([("f", "h")])
    loop.left = {r: {("f", "h"): v} for r, v in last.items()}
    found = laid.final(root, loop, last)
    [slot] = loop.slots
    assert found is slot.output and slot.finals == last and slot.next is inside
    assert root.made[found] == loop.born and found.producer is loop.node
    assert laid.final(root, loop, last) is found and len(loop.slots) == 1
    assert laid.read == {("f", "h")}
    with pytest.raises(Misfit, match="not of this loop"):
        laid.final(root, loop, {0: tensor(), 1: tensor()})


def test_what_a_variable_kept_from_an_earlier_round_is_carried_to_the_end(laid, root, tmp_path):
    pair, initial = before(laid, root)
    loop, made, inside = rolled(laid, root)
    code = code_of("def f(h): return h\n", tmp_path)
    column = {p: pair[r] if k == 0 else made[loop.rounds[r][k - 1]]
              for p, (r, k) in loop.place.items()}  # fmt: skip
    loop.starts = {p: held(code, tensors={"h": v}) for p, v in column.items()}
    last = {r: made[parts[-1]] for r, parts in loop.rounds.items()}
    loop.left = {r: {("f", "h"): v} for r, v in last.items()}
    found = laid.final(root, loop, last)
    [slot] = loop.slots
    assert slot.column == column and slot.next is inside and found is slot.output
    laid.seal(root, [found])
    assert slot.initial is initial


def test_variables_that_hold_these_values(tmp_path):
    code, a, b = code_of("def f(h): return h\n", tmp_path), tensor(), tensor()
    rows = {2: held(code, tensors={"h": a, "g": b}), 3: held(code, tensors={"h": b, "g": b})}
    assert list(_places(rows, {2: a, 3: b})) == [("f", "h")]
    assert list(_places({**rows, 3: None}, {2: a, 3: b})) == [("f", "h")]
    assert list(_places(rows, {2: b, 3: b})) == [("f", "g")] and not _places(rows, {2: a, 3: a})
    assert not _places({}, {2: a})
    loop = types.SimpleNamespace(left={0: {"h": a, "g": b}, 1: {"h": b, "g": b}})
    assert list(_left_in(loop, {0: a, 1: b})) == ["h"] and list(_left_in(loop, {0: b})) == ["g"]
    assert list(_left_in(loop, {1: b})) == ["h", "g"]
    assert not _left_in(loop, {0: a, 1: a}) and not _left_in(loop, {0: a, 2: b})


# -- the number of a round


def turns(loop, name="loop", by=0):
    return {p: computed(numbers.turn, k + by, number=k + by, loop=name).producer
            for p, (_, k) in loop.place.items()}  # fmt: skip


def test_the_number_of_a_round_is_the_loops_own(laid, root):
    loop, _, _ = rolled(laid, root)
    loop.name = "loop"
    loop.body.made[loop.index] = laid.tick()
    assert laid.turn(loop.body, turns(loop), []) is loop.index
    with pytest.raises(Misfit, match="not the number of this round"):
        laid.turn(loop.body, turns(loop, by=1), [])
    loop.skipped, out = 1, []
    found = laid.turn(loop.body, turns(loop, by=1), out)
    assert out[0].target is numbers.add and out[0].args == {"input": loop.index, "other": 1}
    assert found is out[0].outputs[0]
    odd = turns(loop)
    odd[loop.rounds[0][0]].args["loop"] = "other"
    with pytest.raises(Misfit, match="of one loop or another"):
        laid.turn(loop.body, odd, [])
    with pytest.raises(Misfit, match="of another round in another run"):
        laid.turn(loop.body, turns(loop, "unknown"), [])
    same = {r: computed(numbers.turn, number=1, loop="unknown").producer for r in (0, 1)}
    assert laid.turn(root, same, []) is None, "a loop that is laid as it comes"


# -- what one place holds


def test_literals_and_values_in_one_place(laid, root):
    pair, made = before(laid, root)
    assert laid.mixed(root, {0: ANY, 1: ANY}, []) is None
    assert laid.mixed(root, {0: 3, 1: 3}, []) == 3 and laid.mixed(root, {0: "a", 1: ANY}, []) == "a"
    assert laid.mixed(root, dict(enumerate(pair)), []) is made
    assert laid.mixed(root, {0: None, 1: None}, []) is None
    with pytest.raises(Misfit, match="no condition"):
        laid.mixed(root, {0: "a", 1: "b"}, [])
    parted = branch(root, [0], [1], born=laid.tick())
    condition = parted.node.args["condition"]
    assert laid.mixed(root, {0: True, 1: False}, []) is condition
    turned = laid.mixed(root, {0: False, 1: True}, [])
    assert parted.outputs and turned is not condition
    words = laid.mixed(root, {0: True, 1: None}, [])
    assert words.producer is parted.node


def test_what_a_truth_value_was_in_one_run(laid, root):
    assert laid.outcome(root, True, 0) is True and laid.outcome(root, number(), 0) is None
    parted = branch(root, [0], [1], born=laid.tick())
    condition = parted.node.args["condition"]
    assert laid.outcome(root, condition, 0) is True and laid.outcome(root, condition, 1) is False
    turned = laid.output(root, parted, False, True)
    assert laid.outcome(root, turned, 0) is False and laid.outcome(root, turned, 1) is True
    root.branches.insert(0, types.SimpleNamespace())
    assert laid.outcome(root, turned, 1) is True


def test_both_ways_have_to_be_known(laid, root):
    parted = branch(root, [0], [1], born=laid.tick())
    assert laid.by_ways(parted, {0: 1, 1: 2}) == [1, 2]
    with pytest.raises(Misfit, match="by the other way is not known"):
        laid.by_ways(parted, {0: 1})
