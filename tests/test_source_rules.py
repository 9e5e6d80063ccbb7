"""What the source of a function says: spans, loops of every kind, comparisons, plain answers."""

import ast
import types

import pytest
from by_hand import at, code_of
from test_sources import loop_of

from flexir.recording import parsed, sources
from flexir.recording.parsed import END, contains

INSIDE = types.CodeType


def all_codes(code):
    """A function and the functions in it."""
    found = [code]
    for one in found:
        found += [part for part in one.co_consts if isinstance(part, INSIDE)]
    return found


def loops_around(text, expression, place):
    """The loops around an expression of a function, which stands in any function in it."""
    for code in all_codes(code_of(text, place)):
        try:
            return sources.loops_at(code, at(code, expression))
        except IndexError:
            continue
    raise AssertionError(expression)


class Lines:
    """A function of which lines alone are known, as before Python 3.11."""

    def __init__(self, *lines):
        self.co_lines = lambda: lines


def test_before_python_3_11_a_span_is_a_line():
    found = parsed.spans.__wrapped__(Lines((0, 4, 7), (4, 6, None), (6, 10, 9)))
    line, none, last = (7, 0, 7, END), (0, 0, 0, END), (9, 0, 9, END)
    assert found == [line, line, none, last, last]


def test_the_spans_of_instructions_with_parts_that_are_not_known():
    positions = [(3, 5, 1, 2), (3, None, 1, 2), (3, 3, None, None), (None,) * 4, (3, 5, 0, 0)]
    code = types.SimpleNamespace(co_positions=lambda: positions, co_code=bytes(10))
    found = parsed.spans.__wrapped__(code)
    assert found == [(3, 1, 5, 2), (3, 1, 3, 2), (3, 0, 3, END), (0, 0, 0, END), (3, 0, 5, 0)]


def test_an_instruction_is_found_by_its_offset(tmp_path):
    code = code_of("def f(x):\n    y = x + 1\n    return y\n", tmp_path)
    found = parsed.spans(code)
    assert [parsed.span_at(code, 2 * i) for i in range(len(found))] == found
    assert parsed.span_at(code, -1) == (0, 0, 0, 0) == parsed.span_at(code, -2)
    assert len(set(found)) > 1


@pytest.mark.parametrize("outer, inner, expected", [
    ((1, 4, 3, 8), (1, 4, 3, 8), True), ((1, 4, 3, 8), (2, 0, 2, 90), True),
    ((1, 4, 3, 8), (1, 3, 2, 0), False), ((1, 4, 3, 8), (3, 0, 3, 9), False),
    ((1, 4, 3, 8), (1, 5, 1, 6), True), ((1, 4, 3, 8), (0, 9, 2, 0), False),
    ((1, 4, 3, 8), (2, 0, 4, 0), False), ((1, 4, 3, 8), (3, 7, 3, 8), True),
    ((1, 4, 3, 8), (1, 0, 1, END), True), ((1, 4, 3, 8), (3, 0, 3, END), True),
    ((1, 4, 3, 8), (4, 0, 4, END), False), ((1, 4, 3, 8), (0, 0, 0, END), False),
    ((1, 4, 3, 8), (3, 1, 3, END), False), ((1, 4, 3, 8), (1, 0, 1, 9), False),
    ((2, 4, 2, 8), (2, 0, 2, END), True), ((2, 4, 2, 8), (1, 0, 3, END), False),
])  # fmt: skip
def test_a_span_lies_in_another(outer, inner, expected):
    assert contains(outer, inner) is expected


SUMS = "def f(x):\n    for i in x:\n        y = sum(x) + sum() + x.sum(i) + max(x)\n"


def test_a_sum_is_a_loop_in_one_instruction(tmp_path):
    code = code_of(SUMS, tmp_path)
    outer, inner = sources.loops_at(code, at(code, "sum(x)"))
    assert (
        inner.is_one_call
        and not outer.is_one_call
        and inner.span == parsed.span_at(code, at(code, "sum(x)"))
    )
    assert ast.unparse(inner.iterable) == "x" and [ast.unparse(p) for p in inner.body] == ["sum"]
    for text in ("sum()", "x.sum(i)", "max(x)"):
        assert sources.loops_at(code, at(code, text)) == (outer,), text
    assert not inner.filters and not inner.is_comprehension


def test_the_loops_of_nested_comprehensions(tmp_path):
    text = "def f(xs):\n    return [g(y, z) for x in g(xs) if g(x) for y in h(x) for z in k(y)]\n"

    def names(expression):
        return ["/".join(one.targets) for one in loops_around(text, expression, tmp_path)]

    assert names("g(y, z)") == ["x", "y", "z"] and names("g(x)") == ["x"]
    assert names("h(x)") == ["x"] and names("k(y)") == ["x", "y"] and names("g(xs)") == []
    [first] = loops_around(text, "g(x)", tmp_path)
    assert first.filters is True and first.iterable is not None
    _, second, _ = loops_around(text, "g(y, z)", tmp_path)
    assert second.filters is False and second.is_comprehension


def test_a_function_inside_a_loop_is_not_in_it(tmp_path):
    text = """
        def f(xs):
            for x in xs:
                def g(y):
                    while y:
                        h(y)
                g(x)
    """
    assert [type(one.node).__name__ for one in loops_around(text, "h(y)", tmp_path)] == ["While"]
    assert [type(one.node).__name__ for one in loops_around(text, "g(x)", tmp_path)] == ["For"]


def test_what_a_loop_sets_at_the_beginning_of_a_round(tmp_path):
    text = "def f(xs):\n    for a, (b, c) in xs:\n        b = h(a)\n        d = 1\n"
    [loop] = loops_around(text, "h(a)", tmp_path)
    assert loop.targets == ("a", "c") and loop.stored == {"a", "b", "c", "d"}


# -- the loop that a call numbers


@pytest.mark.parametrize("text, call, numbered", [
    ("for i in range(n): pass", "range(n)", True),
    ("for i in enumerate(range(n)): pass", "range(n)", True),
    ("for i in zip(x, range(n)): pass", "range(n)", True),
    ("for i in zip(x, list(range(n))): pass", "range(n)", True),
    ("for i in zip(x, g(range(n))): pass", "range(n)", False),
    ("for i in x.zip(range(n)): pass", "range(n)", False),
    ("for i in map(g, range(n)): pass", "range(n)", False),
    ("for i in range(n)[1:]: pass", "range(n)", False),
    ("for i in x: range(n)", "range(n)", False), ("y = range(n)", "range(n)", False),
    ("y = [i for i in range(n)]", "range(n)", True),
    ("y = [i for i in x if range(n)]", "range(n)", False),
])  # fmt: skip
def test_a_call_may_number_the_rounds_of_a_loop(text, call, numbered, tmp_path):
    for code in all_codes(code_of(f"def f(n, x):\n    {text}\n", tmp_path)):
        try:
            offset = at(code, call)
        except IndexError:
            continue
        found = sources.loop_over(code, offset)
        assert (found is not None) is numbered
        if numbered:
            file, span = found
            assert file == code.co_filename
            column = text.index("i in") if "[" in text else 0
            assert span[:2] == (2, column + 4)


def test_where_lines_alone_are_known_a_line_with_one_loop_numbers_it():
    def numbers(text, span):
        return sources._numbers_rounds(ast.parse(text, mode="eval").body, span)

    assert numbers("range(n)", (1, 0, 1, END)) is True
    assert numbers("range(n)", (2, 0, 2, END)) is False
    assert (
        numbers("range(n)", (1, 1, 1, END)) is False and numbers("range(n)", (1, 0, 1, 9)) is False
    )
    assert numbers("range(n)", (1, 0, 1, 8)) is True
    assert numbers("zip(range(n), range(n))", (1, 4, 1, 12)) is True
    assert numbers("zip(range(n), range(n))", (1, 14, 1, 22)) is True
    assert numbers("zip(range(n), x)", (1, 4, 1, 11)) is False


def test_two_loops_over_one_call_are_none(tmp_path, monkeypatch):
    code = code_of("def f(n):\n    for i in range(n):\n        for j in range(i): pass\n", tmp_path)
    monkeypatch.setattr(sources, "_numbers_rounds", lambda over, span: True)
    assert sources.loop_over.__wrapped__(code, 0) is None


# -- what rounds set and give


@pytest.mark.parametrize("element, plain", [
    ("x.sum()", False), ("bool(x)", True), ("x", False), ("1", True), ("not x", True),
    ("-x", False), ("-1", True), ("(x, 1)", True), ("[x, x]", False), ("1 if x else x", True),
    ("x if y else 1", True), ("x if y else x", False), ("x and y", True), ("x.float()", False),
    ("float(x)", True), ("f(x)", False), ("x + 1", False), ("~x", False), ("len(x)", True),
])  # fmt: skip
def test_a_comprehension_may_give_something_else_than_tensors(element, plain, tmp_path):
    text = f"def f(xs, y):\n    return [{element} for x in g(xs)]\n"
    nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ListComp)]
    [loop] = sources._comprehension("file", nodes[0], parsed.span_of(nodes[0].elt))
    assert sources.gives_plain(loop) is plain
    assert sources.gives_plain(loop_of("for i in x:\n    1", tmp_path)) is False


@pytest.mark.parametrize("body, found", [
    ("y = i", set()), ("y += i", set()), ("y: int = i", set()), ("y = i if i else 1", {"y"}),
    ("y = i or 1", {"y"}), ("if i: y = 1", {"y"}), ("if i: break\n    y = 1", {"y"}),
    ("y = 1\n    if i: continue\n    z = 1", {"z"}), ("y = i\n    if i: z = 1", {"z"}),
    ("for j in i: y = 1", {"j", "y"}), ("with i: y = 1", {"y"}), ("g(y)", set()),
    ("if i: break", set()), ("if i: g()\n    y = 1", set()),
])  # fmt: skip
def test_what_some_rounds_set_otherwise_than_others(body, found, tmp_path):
    assert sources.set_at_times(loop_of(f"for i in x:\n    {body}\n    g(i)", tmp_path)) == found


@pytest.mark.parametrize("body, leaves, cuts", [
    ("g(i)", False, False), ("if i: break", True, False), ("if i: continue", False, True),
    ("if i: return", True, False),
])  # fmt: skip
def test_a_loop_may_be_left_or_go_on_before_the_round_is_over(body, leaves, cuts, tmp_path):
    loop = loop_of(f"for i in x:\n    {body}", tmp_path)
    assert sources.may_leave(loop) is leaves and sources.may_leave(loop, ast.Continue) is cuts


@pytest.mark.parametrize("text, read", [
    ("n = n + 1", False), ("n = n + x.shape[0]", False), ("n = n + len(x)", True),
    ("m = n + 1", True), ("n += 1", False), ("n = m = n + 1", True), ("n = (m := n)", True),
    ("m = 1", False), ("del n", False), ("n = 1", False), ("g(n)", True), ("n[0] = n", True),
])  # fmt: skip
def test_a_variable_is_read_but_to_be_counted_up(text, read, tmp_path):
    assert sources.is_read(code_of(f"def f(n, x):\n    {text}\n", tmp_path), "n") is read


def test_what_a_round_sets_before_a_place(tmp_path):
    loop = loop_of("for i in x:\n    a = 1\n    b = g(a)\n    c = 2", tmp_path)
    first, second, _ = loop.node.body
    line, column = first.end_lineno, first.end_col_offset
    assert sources.stored_before(loop, (line, column, line, column)) == {"a"}
    assert sources.stored_before(loop, (line, column - 1, line, column)) == set()
    assert sources.stored_before(loop, (second.lineno, 0, 9, 9)) == {"a"}
    assert sources.stored_before(loop, (line, column, 0, 0)) == {"a"}


# -- comparisons, and what a statement mentions


@pytest.mark.parametrize("text, once", [
    ("x > 1", True), ("x == y", True), ("x != y", True), ("x <= y", True), ("x >= y", True),
    ("x < y", True), ("1 < x < 3", False), ("x in y", False), ("x is y", False), ("x", False),
    ("x > 1 and y > 2", False), ("x.gt(1) == y", False), ("x.sum() > 1", True),
    ("torch.eq(x, y) > 0", False), ("gt(x) > 1", True), ("x.less_equal(y) > 0", False),
    ("x > 1 or y", True),
])  # fmt: skip
def test_a_line_has_one_comparison_by_size(text, once, tmp_path):
    path = tmp_path / f"c{abs(hash(text))}.py"
    path.write_text(f"z = 1 < 2\ny = {text}\nz = 3 > 2 > 1\n")
    assert sources.compares_once(str(path), 2) is once
    assert sources.compares_once(str(path), 1) is True
    assert sources.compares_once(str(path), 3) is False is sources.compares_once(str(path), 9)
    assert sources.compares_once(str(tmp_path / "none.py"), 1) is False


def test_a_file_that_is_no_python_says_nothing(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("def (:\n")
    assert sources.compares_once(str(bad), 1) is False and parsed.tree_of(str(bad)) is None
    assert sources.mentions(str(bad), 1, "x") is True


def test_the_innermost_statement_of_a_line_is_the_one(tmp_path):
    path = tmp_path / "m.py"
    path.write_text("\ndef f(a, b):\n    b = g(\n        c)\n    return [\n        d]\n\n\n")
    file = str(path)
    for line, names in ((2, ""), (3, "bgc"), (4, "bgc"), (5, "d"), (6, "d")):
        assert "".join(n for n in "abgcd" if sources.mentions(file, line, n)) == names, line
    assert sources.mentions(file, 1, "a") is True, "there is no statement: it may"
    assert sources.mentions(file, 99, "a") is True
    short = tmp_path / "short.py"
    short.write_text("if a:\n    b = c\n    b = d; e = b\n")
    assert sources.mentions(str(short), 3, "d") and not sources.mentions(str(short), 2, "a")


def test_a_module_is_its_own_function(tmp_path):
    path = tmp_path / "module.py"
    path.write_text("for i in range(3):\n    g(i)\n")
    code = compile(path.read_text(), str(path), "exec")
    tree = parsed.function_of(code)
    assert isinstance(tree, ast.Module)
    [loop] = sources.loops_at(code, at(code, "g(i)"))
    assert loop.targets == ("i",)
    empty = compile("def f(): pass\n", str(tmp_path / "no.py"), "exec")
    [inner] = [one for one in empty.co_consts if isinstance(one, INSIDE)]
    assert parsed.function_of(inner) is None


@pytest.mark.skipif(not hasattr(INSIDE, "co_positions"), reason="lines alone")
def test_of_two_functions_in_one_line_the_one_that_holds_it_is_meant(tmp_path):
    code = code_of("def f(x): return (lambda y: y + 1), (lambda y: [y - 1, x])\n", tmp_path)
    lambdas = [one for one in code.co_consts if isinstance(one, INSIDE)]
    assert [ast.unparse(parsed.function_of(one).body) for one in lambdas] == [
        "y + 1",
        "[y - 1, x]",
    ]
    with_nothing = lambdas[0].replace(co_code=b"", co_linetable=b"")
    assert ast.unparse(parsed.function_of(with_nothing).body) == "[y - 1, x]", "the last one"
