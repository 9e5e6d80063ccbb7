"""Which variables an expression reads, of which others one is made, and what is returned."""

import dis

import pytest
from by_hand import at, code_of

from flexir.recording import parsed, variables
from flexir.recording.variables import is_inside_c, made_of, names_at, returned_by

BUILT = compile("def f(n):\n    return [n]\n", "<nowhere>", "exec").co_consts[0]


@pytest.mark.parametrize("text, found", [
    ("n = a", {"a"}), ("n = a + b * 2", {"a", "b"}), ("n += a", {"a"}), ("n: int = a", {"a"}),
    ("n, m = a, b", {"a", "b"}), ("[n, *m] = a", {"a"}), ("m = n = a", {"a"}),
    ("if (n := a) > 3: pass", {"a"}), ("for n in a: pass", {"a"}), ("m = a", set()),
    ("k = a\n    n = k", {"a", "k"}), ("n = k\n    k = a", {"a", "k"}), ("n = n + a", {"a", "n"}),
    ("n = a\n    n = b", {"a", "b"}), ("m = [a for n in b]", {"b"}), ("n: int\n    m = a", set()),
    ("k = a\n    j = k\n    n = j", {"a", "j", "k"}), ("n.a = b", set()), ("n = 3", set()),
])  # fmt: skip
def test_a_variable_is_made_of_those_in_what_it_is_set_to(text, found, tmp_path):
    code = code_of(f"def f(a, b, k, n, m):\n    {text}\n", tmp_path)
    assert made_of(code, "n", ()) == found


def test_what_is_seen_is_not_gone_through(tmp_path):
    code = code_of("def f(a, b):\n    k = a\n    n = k + b\n    return n\n", tmp_path)
    assert made_of(code, "n", ()) == {"a", "b", "k"}
    assert made_of(code, "n", {"k"}) == {"b"}
    assert made_of(code, "n", {"b"}) == {"a", "k"} and made_of(code, "unknown", ()) == set()
    assert made_of(BUILT, "n", ()) == set(), "there is no source"


def test_the_variables_in_the_expression_of_an_instruction(tmp_path):
    text = "def f(a, b):\n    k = g(a, h(b))\n    n = k + 1\n    return n\n"
    code = code_of(text, tmp_path)
    assert names_at(code, at(code, "h(b)")) == {"h", "b"}
    assert names_at(code, at(code, "g(a, h(b))")) == {"g", "a", "h", "b"}
    assert names_at(code, at(code, "k + 1")) == {"k"}
    assert names_at(code, -1) == frozenset() == names_at(BUILT, 0)


def only_the_line_is_known(monkeypatch, number, columns):
    first, last = columns
    monkeypatch.setattr(variables, "span_at", lambda code, at: (number, first, number, last))
    asked = variables.expressions_at  # nothing of it is kept from another line
    monkeypatch.setattr(variables, "expressions_at", getattr(asked, "__wrapped__", asked))


def test_where_lines_alone_are_known_all_of_a_line_counts(tmp_path, monkeypatch):
    text = "def f(a, b):\n    k = g(a,\n        h(b))\n    if k: n = a\n    return n\n"
    code = code_of(text, tmp_path)

    def line(number, columns=(0, parsed.END)):
        only_the_line_is_known(monkeypatch, number, columns)
        return variables.names_at.__wrapped__(code, 0)

    assert line(3) == {"h", "b"} and line(4) == {"k", "n", "a"} and line(5) == {"n"}
    assert (
        line(2) == {"k", "g", "a"}
        or line(2) == {"g", "a", "k", "h", "b"}
        or line(2) == {"a", "g", "k"}
    )
    assert line(4, (0, 5)) == frozenset() == line(4, (1, parsed.END))


@pytest.mark.parametrize("text, found", [
    ("return n", {"n"}), ("return n, m", {"n", "m"}), ("return [n, (m, k)]", {"n", "m", "k"}),
    ("return {'a': n, 'b': [m]}", {"n", "m"}), ("return n + m", set()), ("return", set()),
    ("return g(n)", set()), ("if n:\n        return n\n    return m", {"n", "m"}),
    ("return {n: m}", {"m"}), ("return n, m + 1", {"n"}), ("return ()", set()),
])  # fmt: skip
def test_the_variables_that_a_function_returns(text, found, tmp_path):
    assert returned_by(code_of(f"def f(n, m, k):\n    {text}\n", tmp_path)) == found
    assert returned_by(BUILT) == frozenset()


@pytest.mark.parametrize("text, inside", [
    ("sorted(n)", True), ("n.max()", True), ("filter(g, n)", True), ("all(n)", False),
    ("any(n)", False), ("bool(n)", False), ("n + 1", True), ("n.all()", True), ("n[0]", True),
    ("(g or any)(n)", True), ("n > 1", False), ("n in g", False), ("not n", False),
], ids=str)  # fmt: skip
def test_an_instruction_may_run_a_function_written_in_c(text, inside, tmp_path):
    code = code_of(f"def f(n):\n    return {text}\n", tmp_path)
    assert is_inside_c(code, at(code, text)) is inside


def test_it_is_the_call_at_that_place_that_counts(tmp_path):
    code = code_of("def f(n):\n    return sorted(any(n))\n", tmp_path)
    assert is_inside_c(code, at(code, "sorted(any(n))")) is True
    assert is_inside_c(code, at(code, "any(n)")) is False
    assert all(is_inside_c(BUILT, one.offset) for one in dis.get_instructions(BUILT))


def test_where_lines_alone_are_known_any_call_of_a_line_may_be_meant(tmp_path, monkeypatch):
    code = code_of("def f(n):\n    a = any(n)\n    b = any(n), g(n)\n    return n\n", tmp_path)
    called = at(code, "g(n)")

    def line(number, columns=(0, parsed.END)):
        only_the_line_is_known(monkeypatch, number, columns)
        return is_inside_c.__wrapped__(code, called)

    assert line(2) is False and line(3) is True and line(4) is True, "no call is written there"
    assert line(2, (0, 4)) is True and line(2, (1, parsed.END)) is True
    assert line(2, (8, 14)) is False
