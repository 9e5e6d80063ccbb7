"""What earlier branches decided in a call, in a list and inside of functions written in C."""

import types

import pytest
from by_hand import at, branch, call, code_of, held, number, recorded, tensor, whole

from flexir.graph.nodes import Node
from flexir.recording.alike import Misfit
from flexir.recording.deciding import Before, Deciding
from flexir.recording.rounds import Execution, Turn
from flexir.recording.scopes import Scope
from flexir.recording.sources import loops_at
from flexir.recording.standing import Held
from flexir.recording.uses import Known

TEXT = "def f(x, k, q):\n    x = g(x, k)\n    if x.sum() > 0:\n        q = k\n    return h(x, q)\n"
K, Q = ("f", "k"), ("f", "q")


def laid(*standing):
    """As many runs being laid over each other, and the scope of them all."""
    found = Deciding([recorded(one) for one in standing])
    return found, Scope(range(len(standing)), None, 0)


@pytest.fixture
def settled(tmp_path):
    """A call h(x, q) of runs that came by one way of a branch, in which k or q was decided."""

    def made(differing, shown, *, runs=(0, 1), given=None, outer=None, tensors=(), **more):
        laying, scope = laid({}, {})
        laying.parted_by = scope
        code = laying.codes["f"] = code_of(TEXT, tmp_path)
        laying.known = Known((), {}, {code: {*tensors}})
        inner = Scope(runs, scope, 2)
        inner.before = Before(differing, frozenset("f"))
        scope.before = outer and Before(outer, frozenset("f"))
        laying.reading = {r: held(code, "h(x, q)", **more) for r in runs}
        heads = {r: Node("h", None, {"input": tensor(), "number": shown}) for r in runs}
        return laying.settle(inner, heads, given or {"input": "x", "number": shown})

    return made


def test_what_looks_like_a_constant_is_what_the_branch_gave(settled):
    meant = number()
    assert settled({Q: ({0: 5, 1: 5}, meant)}, 5) == {"input": "x", "number": meant}
    assert settled({("f", "no"): ({0: 5, 1: 5}, meant)}, 5) == {"input": "x", "number": 5}
    assert settled({("g", "q"): ({0: 5, 1: 5}, meant)}, 5) == {"input": "x", "number": 5}


def test_a_number_made_of_what_was_decided_is_refused(settled):
    with pytest.raises(Misfit, match="may have decided a number of"):
        settled({K: ({0: 5, 1: 5}, number())}, 5)
    assert settled({K: ({0: 5, 1: 5}, number())}, tensor())["input"] == "x", "it has no number"


def test_one_run_is_enough_to_see_it(settled):
    meant = number()
    assert settled({Q: ({0: 5, 1: 7}, meant)}, 5, runs=(0,))["number"] is meant
    with pytest.raises(Misfit):
        settled({Q: ({0: 5, 1: 7}, meant)}, 7, runs=(0,))


def test_the_condition_that_is_nearest_decided_it(settled):
    first, last = number(), number()
    sides = {0: 5, 1: 5}
    assert settled({Q: (sides, last)}, 5, outer={Q: (sides, first)})["number"] is last
    assert settled({}, 5, outer={Q: (sides, first)})["number"] is first


def test_what_a_tensor_is_made_of_is_seen(settled):
    differing = {K: ({0: 5, 1: 5}, number())}
    assert settled(differing, 5, tensors=["x", "q"])["number"] == 5
    for seen in (["x"], ["q"]):
        with pytest.raises(Misfit):
            settled(differing, 5, tensors=seen)


def test_what_a_function_was_called_with_may_be_what_it_computes_with(tmp_path):
    outer = code_of("def f(x, q):\n    return g(x, q)\n", tmp_path)
    inner = code_of("def g(y, m):\n    return h(y, m)\n", tmp_path, "g")
    around, meant = [(outer, at(outer, "g(x, q)"))], number()
    laying, scope = laid({}, {})
    scope.before = Before({Q: ({0: 5, 1: 5}, meant)}, frozenset("f"))
    heads = {r: Node("h", None, {"number": 5}) for r in (0, 1)}
    for plain, found in (({"m": whole(5)}, meant), ({}, 5)):
        laying.reading = {r: held(inner, "h(y, m)", around=around, **plain) for r in (0, 1)}
        assert laying.settle(scope, heads, {"number": 5})["number"] is found


def test_of_what_nothing_is_known_nothing_is_settled():
    laying, scope = laid({}, {})
    args = {"number": 5}
    for nothing in ({}, {0: None, 1: None}, {0: Held((), (), {}, {})}):
        laying.reading = nothing
        assert laying.settle(scope, {}, args) is args
    assert laying.made_of("unknown", "k") == set() == set(laying._tensors("unknown"))


def test_a_call_is_not_settled_where_variables_agree_by_chance(settled, tmp_path):
    laying, scope = laid({}, {})
    code = laying.codes["f"] = code_of(TEXT, tmp_path)
    branch(scope, [0], [1], Before({Q: ({0: 1, 1: 2}, None)}, frozenset("f")))
    laying.reading = {r: held(code, "h(x, q)", q=whole(5)) for r in (0, 1)}
    heads = {r: Node("h", None, {}) for r in (0, 1)}
    with pytest.raises(Misfit, match="'q' was decided by more than one condition"):
        laying.settle(scope, heads, {})


@pytest.mark.parametrize("differing, given", [
    ({Q: ({0: 5, 1: 5}, None)}, None), ({Q: ({0: 6, 1: 6}, number())}, None),
    ({Q: ({0: 5, 1: 6}, number())}, None), ({Q: ({0: 5}, number())}, None),
    ({Q: ({0: 5, 1: 5}, number())}, {"a": 5, "b": 5}),
    ({Q: ({0: 5, 1: 5}, number())}, {"a": 1}),
])  # fmt: skip
def test_what_is_not_certain_in_a_call_is_refused(differing, given, settled):
    if given == {"a": 1}:
        assert settled(differing, 5, given=given)["a"] is differing[Q][1]
        return
    with pytest.raises(Misfit):
        settled(differing, 5, given=given)


def test_variables_agree_by_chance_where_a_branch_before_had_them_differ(tmp_path):
    laying, scope = laid({}, {})
    code = laying.codes["f"] = code_of(TEXT, tmp_path)
    branch(scope, [0], [1], Before({Q: ({0: 1, 1: 2}, None)}, frozenset("f")))
    laying.reading = {r: held(code, q=whole(5), k=whole(4)) for r in (0, 1)}
    with pytest.raises(Misfit, match="'q' was decided by more than one condition"):
        laying.agree(scope, {Q})
    laying.agree(scope, {K})
    laying.agree(scope, set())
    laying.reading[1] = held(code, q=whole(6))
    laying.agree(scope, {Q})  # it still differs
    laying.reading[1] = held(code)
    laying.agree(scope, {Q})  # one run has it no more
    laying.reading[1] = held(code, q=whole(5))
    laying.agree(Scope([0], scope, 2), {Q})  # one run alone
    with pytest.raises(Misfit):
        laying.agree(Scope([0, 1], scope, 2), {Q})
    scope.branches = [types.SimpleNamespace(before=Before({Q: ({}, None)}, frozenset("f")))]
    laying.agree(scope, {Q})  # a loop


def test_what_conditions_decided_is_not_returned(tmp_path):
    laying, scope = laid({}, {})
    laying.codes["f"] = code_of("def f(x, k, q):\n    return x, k\n", tmp_path)
    made = branch(scope, [0], [1], Before({Q: ({0: 1, 1: 2}, None)}, frozenset("f")))
    laying.agree(scope)
    made.before = Before({K: ({0: 1, 1: 2}, None)}, frozenset("f"))
    with pytest.raises(Misfit, match="'k' was decided by conditions, and is returned"):
        laying.agree(scope)


# -- variables that a call reads, and lists


def test_the_variables_that_a_call_reads(tmp_path):
    text = "def f(x, k):\n    def g(y):\n        return h(y, k, z)\n    return g\n"
    outer = code_of(text, tmp_path)
    [inner] = [one for one in outer.co_consts if isinstance(one, types.CodeType)]
    laying, _ = laid({})
    one = held(inner, "h(y, k, z)", around=[(outer, -1)])
    found = laying._read_at(one)
    nested = """
        def e(k):
            def m():
                def n():
                    return k
                return n
            return m
    """
    middle = code_of(nested, tmp_path, "e")
    [between] = [one for one in middle.co_consts if isinstance(one, types.CodeType)]
    further = held(inner, "h(y, k, z)", around=[(between, -1), (middle, -1)])
    assert {("m", "k"), ("e", "k")} <= laying._read_at(further)
    assert found == {("g", "h"), ("g", "y"), ("g", "k"), ("g", "z"), ("f", "k")}
    laying.reading = {0: one}
    assert laying.may_be_read(("g", "k")) and not laying.may_be_read(("g", "other"))
    assert laying.may_be_read(("f", "other")), "another function's"
    laying.reading = {0: None}
    assert laying.may_be_read(("g", "other"))
    laying.reading = {}
    assert laying.may_be_read(("g", "other"))
    assert at(inner, "k") < at(inner, "h(y, k, z)")


@pytest.fixture
def listed(tmp_path):
    code = code_of(TEXT, tmp_path)
    parts = tuple(tensor(f"t{k}") for k in range(2))
    call("chunk", None, *parts)

    def asked(*places, grown=(), of=parts[0], other=None, last=None):
        """Whether a variable holds the list; by run, its elements by place."""
        laying, _ = laid({}, {})
        laying.loops = [types.SimpleNamespace(code=code, grown={*grown})]
        rows = [places, places if other is None else other]
        laying.reading = {
            r: Held((code,), (0,), {}, {("f", *p): parts[k] for p, k in one})
            for r, one in enumerate(rows)
        }
        return laying.is_held_in_a_list({0: of, 1: of if last is None else parts[last]})

    return asked


def test_a_list_is_held_if_a_variable_holds_all_of_it_in_all_runs(listed):
    both = ((("got", 0), 0), (("got", 1), 1))
    assert listed(*both) is True and listed(*both, of=tensor()) is False
    assert listed(*both, last=1) is True, "another of its elements in the other run"
    assert listed(both[0]) is False, "a part of it"
    assert listed(*both, grown=["got"]) is False, "some rounds alone add to it"
    assert listed(*both, grown=["other"]) is True
    assert listed(*both, other=((("too", 0), 0), (("too", 1), 1))) is False
    assert listed(*both, other=()) is False, "the other run holds none"
    assert listed((("got",), 0)) is False and listed((("got", "a"), 0)) is False
    assert listed((("got", 0, 0), 0), (("got", 0, 1), 1)) is False


def test_a_list_that_a_call_takes_is_held_there(tmp_path):
    code, part = code_of(TEXT, tmp_path), tensor()
    call("chunk", None, part)
    laying, _ = laid({})
    laying.reading = {0: Held((code,), (0,), {}, {}, {}, {("f", "got", 0): part})}
    assert laying.is_held_in_a_list({0: part}) is True
    laying.reading = {0: None}
    assert laying.is_held_in_a_list({0: part}) is False


# -- conditions inside of what no variable holds


@pytest.mark.parametrize("text, inside", [
    ("sorted(x)", True), ("all(x)", True), ("any(y for y in x)", False), ("x.max()", True),
])  # fmt: skip
def test_a_function_written_in_c_may_not_ask_for_truth(text, inside, tmp_path):
    code = code_of(f"def f(x):\n    return {text}\n", tmp_path)
    for op in ("bool", "item"):
        heads = {0: Node(op, None, {})}
        laying, _ = laid({heads[0]: held(code, text)})
        if inside and op == "bool":
            with pytest.raises(Misfit, match="decides what a function does"):
                laying.may_part(heads)
        else:
            laying.may_part(heads)


@pytest.mark.parametrize("text, plain, filters", [
    ("[bool(y) for y in x]", True, False), ("[y for y in x if y]", False, True),
    ("[y for y in x]", False, False),
])  # fmt: skip
def test_what_a_comprehension_has_so_far_stands_nowhere(text, plain, filters, tmp_path):
    code = code_of(f"def f(x):\n    return {text}\n", tmp_path)
    codes = [code, *(one for one in code.co_consts if isinstance(one, types.CodeType))]
    loop = max((loops_at(one, 2 * i) for one in codes for i in range(len(one.co_code) // 2)),
               key=len)[0]  # fmt: skip
    execution = Execution(loop, code, ())
    node = Node("bool", None, {})
    laying = Deciding([recorded({}, turns={node: (Turn(execution, 0),)})])
    for unrolled in (False, True):
        laying.unrolled = {execution} if unrolled else set()
        if plain or filters and unrolled:
            with pytest.raises(Misfit, match="in no variable yet"):
                laying.may_part({0: node})
        else:
            laying.may_part({0: node})
