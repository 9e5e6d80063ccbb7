"""Variables that no call shows: where they could let runs part, runs are not laid together."""

import textwrap
import types

import pytest

from flexir.recording.alike import Misfit
from flexir.recording.hidden import _is_harmless, counters_are_lines, stand_alike
from flexir.recording.standing import Held
from flexir.recording.uses import Known


def code_of(text, tmp_path):
    path = tmp_path / f"m{abs(hash(text))}.py"
    path.write_text(textwrap.dedent(text))
    space = {}
    exec(compile(path.read_text(), str(path), "exec"), space)
    return space["f"].__code__


READ = "def f(x, n):\n    n = x\n    return g(n + 1)\n"
TESTED = "def f(x, n):\n    if n > 1:\n        pass\n    return g(n)\n"
COUNTED = "def f(x):\n    n = 0\n    n += 1\n    return x\n"


def held(code, **plain):
    return Held((code,), (-1,), {(0, name): told for name, told in plain.items()}, {})


def whole(n):
    return ("int", str(n))


NODE = types.SimpleNamespace(where="here")


def stands(*runs, guarded=()):
    try:
        stand_alike(NODE, dict(enumerate(runs)), Known(guarded, {}, {}))
    except Misfit as error:
        return str(error)
    return None


def test_variables_that_are_the_same_part_nothing(tmp_path):
    code = code_of(READ, tmp_path)
    assert stands(held(code, n=whole(1)), held(code, n=whole(1))) is None
    assert stands(None, None) is None and stands(held(code)) is None
    assert "Python variables differ" in stands(None, held(code))
    assert "other functions lead to" in stands(held(code), held(code_of(COUNTED, tmp_path)))


def test_only_numbers_and_lists_may_differ(tmp_path):
    code = code_of(READ, tmp_path)
    pair = held(code, n=whole(1)), held(code, n=whole(2))
    assert stands(*pair) is None
    assert stands(pair[0], held(code)) is None, "what does not exist yet is not read"
    words = held(code, n=("str", "a")), held(code, n=("str", "b"))
    assert "the variable 'n' differs" in stands(*words)
    mixed = held(code, n=whole(1)), held(code, n=("str", "b"))
    assert "the variable 'n' differs" in stands(*mixed)


def test_what_is_only_counted_up_is_not_read(tmp_path):
    code = code_of(COUNTED, tmp_path)
    assert stands(held(code, n=whole(1)), held(code, n=whole(5))) is None


def test_a_test_of_what_differs_could_decide(tmp_path):
    code = code_of(TESTED, tmp_path)
    pair = held(code, n=whole(1)), held(code, n=whole(2))
    assert "n > 1: 'n' differs at" in stands(*pair)
    assert stands(*pair, guarded={(code.co_filename, 2)}) is None


def test_whole_numbers_and_lists_of_tensors_are_harmless():
    tensors, others = ("list", "2", (None, None)), ("list", "1", (None,))
    assert _is_harmless([whole(1), whole(2)]) and _is_harmless([tensors, others])
    assert _is_harmless([("tuple", "1", (None,)), ("tuple", "0", ())])
    assert not _is_harmless([("list", "1", ("int",)), tensors])
    assert not _is_harmless([whole(1), tensors]) and not _is_harmless([("float", "1.5")])


@pytest.fixture
def counts(tmp_path):
    """Checks what a variable was at the beginning of two rounds and after them, in two runs."""

    def check(text, *runs):
        code = code_of(text, tmp_path)
        place, rounds, starts, after, number = {}, {}, {}, {}, 0
        loop = types.SimpleNamespace(stored=frozenset(), body=())
        execution = types.SimpleNamespace(code=code, loop=loop, after={})
        for run, (*begun, end) in enumerate(runs):
            rounds[run] = list(range(number, number + len(begun)))
            for k, told in enumerate(begun):
                place[number] = run, k
                starts[number] = None if told is None else held(code, n=whole(told))
                number += 1
            after[run] = None if end is None else held(code, n=whole(end))
        try:
            loop = types.SimpleNamespace(place=place, rounds=rounds, starts=starts, after=after)
            counters_are_lines(loop, [execution])
        except Misfit as error:
            return str(error)
        return None

    return check


def test_a_counter_is_a_line_through_the_rounds(counts):
    assert counts(READ, (0, 1, 2), (0, 1, 2, 3)) is None
    assert counts(READ, (5, 7, 9), (5, 7, 9, 11)) is None
    assert "'n' counts only some rounds" in counts(READ, (0, 1, 1), (0, 1, 1, 2))
    assert counts(READ, (4, 4, 4), (4, 4, 4, 4)) is None, "it stays"
    assert counts(COUNTED, (0, 1, 1), (0, 1, 1, 2)) is None, "it is not read"


def test_what_is_not_known_of_a_round_is_left_out(counts):
    assert counts(READ, (0, None, 2), (0, 1, 2, 3)) is None
    assert counts(READ, (0, None, 3), (0, 1, 2, 3)) is not None
    assert counts(READ, (0, 1, None), (None, None, None)) is None
    assert counts(READ, (0, 1, 2), (0, 1, 1)) is not None
