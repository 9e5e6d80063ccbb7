"""Lists and numbers that loops make, on loops made by hand."""

import types

import pytest
import torch
from by_hand import TENSOR, Laid, branch, call, number, stands, tensor, two_runs
from test_looping import loop_in

from flexir.graph import numbers
from flexir.graph.lists import element, joined
from flexir.graph.nodes import ListType, TensorType, Value
from flexir.recording.alike import Misfit
from flexir.recording.looping import like_pattern
from flexir.recording.scopes import Scope
from flexir.recording.ways import guarded


class Gathers(Laid):
    """Runs being laid; whether a variable holds a list is said by the test."""

    holds = False

    def is_held_in_a_list(self, values):
        return self.holds


@pytest.fixture
def laid():
    return two_runs(Gathers)


@pytest.fixture
def root():
    return Scope([0, 1], None, 0)


def rolled(laid, scope, first=2, second=3, count=None, grows=False, born=3):
    """A loop of two runs with so many rounds, in each of which one Value was made."""
    rounds = [[laid.part(r) for _ in range(many)] for r, many in enumerate((first, second))]
    loop = loop_in(scope, *rounds, count=count, born=born)
    laid.loops.append(loop)
    loop.grows = grows
    inside = laid.new(TENSOR, None, loop.body)
    made = []
    for parts in rounds:
        row = [tensor() for _ in parts]
        for part, value in zip(parts, row):
            laid.env[part][value], loop.made[value] = inside, part
        made.append(row)
    return loop, made, inside


def whole_of(laid, scope, op="split", **args):
    """A list of another length in either run, and its elements."""
    rows = [tensor() for _ in range(2)], [tensor() for _ in range(3)]
    made = Value("parts", ListType(2, TENSOR))
    call(op, None, made, **args)
    scope.made[made] = laid.tick()
    laid.list_of(made, rows)
    return made, rows


# -- elements of lists


def test_an_element_is_read_by_its_number(laid, root):
    whole, (one, other) = whole_of(laid, root)
    for first, second, index in ((0, 0, 0), (1, 1, 1), (1, 2, -1), (0, 1, -2)):
        out = []
        found = laid.element(root, {0: one[first], 1: other[second]}, out)
        assert found.producer.target is element and found.producer in laid.derived
        assert found.producer.args == {"input": whole, "index": index}
        assert out == [found.producer] and laid.ages[found] == root.age(whole)
        assert laid.element(root, {0: one[first], 1: other[second]}, out) is found
        laid.written[-1].clear()
    assert laid.element(root, {0: one[0], 1: tensor()}, []) is None
    assert laid.element(root, {0: tensor(), 1: other[0]}, []) is None


def test_a_row_of_a_tensor_is_selected(laid, root):
    of = tensor()
    _, (one, other) = whole_of(laid, root, "unbind", input=of, dim=1)
    found = laid.element(root, {0: one[1], 1: other[1]}, [])
    assert found.producer.target is torch.select
    assert found.producer.args == {"input": of, "dim": 1, "index": 1}


def test_a_list_that_is_no_more_has_no_elements(laid, root):
    whole, (one, other) = whole_of(laid, root)
    whole.producer = None
    assert laid.element(root, {0: one[0], 1: other[0]}, []) is None
    hidden, (one, other) = whole_of(laid, Scope([0, 1], root, 5))
    assert laid.element(root, {0: one[0], 1: other[0]}, []) is None, "it is made further inside"
    assert hidden.is_list


def test_what_a_condition_chose_is_no_element_unless_a_variable_holds_the_list(laid, root):
    _, (one, other) = whole_of(laid, root)
    pair = {0: one[0], 1: other[0]}
    branch(root, [0], [1], born=laid.tick())
    assert laid.element(root, pair, []) is None
    laid.holds = True
    assert laid.element(root, pair, []) is not None


def test_elements_that_follow_the_number_of_a_round_are_read_by_it(laid, root):
    whole, (one, other) = whole_of(laid, root)
    loop, _, _ = rolled(laid, root, born=9)
    root.branches.remove(loop)
    loop.body.made[loop.index] = laid.tick()
    by_round = {p: (one, other)[r][k] for p, (r, k) in loop.place.items()}
    out = []
    found = laid.element(loop.body, by_round, out)
    assert found.producer.args == {"input": whole, "index": loop.index} and len(out) == 1
    branch(loop.body, [loop.body.runs[0]], list(loop.body.runs[1:]), born=99)
    assert laid.element(loop.body, by_round, []) is not None, "the round says which, no condition"
    assert laid.follows_rounds(loop.body, dict.fromkeys(by_round, 1)) is False
    assert laid.follows_rounds(root, {0: 1, 1: 2}) is False
    assert laid.follows_rounds(loop.body, {p: k for p, (_, k) in loop.place.items()}) is True


def test_what_rounds_gave_is_an_element_of_the_list_of_it(laid, root):
    loop, (one, other), inside = rolled(laid, root)
    found = laid.element(root, {0: one[0], 1: other[0]}, [])
    [(column, gain, made)] = loop.gains
    assert found.producer.args == {"input": made, "index": 0} and gain is inside
    assert column == {p: (one, other)[r][k] for p, (r, k) in loop.place.items()}
    assert made.type == ListType(2, TENSOR) and root.made[made] == loop.born
    last = laid.element(root, {0: one[-1], 1: other[-1]}, [])
    assert last.producer.args == {"input": made, "index": -1} and len(loop.gains) == 1


def test_where_a_condition_chose_the_round_it_is_no_element(laid, root):
    loop, (one, other), _ = rolled(laid, root)
    branch(loop.body, [loop.body.runs[0]], list(loop.body.runs[1:]), born=5)
    pair = {0: one[0], 1: other[0]}
    assert laid.element(root, pair, []) is None and not loop.gains
    laid.holds = True
    assert laid.element(root, pair, []) is not None and loop.gains


def test_what_is_not_one_thing_in_all_rounds_is_no_element(laid, root):
    loop, (one, other), inside = rolled(laid, root)
    assert laid.element(root, {0: one[0], 1: tensor()}, []) is None
    laid.env[loop.rounds[1][0]][other[0]] = laid.new(TENSOR, None, loop.body)
    assert laid.element(root, {0: one[0], 1: other[0]}, []) is None
    del loop.body.made[inside]
    assert laid.element(root, {0: one[0], 1: other[1]}, []) is None
    laid.env[loop.rounds[0][0]].pop(one[0])
    assert laid.element(root, {0: one[0], 1: other[0]}, []) is None


# -- lists


def test_a_list_of_what_every_round_gave_is_one_value(laid, root):
    loop, (one, other), inside = rolled(laid, root)
    found = laid.listed(root, {0: one, 1: other}, [])
    [(_, gain, made)] = loop.gains
    assert found is made and gain is inside
    assert laid.listed(root, {0: one, 1: other}, []) is made and len(loop.gains) == 1
    assert laid.elements[one[1]] == ((made, 1, 2),) and laid.elements[other[1]] == ((made, 1, 3),)


def test_a_list_of_single_values_is_no_value(laid, root):
    x, y = tensor(), tensor()
    assert laid.listed(root, {0: [x], 1: [y]}, []) is None
    assert laid.listed(root, {0: [], 1: []}, []) is None
    assert laid.listed(root, {0: [1, number()], 1: [1, number()]}, []) is None


def test_a_loop_of_one_round_in_all_runs_gives_single_values(laid, root):
    _, (one, other), _ = rolled(laid, root, 1, 1)
    assert laid.listed(root, {0: one, 1: other}, []) is None
    loop, (one, other), _ = rolled(laid, root, 1, 1, grows=True)
    assert laid.listed(root, {0: tuple(one), 1: tuple(other)}, []) is None, "no tuple is added to"
    assert laid.listed(root, {0: one, 1: other}, []).is_list and loop.gains


def test_single_values_around_what_rounds_gave(laid, root):
    loop, (one, other), _ = rolled(laid, root)
    x, y = tensor(), tensor()
    first = stands(laid, root, x, y)
    out = []
    found = laid.listed(root, {0: [x, *one], 1: [y, *other]}, out)
    [node] = out
    assert node.target is joined and node.args == {"parts": (first, loop.gains[0][2])}
    assert found.type == ListType(3, TENSOR) and laid.elements[x] == ((found, 0, 3),)
    assert laid.elements[one[1]][0] == (found, 2, 3)


def test_a_loop_that_gave_nothing_in_one_run(laid, root):
    loop, (_, other), _ = rolled(laid, root, 0, 3)
    x, y = tensor(), tensor()
    stands(laid, root, x, y)
    found = laid.listed(root, {0: [x], 1: [y, *other]}, [])
    assert found.producer.target is joined and loop.gains
    assert laid.listed(root, {0: [tensor(), tensor()], 1: [y, *other]}, []) is None


def test_lists_in_lists_and_parts_of_them(laid, root):
    whole, (one, other) = whole_of(laid, root)
    assert laid.listed(root, {0: one, 1: other}, []) is whole
    x, y = tensor(), tensor()
    stands(laid, root, x, y)
    made = laid.listed(root, {0: [*one, x], 1: [*other, y]}, [])
    assert made.producer.args["parts"][0] is whole
    assert laid.listed(root, {0: one[:1], 1: other[:2]}, []) is None, "a part of it"
    assert laid.listed(root, {0: one[::-1], 1: other[::-1]}, []) is None


@pytest.mark.parametrize("pick", [
    lambda one, other: (one[::-1], other[::-1]), lambda one, other: (one, one[:1]),
    lambda one, other: ([one[0], one[0]], other),
])  # fmt: skip
def test_it_is_no_list_of_what_rounds_gave(pick, laid, root):
    loop, (one, other), _ = rolled(laid, root)
    first, second = pick(one, other)
    assert laid.listed(root, {0: first, 1: second}, []) is None and not loop.gains
    with pytest.raises(Misfit):
        laid._gain(loop, {0: first, 1: second})
    loop.grows = True
    with pytest.raises(Misfit):
        laid.listed(root, {0: first, 1: second}, [])  # then it is no list of single Values either


def test_a_list_of_tensors_of_several_types_is_refused(laid, root):
    _, (one, other), _ = rolled(laid, root)
    wide = TensorType(TENSOR.dtype, (2,), TENSOR.device)
    x, y = Value("x", wide), Value("y", wide)
    stands(laid, root, x, y)
    assert laid.listed(root, {0: [x, *one], 1: [y, *other]}, []) is None
    assert laid.listed(root, {0: [1, *one], 1: [1, *other]}, []) is None, "and a number is none"


def test_empty_parts_stand_where_a_loop_gave_nothing():
    loop, other = object(), object()
    pattern = [(None, [1]), (loop, [2, 3]), (None, [4])]
    assert like_pattern(pattern, [(None, [5]), (None, [6])]) == [
        (None, [5]),
        (loop, []),
        (None, [6]),
    ]
    assert like_pattern(pattern, pattern) == pattern
    for wrong in ([(None, [5])], [(other, [5]), *pattern], [*pattern, (None, [1])], []):
        with pytest.raises(Misfit):
            like_pattern(pattern, wrong)


# -- whole numbers


def test_a_number_follows_the_number_of_the_round(laid, root):
    loop, _, _ = rolled(laid, root)
    loop.body.made[loop.index] = laid.tick()
    places = {p: k for p, (_, k) in loop.place.items()}
    out = []
    assert laid.literal(loop.body, dict(places), out) is loop.index and out == []
    found = laid.literal(loop.body, {p: 2 * k + 5 for p, k in places.items()}, out)
    mul, add = out
    assert (mul.target, mul.args["other"]) == (numbers.mul, 2) and mul.args["input"] is loop.index
    assert (add.target, add.args["other"]) == (numbers.add, 5) and add.outputs == (found,)
    assert found.type.recorded == 5
    with pytest.raises(Misfit, match="a number that nothing explains: 0, 1, 0, 1, 5"):
        laid.literal(loop.body, {**places, loop.rounds[1][2]: 5}, [])
    with pytest.raises(Misfit, match="a number that nothing explains: 0.5"):
        laid.literal(loop.body, {p: k + 0.5 for p, k in places.items()}, [])


def test_a_number_follows_how_many_rounds_there_are(laid, root):
    count = number("count", 2)
    loop, _, _ = rolled(laid, root, count=count)
    loop.body.made[loop.index] = laid.tick()
    last = {p: len(loop.rounds[r]) - 1 - k for p, (r, k) in loop.place.items()}
    out = []
    laid.literal(loop.body, last, out)
    assert [one.target for one in out] == [numbers.mul, numbers.add, numbers.add]
    assert {count, loop.index} <= {v for one in out for v in one.inputs}
    after = []
    found = laid.literal(root, {0: 2, 1: 3}, after)
    assert found is count and after == [], "also once it is over"
    loop.rounds.pop(0)
    assert laid.literal(root, {0: 0, 1: 3}, []) is count, "a run that did not come there had none"


def test_where_ways_parted_one_more_case_is_asked_for(laid, root):
    count = number("count", 2)
    rolled(laid, root, count=count)
    assert laid.literal(root, {0: 3, 1: 4}, []).is_number
    made = branch(root, [0], [1], born=99)
    with pytest.raises(Misfit):
        laid.literal(root, {0: 3, 1: 4}, [])
    assert laid.literal(root, {0: 2, 1: 3}, []) is count, "a line through nothing needs one less"
    root.branches.remove(made)
    laid.loops[0].grows = True
    with pytest.raises(Misfit):
        laid.literal(root, {0: 3, 1: 4}, [])


def test_a_number_that_became_plain_explains_others(laid, root):
    value = number("lost", 4)
    root.made[value] = 1
    root.lost.append(({0: 4, 1: 7}, value))
    assert laid.literal(root, {0: 4, 1: 7}, []) is value
    with pytest.raises(Misfit):
        laid.literal(root, {0: 5, 1: 8}, [])  # it may be so by chance
    inner = Scope([0, 1], root, 5)
    assert laid.literal(inner, {0: 4, 1: 7}, []) is value
    root.lost[:] = [({0: 4}, value)]
    with pytest.raises(Misfit):
        laid.literal(root, {0: 4, 1: 7}, [])
    root.lost[:] = [({0: 4, 1: 7}, number())]
    with pytest.raises(Misfit):
        laid.literal(root, {0: 4, 1: 7}, [])  # it is not seen here


def lost_of(*shown, source="line"):
    """Numbers that became plain, of one run."""
    found = []
    for n in shown:
        made = number("plain", n)
        call("plain", numbers.plain, made, input=number("n", n)).source = source
        found.append((made, n))
    return found


def test_numbers_that_became_plain_are_noted_and_guarded_where_they_were_the_same(laid, root):
    one, other = lost_of(4, 2), lost_of(7, 2)
    values = [
        stands(laid, root, *(run[k][0].producer.args["input"] for run in (one, other)))
        for k in (0, 1)
    ]
    out = []
    laid.lose(root, {0: one, 1: other}, out)
    assert root.lost == [({0: 4, 1: 7}, values[0]), ({0: 2, 1: 2}, values[1])]
    [guard] = out
    assert guard.target is numbers.eq and guard.args == {"input": values[1], "other": 2}
    assert guard.source == "line" and guard.result is True and guard.effects.escape == "branch"
    inner = Scope([0, 1], root, 50)
    laid.as_shown(inner)
    [again] = inner.nodes
    assert again.args == guard.args and again.source is None
    laid.lose(root, {0: [], 1: []}, out)
    assert len(out) == 1
    for wrong in ({0: one, 1: other[:1]}, {0: one, 1: lost_of(7, 2, source="other")}):
        with pytest.raises(Misfit, match="other numbers became plain"):
            laid.lose(root, wrong, [])


def test_a_float_that_became_plain_explains_no_whole_number(laid, root):
    one, other = lost_of(0.5), lost_of(0.5)
    stands(laid, root, *(run[0][0].producer.args["input"] for run in (one, other)))
    out = []
    laid.lose(root, {0: one, 1: other}, out)
    assert root.lost == [] and out[0].args["other"] == 0.5


def test_a_guard_is_what_was_shown():
    value, where = number(), types.SimpleNamespace(source="here")
    made = guarded(numbers.ge, value, 1, where)
    assert (made.op, made.target, made.source) == ("ge", numbers.ge, "here")
    assert made.args == {"input": value, "other": 1} and made.result is True
    assert guarded(numbers.ge, value, 1).source is None
