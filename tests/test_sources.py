"""What the source of a function says: the loops around an instruction, what variables decide."""

import ast
import inspect
import textwrap

import pytest

from flexir.recording import grown_lists, parsed, sources

FOREVER = 3


def spans_of(function, text):
    """The spans of instructions whose line of source has this text."""
    lines, first = inspect.getsourcelines(function)
    at = {first + i for i, line in enumerate(lines) if text in line}
    return [i * 2 for i, span in enumerate(parsed.spans(function.__code__)) if span[0] in at]


def loops(function, text):
    found = [sources.loops_at(function.__code__, at) for at in spans_of(function, text)]
    return max(found, key=len)


def nested(xs):
    total = 0
    for i, x in enumerate(xs):
        while x > FOREVER:
            x = x - 1
            total += x
        total += i
    else:
        total += 7
    return total


def comprehended(xs):
    return [y + 1 for x in xs if x for y in x]


def keyed(xs):
    return {k: v * 2 for k, v in xs}


def lines_of(found):
    return [type(one.node).__name__ for one in found]


def test_an_instruction_stands_in_the_loops_whose_bodies_hold_it():
    assert lines_of(loops(nested, "total += x")) == ["For", "While"]
    assert lines_of(loops(nested, "total += i")) == ["For"]
    assert lines_of(loops(nested, "total += 7")) == [], "what follows a loop is not in it"
    assert lines_of(loops(nested, "x > FOREVER")) == ["For", "While"], "a test is of its loop"
    assert lines_of(loops(nested, "return total")) == []
    assert lines_of(loops(nested, "in enumerate")) == [], "nor what it goes over"


def test_a_loop_says_what_it_sets():
    outer, inner = loops(nested, "total += x")
    assert outer.targets == ("i",), "x is set in the body, too"
    assert outer.stored == {"i", "x", "total"} and inner.stored == {"x", "total"}
    assert inner.targets == () and inner.iterable is None
    assert ast.unparse(outer.iterable) == "enumerate(xs)" and not outer.is_comprehension
    assert outer.key == (nested.__code__.co_filename, outer.span) and outer.key != inner.key
    first = nested.__code__.co_firstlineno
    assert (outer.span[0], outer.span[1]) == (first + 2, 4)
    assert loops(nested, "total += i") == (outer,)


def test_what_lies_in_a_test_and_what_is_set_before():
    outer, inner = loops(nested, "total += x")
    code = nested.__code__
    test = [parsed.span_at(code, at) for at in spans_of(nested, "x > FOREVER")]
    assert any(sources.in_test(inner, span) for span in test)
    assert not any(sources.in_test(outer, span) for span in test)
    line = code.co_firstlineno + 5
    assert sources.stored_before(inner, (line, 12, line, 20)) == {"x"}
    assert sources.stored_before(inner, (line - 1, 12, line - 1, 20)) == set()
    assert sources.stored_before(inner, (line, 99, line, 99)) == {"x", "total"}
    assert parsed.span_at(code, -1) == (0, 0, 0, 0)


@pytest.mark.skipif(not hasattr(comprehended.__code__, "co_positions"), reason="lines alone")
def test_comprehensions_are_loops():
    def inner(function):
        codes = [c for c in function.__code__.co_consts if inspect.iscode(c)]
        [code] = codes or [function.__code__]  # no function of its own from Python 3.12
        every = [sources.loops_at(code, 2 * i) for i, _ in enumerate(parsed.spans(code))]
        return max(every, key=len)

    first, second = inner(comprehended)
    assert first.is_comprehension and (first.targets, second.targets) == (("x",), ("y",))
    assert ast.unparse(first.iterable) == "xs" and ast.unparse(second.iterable) == "x"
    [one] = inner(keyed)
    assert one.targets == ("k", "v") and ast.unparse(one.iterable) == "xs"


def function_of(text, tmp_path, name="f"):
    """A function compiled of text in a file of its own."""
    path = tmp_path / f"source_{abs(hash(text))}.py"
    path.write_text(textwrap.dedent(text))
    space = {}
    exec(compile(path.read_text(), str(path), "exec"), space)
    return space[name].__code__


def test_a_function_without_source_may_do_anything():
    space = {}
    exec(compile("def f(n):\n    return n\n", "<nowhere>", "exec"), space)
    code = space["f"].__code__
    assert sources.is_read(code, "n")
    assert grown_lists.copied_elsewhere(code, ["n"]) and not grown_lists.copied_elsewhere(code, [])
    assert all(sources.loops_at(code, 2 * i) == () for i in range(3))


def test_counting_up_is_no_reading(tmp_path):
    assert not sources.is_read(function_of("def f(x):\n    n = 0\n    n += 1\n", tmp_path), "n")
    assert sources.is_read(function_of("def f(x):\n    n = 0\n    return n\n", tmp_path), "n")


@pytest.mark.parametrize("text, copied", [
    ("y = [*n]", True), ("y = list(n)", True), ("y = zip(x, n)", True), ("y = g(n)", False),
    ("y = n + x", True), ("y = x + n", True), ("y = n[1:]", True), ("y = n[1]", False),
    ("y = a.sorted(n)", False), ("y = sum(n)", True), ("n.append(1)", False),
])  # fmt: skip
def test_what_makes_other_containers(text, copied, tmp_path):
    code = function_of(f"def f(n, x):\n    {text}\n", tmp_path)
    assert grown_lists.copied_elsewhere(code, {"n"}) is copied
    assert not grown_lists.copied_elsewhere(code, {"unknown"})


def test_the_statement_at_a_line_mentions_what_it_reads(tmp_path):
    code = function_of("def f(n, x):\n    if x:\n        y = (n +\n             1)\n    return x\n",
                       tmp_path)  # fmt: skip
    file = code.co_filename
    assert sources.mentions(file, 3, "n") and sources.mentions(file, 4, "n")
    assert not sources.mentions(file, 3, "x") and sources.mentions(file, 5, "x")
    assert not sources.mentions(file, 5, "n") and sources.mentions(file, 2, "x")
    assert not sources.mentions(file, 2, "n"), "the statements inside are others"
    bad = tmp_path / "bad.py"
    bad.write_text("def (:\n")
    assert sources.mentions(str(bad), 1, "anything"), "where there is no tree it may"


def loop_of(body, tmp_path):
    code = function_of(
        f"def f(n, x):\n{textwrap.indent(textwrap.dedent(body), '    ')}\n", tmp_path
    )
    codes = [code, *(c for c in code.co_consts if inspect.iscode(c))]
    every = [sources.loops_at(c, 2 * i) for c in codes for i, _ in enumerate(parsed.spans(c))]
    return max(every, key=len)[0]


@pytest.mark.parametrize("body, grown", [
    ("for i in x:\n    y.append(i)", set()),
    ("for i in x:\n    if i:\n        y.append(i)", {"y"}),
    ("for i in x:\n    if i:\n        y.extend([i]); z.pop(); w.count(1)", {"y", "z"}),
    ("for i in x:\n    y.append(i)\n    if i:\n        break", {"y"}),
    ("for i in x:\n    y.append(i)\n    if i:\n        continue", {"y"}),
    ("for i in x:\n    if i:\n        y += [i]\n        z += i", {"y"}),
    ("for i in x:\n    if i:\n        y.insert(0, i)", {"y"}),
])  # fmt: skip
def test_lists_that_grow_in_some_rounds(body, grown, tmp_path):
    assert grown_lists.grown_at_times(loop_of(body, tmp_path)) == grown


def test_a_function_is_found_whatever_stands_at_the_margin(tmp_path):
    """The statement around it is told by what stands at the margin, which may be a text."""
    text = (
        "class Model:\n    def f(self, n):\n"
        '        text = """\nat the margin\n@here\ndef f(n):\n"""\n'
        "        return (\n            lambda a: text if a else n\n)\n"
        "if True:\n    def g(n):\n        return 1\nelse:\n    def g(n):\n        return 2\n"
        "f = Model().f.__func__\nh = f(None, 1)\n"
    )
    for name, line in (("f", 2), ("h", 9), ("g", 12)):
        found = parsed.function_of(function_of(text, tmp_path, name))
        assert found.lineno == line and getattr(found, "name", "h") == name
    code = function_of("def f(n, at_the_margin):\n    return n\n", tmp_path)
    whole = parsed.tree_of(code.co_filename)
    assert ast.dump(parsed.function_in(whole, code)) == ast.dump(parsed.function_of(code))


def test_decorated_functions_and_lambdas_are_found(tmp_path):
    decorated = function_of(
        "def same(f):\n    return f\n\n@same\n@same\ndef f(n):\n    if n: pass\n", tmp_path
    )
    assert parsed.function_of(decorated).name == "f"
    two = "f, g = (lambda n: n + 1), (lambda n: n if n else 1)\n"
    first, second = (parsed.function_of(function_of(two, tmp_path, name)) for name in "fg")
    assert isinstance(first.body, ast.BinOp) and isinstance(second.body, ast.IfExp)
    inner = (
        "def g():\n    for _ in range(2):\n        def f(n):\n            return n\n    return f\n"
    )
    code = function_of(inner, tmp_path, "g")
    [code] = [c for c in code.co_consts if inspect.iscode(c)]
    assert all(sources.loops_at(code, 2 * i) == () for i, _ in enumerate(parsed.spans(code))), (
        "of the function around"
    )
