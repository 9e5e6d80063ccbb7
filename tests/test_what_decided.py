"""Which branch decided a number, where variables say so; on runs and scopes made by hand."""

import ast
import types

import pytest
from by_hand import branch, code_of, computed, held, number, recorded, size, tensor, whole

from flexir.graph import numbers
from flexir.graph.nodes import Node
from flexir.recording.alike import Misfit, alike_numbers, same_number
from flexir.recording.comparable import IN_GRAPH, NUMBER
from flexir.recording.deciding import (
    Before,
    Deciding,
    _functions,
    _given,
    _numbers,
)
from flexir.recording.scopes import Scope
from flexir.recording.standing import Held

TEXT = "def f(x, k, q):\n    x = g(x, k)\n    if x.sum() > 0:\n        q = k\n    return h(x, q)\n"


def laid(*standing):
    """As many runs being laid over each other, and the scope of them all."""
    found = Deciding([recorded(one) for one in standing])
    return found, Scope(range(len(standing)), None, 0)


def test_what_variables_hold_is_read_back_as_numbers(tmp_path):
    code, around = code_of(TEXT, tmp_path), code_of("def g(m): return m\n", tmp_path, "g")
    known, spent = number(), number()
    one = Held(
        (code, around), (0, 0),
        {(0, "n"): whole(3), (0, "r"): ("float", "1.5"), (0, "s"): ("str", "'a'"),
         (0, "l"): ("list", 0, ()),
         (0, "t"): IN_GRAPH, (0, "k"): NUMBER, (0, "lost"): NUMBER, (1, "m"): whole(2)},
        {("f", "k"): known}, {("f", "q"): whole(5), ("f", "v"): spent, ("f", "n"): whole(9)},
    )  # fmt: skip
    found = _numbers(one)
    assert found == {
        ("f", "n"): 3, ("f", "r"): 1.5, ("f", "s"): ("str", "'a'"), ("f", "l"): ("list", 0, ()),
        ("f", "k"): known, ("f", "lost"): NUMBER, ("g", "m"): 2, ("f", "q"): 5, ("f", "v"): spent,
    }  # fmt: skip
    assert _numbers(None) == {}
    assert _functions({0: one, 1: None}) == {"f", "g"} and _functions({0: None}) == frozenset()


def test_numbers_of_two_runs_are_alike_if_they_are_computed_alike():
    x, y = tensor(), tensor()
    assert (
        alike_numbers(2, 2)
        and not alike_numbers(2, 3)
        and not alike_numbers(1, True)
        and not alike_numbers(1, number())
    )
    assert alike_numbers(x, y) and alike_numbers(number(), number()) and not alike_numbers(x, 2)
    twice = [computed(numbers.mul, input=size(one), other=2) for one in (x, y)]
    assert alike_numbers(*twice) and same_number(twice[0], twice[0]) and not same_number(*twice)
    assert same_number(twice[0], computed(numbers.mul, input=size(x), other=2))
    assert not alike_numbers(twice[0], computed(numbers.mul, input=size(x), other=3))
    assert not alike_numbers(twice[0], computed(numbers.add, input=size(x), other=2))
    assert not alike_numbers(size(x), size(x, 1)) and not same_number(x, y) and same_number(x, x)
    assert not alike_numbers(twice[0], computed(numbers.mul, other=2, input=size(x)))
    assert not same_number(size(x), number()) and not same_number(number(), size(x))


def test_the_numbers_of_a_template():
    x, n = tensor(), number()
    assert _given({"a": [1, (2.5, n)], "b": x, "c": True, "d": "s"}) == [1, 2.5, n]


@pytest.fixture
def runs(tmp_path):
    """Two runs of a function that come to a condition with these numbers."""
    code = code_of(TEXT, tmp_path)

    def made(first, second, text="x.sum()"):
        heads = {r: Node("bool", None, {}) for r in (0, 1)}
        kept = [{} if one is None else {heads[r]: held(code, text, **one)}
                for r, one in enumerate((first, second))]  # fmt: skip
        return *laid(*kept), heads

    return made


def test_before_any_branch_no_variable_differs(runs):
    laying, scope, heads = runs({"k": whole(2)}, {"k": whole(3)})
    assert laying.before(scope, heads, [])[:2] == ({}, {"f"})
    assert laying.codes.keys() == {"f"}


def test_after_a_branch_variables_that_differ_are_known_with_what_stands_for_them(runs):
    laying, scope, heads = runs(
        {"k": whole(2), "q": whole(7), "s": ("str", "'a'"), "only": whole(1)},
        {"k": whole(3), "q": whole(7), "s": ("str", "'b'")},
    )
    parted = branch(scope, [0], [1], Before({}, frozenset("f")))
    differing, functions, *_ = laying.before(scope, heads, [])
    assert functions == {"f"} and differing.keys() == {("f", "k"), ("f", "s"), ("f", "only")}
    told, meant = differing["f", "k"]
    [(then, otherwise, made)] = parted.outputs.values()
    assert told == {0: 2, 1: 3} and (then, otherwise) == (2, 3) and meant is made
    assert differing["f", "s"] == ({0: ("str", "'a'"), 1: ("str", "'b'")}, None)
    assert differing["f", "only"] == ({0: 1}, None), "one run alone has it"


def test_what_nothing_explains_differs_and_nothing_stands_for_it(runs):
    laying, scope, heads = runs({"k": whole(2)}, {"k": whole(3)})
    branch(scope, [0, 1], [], Before({}, frozenset("f")))
    assert laying.before(scope, heads, []).differing == {("f", "k"): ({0: 2, 1: 3}, None)}


def test_a_run_of_which_nothing_is_known_says_nothing(runs):
    laying, scope, heads = runs({"k": whole(2)}, None)
    branch(scope, [0], [1], Before({}, frozenset("f")))
    assert laying.before(scope, heads, [])[:2] == ({("f", "k"): ({0: 2}, None)}, {"f"})


def test_numbers_differ_if_they_are_not_computed_alike_of_the_same():
    laying, scope = laid({}, {})
    x, y, stands = tensor(), tensor(), tensor("x")
    scope.made[stands] = 1
    laying.env[0][x] = laying.env[1][y] = stands
    assert not laying._differ(scope, {0: 2, 1: 2}, []) and laying._differ(scope, {0: 2, 1: 3}, [])
    assert laying._differ(scope, {0: 2, 1: x}, []) and laying._differ(scope, {0: x, 1: 2}, [])
    assert not laying._differ(scope, {0: x, 1: y}, []), "one Value stands for both"
    assert laying._differ(scope, {0: x, 1: tensor()}, []), "of one nothing is known"
    assert laying._differ(scope, {0: tensor(), 1: tensor()}, [])
    assert not laying._differ(scope, {0: size(x), 1: size(y)}, [])
    assert laying._differ(scope, {0: size(x), 1: size(y, 1)}, [])
    assert laying._differ(scope, {0: size(x), 1: y}, []), "one is computed, the other is not"
    assert laying._differ(scope, {0: x, 1: size(y)}, [])
    other = tensor("x")
    laying.env[1][y] = other
    assert laying._differ(scope, {0: x, 1: y}, [])


# -- the branch that decided a number


def test_the_last_branch_decided_what_did_not_differ_before_it():
    laying, scope = laid({}, {})
    first = branch(scope, [0], [1], Before({}, frozenset("f")), born=1)
    last = branch(scope, [0], [1], Before({}, frozenset("f")), born=2)
    made = laying.parted(scope, {0: 2, 1: 3})
    assert [one[2] for one in last.outputs.values()] == [made] and not first.outputs


def test_a_branch_before_which_it_held_that_did_not_decide_it(tmp_path):
    laying, scope = laid({}, {})
    meant = number()
    branch(scope, [0], [1], Before({("f", "k"): ({0: 2, 1: 3}, meant)}, frozenset("f")))
    code = code_of(TEXT, tmp_path)
    laying.reading = {r: held(code, k=whole(r + 2)) for r in (0, 1)}
    assert laying.parted(scope, {0: 2, 1: 3}) is meant
    assert laying._places({0: 2, 1: 3}) == {("f", "k")} and laying._places({}) == set()
    assert laying._places({0: 2, 1: 9}) == set()


def test_the_condition_around_a_way_is_asked_last():
    laying, scope = laid({}, {})
    meant = number()
    scope.before = Before({("f", "k"): ({0: 2, 1: 3}, meant)}, frozenset())
    assert laying.parted(scope, {0: 2, 1: 3}) is meant
    scope.before = Before({}, frozenset())
    with pytest.raises(Misfit, match="a number that nothing explains: 2, 3"):
        laying.parted(scope, {0: 2, 1: 3})
    scope.before = None
    with pytest.raises(Misfit, match="a number that nothing explains: 2, 3"):
        laying.parted(scope, {0: 2, 1: 3})


def test_a_loop_decides_if_a_variable_that_it_changes_holds_the_number(tmp_path):
    laying, scope = laid({}, {})
    code = code_of(TEXT, tmp_path)
    laying.reading = {r: held(code, k=whole(r + 2)) for r in (0, 1)}
    branch(scope, [0], [1], Before({}, frozenset("f")))
    scope.branches.append(types.SimpleNamespace(changing={"q": set()}))
    assert laying.parted(scope, {0: 2, 1: 3}).is_number, "it changes another variable"
    scope.branches.append(types.SimpleNamespace(changing={"k": set()}))
    with pytest.raises(Misfit, match="a loop may have set"):
        laying.parted(scope, {0: 2, 1: 3})
    laying.reading = {}
    scope.branches.pop()
    with pytest.raises(Misfit, match="a loop may have set"):
        laying.parted(scope, {0: 2, 1: 3})  # no variable is known to hold it
    scope.branches[-1].changing = {}
    assert laying.parted(scope, {0: 2, 1: 3}).is_number


K, Q = ("f", "k"), ("f", "q")


@pytest.fixture
def earlier(tmp_path):
    laying, _ = laid({}, {})
    laying.codes["f"] = code_of(TEXT, tmp_path)

    def asked(differing, *same, functions=("f",), entries=None):
        before = Before(differing, frozenset(functions))
        return laying._earlier(before, entries or {0: 2, 1: 3}, {*same})

    return asked


def test_what_held_a_number_at_a_condition_is_what_stands_for_it(earlier):
    meant, other = number(), number()
    k, wrong = ({0: 2, 1: 3}, meant), ({0: 2, 1: 4}, other)
    assert earlier({}) is None
    assert earlier({K: k}) is meant and earlier({K: k}, K) is meant
    assert earlier({K: k, Q: wrong}, K) is meant
    assert earlier({K: k, Q: (k[0], other)}, K) is meant, "the one that is read"
    assert earlier({K: k, Q: k}) is meant, "one Value stands for both"
    assert earlier({K: k}, ("g", "m")) is meant, "of a function that did not lead there"


@pytest.mark.parametrize("differing, same", [
    ({K: ({0: 2, 1: 3}, None)}, ()), ({K: ({0: 2, 1: 4}, number())}, ()),
    ({K: ({0: 2}, number())}, ()), ({K: ({0: 2, 1: 3}, number()), Q: ({0: 2, 1: 3}, number())}, ()),
    ({K: ({0: 2, 1: 3}, number())}, (Q, K)), ({K: ({0: 2, 1: 3}, number())}, (Q,)),
    ({K: ({0: 2, 1: 4}, number())}, (K,)),
    ({K: ({0: 2, 1: 3}, number()), Q: ({0: 2, 1: 3}, None)}, ()),
])  # fmt: skip
def test_what_does_not_say_for_certain_is_refused(differing, same, earlier):
    with pytest.raises(Misfit, match="not certain which condition"):
        earlier(differing, *same)


def test_what_is_held_later_was_decided_later(earlier):
    wrong = ({0: 5, 1: 6}, number())
    assert earlier({("f", "x"): wrong}, K) is None
    with pytest.raises(Misfit, match="made of one that an earlier condition decided"):
        earlier({K: wrong}, Q)  # q = k


def test_rounds_inside_have_what_the_runs_around_them_had(earlier):
    laying, _ = laid({}, {})
    one, two = laying.part(0), laying.part(1)
    inner = laying.part(one)
    assert laying._at({0: 2, 1: 3}, {inner: "a", two: "b", 1: "c"}) == [
        (0, "a"), (1, "b"), (1, "c"),
    ]  # fmt: skip
    assert laying._at({0: 2}, {two: "b"}) == [(-1, "b")], "of a run that did not come there"
    assert laying._at({one: 2, 0: 1}, {inner: "a"}) == [(one, "a")]


def test_a_loop_over_what_a_condition_decided_is_refused(tmp_path):
    laying, scope = laid({}, {})
    code = code_of(TEXT, tmp_path)
    inner = Scope([0], scope, 1)
    scope.before = Before({K: ({0: 2, 1: 3}, None)}, frozenset("f"))

    def turn(text):
        over = ast.parse(text, mode="eval").body if text else None
        loop = types.SimpleNamespace(iterable=over)
        return types.SimpleNamespace(execution=types.SimpleNamespace(loop=loop, code=code))

    for text in ("range(q)", "range(4)", None):
        laying.refuse_if_decided(inner, turn(text))
    with pytest.raises(Misfit, match="may have decided 'k', and so a loop"):
        laying.refuse_if_decided(inner, turn("range(k)"))
    scope.before = Before({("g", "k"): ({0: 2, 1: 3}, None)}, frozenset("g"))
    laying.refuse_if_decided(inner, turn("range(k)"))
