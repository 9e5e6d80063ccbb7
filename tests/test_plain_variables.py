"""Plain variables of loops and conditions: where no example says what they do, runs do not fit."""

import types

import pytest
from by_hand import at, call, code_of, held, tensor, whole
from test_sources import loop_of

from flexir.graph import numbers
from flexir.graph.nodes import Effects
from flexir.graph.source import Source
from flexir.recording.alike import Misfit
from flexir.recording.comparable import IN_GRAPH, NONE, NUMBER
from flexir.recording.hidden import (
    changing,
    comparisons,
    counters_are_lines,
    numbers_are_lines,
    rounds_alike,
    stand_alike,
)
from flexir.recording.rounds import Execution
from flexir.recording.standing import Held
from flexir.recording.uses import Known

NOTHING = Known((), {}, {})


# -- comparisons that were recorded


def escape(file, line, op="gt", result=True, made_at=None, target=None):
    made = tensor("made")
    maker = call(op, None, made, input=tensor())
    maker.source = None if made_at == "nowhere" else Source(file, made_at or line, "f")
    node = call("bool", target, input=made)
    node.source, node.result = Source(file, line, "f"), result
    node.effects = Effects(escape="branch")
    return node


def test_comparisons_that_stand_alone_on_their_line(tmp_path):
    path = tmp_path / "m.py"
    path.write_text("if x > 1: pass\nif 1 < x < 3: pass\nif g(x): pass\n")
    file = str(path)
    nodes = [
        escape(file, 1), escape(file, 1, op="sum"), escape(file, 1, result=2.5), escape(file, 2),
        escape(file, 1, made_at=2), escape(file, 1, made_at="nowhere"),
    ]  # fmt: skip
    assert [bool(comparisons([one])) for one in nodes] == [True] + [False] * 5
    assert comparisons(nodes) == {(file, 1)}
    for op in ("eq", "ge", "le", "lt", "ne"):
        assert comparisons([escape(file, 1, op=op)]) == {(file, 1)}
    assert comparisons([escape(file, 3, op="sum", target=numbers.gt)]) == {(file, 3)}
    nameless = escape(file, 1)
    nameless.source = None
    assert comparisons([nameless]) == set()
    two = escape(file, 1)
    two.args["other"] = call("gt", None, tensor()).outputs[0]
    assert comparisons([two]) == set()
    loose = call("bool", None, input=tensor())
    loose.source, loose.result = Source(file, 1, "f"), True
    assert comparisons([loose]) == set()


# -- where runs go on together


def test_what_calls_say_may_differ(tmp_path):
    code = code_of("def f(x, n):\n    if n: pass\n    return g(n)\n", tmp_path)
    node = types.SimpleNamespace(where="here")

    def stands(*told):
        try:
            runs = {r: held(code, n=one) for r, one in enumerate(told)}
            return stand_alike(node, runs, NOTHING)
        except Misfit as error:
            return str(error)

    assert stands(IN_GRAPH, NUMBER) is None and stands(IN_GRAPH, IN_GRAPH) is None
    assert "'n' differs at" in stands(whole(1), NUMBER)
    assert "the variable 'n' differs" in stands(whole(1), IN_GRAPH)
    assert "the variable 'n' differs" in stands(("float", "1.5"), ("float", "2.5"))
    assert "the variable 'n' differs" in stands(NONE, IN_GRAPH)


def test_functions_around_are_asked_too(tmp_path):
    inner = code_of("def g(y):\n    return h(y)\n", tmp_path, "g")
    outer = code_of("def f(x, n):\n    x = g(x)\n    if n: pass\n    return x\n", tmp_path)
    node = types.SimpleNamespace(where="here")
    runs = {
        r: Held((inner, outer), (-1, -1), {(0, "y"): IN_GRAPH, (1, "n"): whole(r)}, {})
        for r in (0, 1)
    }
    with pytest.raises(Misfit, match="'n' differs at"):
        stand_alike(node, runs, NOTHING)


# -- rounds


class Stood(types.SimpleNamespace):
    """Executions of a loop of one function, made by hand."""


@pytest.fixture
def ran(tmp_path):
    """Executions of a loop: for each, what its variables held before it, after it, in rounds."""

    def made(body, *runs, text=None, code=None):
        loop = loop_of(body, tmp_path)
        shown = "def f(n, x):\n    " + body.replace("\n", "\n    ") + "\n" + (text or "")
        code = code or code_of(shown, tmp_path)
        found = []
        for before, after, *rounds in runs:
            one = Execution(loop, code, ())
            one.before, one.after, one.held = before, after, list(rounds)
            found.append(one)
        return found

    return made


COUNT = "for i in x:\n    g(m)\n    m = m + 1\n    g(m)"


def test_variables_that_are_not_the_same_in_all_rounds(ran):
    runs = ran(COUNT, ({"m": whole(0)}, {"m": whole(2)}, {}, {}, {}), ({"m": whole(0)}, {}, {}))
    code = runs[0].code
    assert changing(runs, [], 0) == {"m": {whole(0), whole(2)}}
    assert changing(runs, [], 1) == {}, "the first round stands before the loop"
    starts = [held(code, m=whole(n)) for n in (0, 1)]
    assert changing(runs, starts, 1) == {"m": {whole(0), whole(1)}}
    assert changing(runs, [*starts, None], 0)["m"] == {whole(n) for n in (0, 1, 2)}
    words = [held(code, k=("str", one)) for one in "ab"]
    assert changing(runs, words, 1) == {}, "no word says how often"
    assert changing(runs, [*starts, held(code, m=("str", "a"))], 1) == {}
    assert changing(runs, [held(code, k=whole(1)), held(code)], 1) == {}
    assert changing(runs, [held(code, k=whole(1)), held(code, k=whole(2))], 1).keys() == {"k"}
    for kind in ("bool", "float", "list", "tuple"):
        told = [held(code, k=(kind, n)) for n in (1, 2)]
        assert changing(runs, told, 1) == {"k": {(kind, 1), (kind, 2)}}


def test_another_function_says_nothing_of_a_loop(ran, tmp_path):
    runs = ran(COUNT, ({}, {}, {}, {}))
    other = code_of("def g(m): return m\n", tmp_path, "g")
    assert changing(runs, [held(other, m=whole(1)), held(other, m=whole(2))], 0) == {}


def test_one_round_does_not_say_what_goes_to_the_next(ran):
    for rounds, skipped, fine in (([{}], 0, False), ([{}, {}], 0, True), ([{}, {}], 1, False)):
        runs = ran(COUNT, ({"m": whole(0)}, {"m": whole(1)}, *rounds))
        if fine:
            assert changing(runs, [], skipped)
            continue
        with pytest.raises(Misfit, match="no example showed two rounds, and 'm'"):
            changing(runs, [], skipped)
    both = ran(COUNT, ({"m": whole(0)}, {}, {}), ({"m": whole(0)}, {}, {}, {}))
    assert changing(both, [], 0) == {}, "one of them is enough"
    seen = ran(COUNT, ({"m": IN_GRAPH}, {"m": NUMBER}, {}))
    assert changing(seen, [], 0) == {"m": {IN_GRAPH, NUMBER}}
    assert changing(ran(COUNT, ({"k": whole(1)}, {"k": whole(2)}, {})), [], 0).keys() == {"k"}


TESTED = "for i in x:\n    if m > 1: g(i)\n    m = m + 1"


def test_what_differs_from_round_to_round_decides_nothing(ran):
    [run] = ran(TESTED, ({}, {}, {}))
    assert rounds_alike([run], [], {"k"}, NOTHING) == set()
    with pytest.raises(Misfit, match="m > 1: 'm' differs from round to round"):
        rounds_alike([run], [], {"m"}, NOTHING)
    run.plain = {"m"}
    with pytest.raises(Misfit):
        rounds_alike([run], [], set(), NOTHING)
    run.plain, run.numbered = set(), {"m"}
    assert rounds_alike([run], [], set(), NOTHING) == set(), "it tells when it is compared"
    with pytest.raises(Misfit):
        rounds_alike([run], [], {"m"}, NOTHING)
    guarded = Known({(run.code.co_filename, 3)}, {}, {})
    assert rounds_alike([run], [held(run.code), None], {"m"}, guarded) == set()


def test_lists_that_only_some_rounds_add_to_are_not_copied(ran):
    body = "for i in x:\n    if i: y.append(i)"
    assert rounds_alike(ran(body, ({}, {}, {})), [], set(), NOTHING) == {"y"}
    copied = ran(body, ({}, {}, {}), text="    z = list(y)\n")
    with pytest.raises(Misfit, match="lists that only some rounds add to are copied: y"):
        rounds_alike(copied, [], set(), NOTHING)
    assert rounds_alike(ran(COUNT, ({}, {}, {})), [], set(), NOTHING) == set()


def test_a_function_around_the_loop_is_found_by_what_called_it(ran, tmp_path):
    inner = code_of(
        "def f(n, x):\n    for i in x:\n        g(i)\n        m = i\n    return m\n", tmp_path
    )
    outer = code_of("def e(x):\n    y = f(1, x)\n    if y > 1: pass\n", tmp_path, "e")
    runs = ran("for i in x:\n    g(i)\n    m = i", ({}, {}, {}), code=inner)
    around = [(outer, at(outer, "f(1, x)"))]
    starts = [held(inner, around=around)]
    with pytest.raises(Misfit, match="y > 1: 'm' differs"):
        rounds_alike(runs, starts, {"m"}, NOTHING)
    assert rounds_alike(runs, [None], {"m"}, NOTHING) == set(), "it is an output of the model"
    assert rounds_alike(runs, [held(outer)], {"m"}, NOTHING) == set()


# -- lines


READ = "for i in x:\n    g(i, k)"


def test_what_a_loop_holds_follows_the_number_of_the_round(ran):
    def of(*rounds, body=READ, skipped=0, odd=()):
        runs = ran(body, *(({}, {}, *({"i": n} for n in one)) for one in rounds))
        for one in runs:
            one.odd = set(odd)
        numbers_are_lines(runs, skipped)

    of((0, 1, 2), (0, 1))
    of((5, 7, 9))
    of((2, 1, 0), (1, 0))  # it follows how many there are, too
    of((0, 1, 5), body="for i in x:\n    g(k)")
    of((9, 1, 2, 3), skipped=1)
    for wrong in (((0, 1, 5),), ((0, 1), (0, 2))):
        with pytest.raises(Misfit, match="'i' does not follow the number of the round"):
            of(*wrong)
    with pytest.raises(Misfit):
        of((9, 1, 2, 3))
    with pytest.raises(Misfit, match="plain variables of a loop in other rounds: i"):
        of((0, 1), odd="i")
    of((0, 1), odd="z")
    of((0, 1), (), body=READ)


@pytest.fixture
def counters(tmp_path):
    """Checks what variables that rounds set held, as the loop saw them."""

    def check(body, held_by, live, after="    return m\n"):
        loop = loop_of(body, tmp_path)
        code = code_of(
            "def f(n, x, m):\n    " + body.replace("\n", "\n    ") + "\n" + after, tmp_path
        )
        runs = []
        for one in held_by:
            run = Execution(loop, code, ())
            run.set = one
            runs.append(run)
        laid = types.SimpleNamespace(
            live={("f", name) for name in live}, after={}, rounds={}, place={}, starts={}
        )
        counters_are_lines(laid, runs)

    return check


SOME = "for i in x:\n    if i: m = 3"


def test_what_only_some_rounds_set_is_not_read_after_them(counters):
    told = ({"m": {whole(1)}}, {"m": {whole(3)}})
    with pytest.raises(Misfit, match="'m' is set in some rounds, and read after them"):
        counters(SOME, told, ["m"])
    counters(SOME, told, [])  # nobody reads it
    counters(SOME, told, ["m"], after="")
    counters(SOME, ({"m": {whole(1)}}, {}), ["m"])
    counters(SOME, ({"m": {IN_GRAPH, NONE, whole(1)}},), ["m"])
    with pytest.raises(Misfit):
        counters(SOME, ({"m": {NUMBER}},), ["m"])
    counters("for i in x:\n    m = 3", told, ["m"])


def test_what_the_rounds_tell_of_a_counter_that_is_read(tmp_path):
    body = "for i in x:\n    m = m + 1"
    loop = loop_of(body, tmp_path)
    code = code_of(
        "def f(n, x, m):\n    for i in x:\n        m = m + 1\n    return g(m)\n", tmp_path
    )

    def check(*counts, live=True):
        starts, place, rounds = {}, {}, {}
        for r, one in enumerate(counts):
            rounds[r] = [10 * r + k for k in range(len(one))]
            for k, n in enumerate(one):
                place[rounds[r][k]] = r, k
                starts[rounds[r][k]] = held(code, m=whole(n))
        laid = types.SimpleNamespace(
            live={("f", "m")} if live else set(), after=dict.fromkeys(rounds), rounds=rounds,
            place=place, starts=starts,
        )  # fmt: skip
        counters_are_lines(laid, [Execution(loop, code, ())])

    check((0, 1, 2), (0, 1))
    check((0, 1, 2), (5, 6, 7))  # from wherever it begins, so many are added
    check((0, 1, 1), live=False)
    for wrong in (((0, 1, 1),), ((3, 4, 4), (3, 4))):
        with pytest.raises(Misfit, match="'m' counts only some rounds, and is read after them"):
            check(*wrong)
