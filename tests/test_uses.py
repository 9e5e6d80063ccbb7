"""Where plain numbers go: into recorded calls, or into what no example may have shown."""

import ast

import pytest
import torch
from test_sources import function_of, loop_of
from torch import nn

import flexir
from flexir.recording import parsed
from flexir.recording.proof import equal
from flexir.recording.uses import Known, united, unseen

NOTHING = Known((), {}, {})


def decided(text, tmp_path, known=NOTHING, name="n"):
    code = function_of(text, tmp_path)
    return unseen(((code, -1),), 0, name, known)


@pytest.mark.parametrize("text", [
    "if n: pass", "y = 1 if n else 2", "while n: break", "assert n", "[1 for _ in x if n]",
    "y = n // 2", "y = n % 2", "y = n ** 2", "y = n << 1", "y = n & 1", "x //= n", "y = int(n)",
    "y = str(n)", "y = min(n, 1)", "y = n and x", "y = not n", "y = n > 1", "self.n = n",
    "y = n.bit_length()", "y = [n for _ in x]", "f = lambda: n", "x.n[0] = n", "y = {'a': n}",
    "y = n, 1\n    if y: pass", "y = n + 1\n    if y: pass", "y = z = 2 * n\n    y and 1",
    "y, z = n, 1\n    y > 1", "if (y := n) > 3: pass", "y = f'{n}'\n    if y: pass",
    "y = n if x else 1\n    y > 1", "def g(): return n", "y = [n][0]", "y = len([n, 1])\n    not y",
])  # fmt: skip
def test_tests_tables_and_bent_arithmetic_decide(text, tmp_path):
    assert decided(f"def f(n, x):\n    {text}\n", tmp_path)
    assert not decided(f"def f(n, x):\n    {text}\n", tmp_path, name="other")


@pytest.mark.parametrize("text", [
    "y = n + 1", "y = 2 * n", "x -= n", "y = -n", "g(n)", "y = x[n]", "y = x[:, n:]",
    "return n", "y = a.sqrt(n)", "return x, [n + 1]", "g(x, (n, 2), k=n)", "print(n)",
    "for _ in range(n): pass", "if (x * n).sum() > 2: pass", "raise ValueError(f'{n}')", "del n",
    "assert x, f'{n}'",
    "y = n if x else 1", "n += 1", "[g(n) for _ in x]",
])  # fmt: skip
def test_what_reaches_a_call_as_it_is_decides_nothing(text, tmp_path):
    assert decided(f"def f(n, x):\n    {text}\n", tmp_path) is None


def test_a_guard_accounts_for_its_comparison(tmp_path):
    code = function_of("def f(n):\n    if n > 1:\n        pass\n", tmp_path)
    for guarded, where in (((), "n > 1"), ({(code.co_filename, 2)}, None),
                           ({(code.co_filename, 3), ("other.py", 2)}, "n > 1")):  # fmt: skip
        assert unseen(((code, -1),), 0, "n", Known(guarded, {}, {})) == where


def test_what_is_done_with_a_tensor_is_recorded(tmp_path):
    text = "def f(n, x):\n    y = x / n\n    x = n\n    if y > n or x[0] > n: pass\n"
    code = function_of(text, tmp_path)
    known = Known((), {}, {code: {"x", "y"}})
    assert unseen(((code, -1),), 0, "n", known) is None
    assert unseen(((code, -1),), 0, "n", NOTHING) == "x / n"


def test_what_is_looked_up_in_a_table_decides(tmp_path):
    code = function_of("def f(n, t):\n    return t[n + 1]\n", tmp_path)
    import ast

    from flexir.recording.sources import function_of as tree_of

    [node] = [one for one in ast.walk(tree_of(code)) if isinstance(one, ast.Subscript)]
    assert unseen(((code, -1),), 0, "n", NOTHING) is None
    known = Known((), united([{code: {node: "table"}}, {}]), {})
    assert unseen(((code, -1),), 0, "n", known) == "t[n + 1]"


def test_a_function_without_source_may_do_anything():
    space = {}
    exec(compile("def f(n):\n    return n\n", "<nowhere>", "exec"), space)
    assert unseen(((space["f"].__code__, -1),), 0, "n", NOTHING) == "n"


@pytest.mark.parametrize("body, decides", [
    ("for i in x:\n    if i > 1:\n        g()", True),
    ("for i in x:\n    j = i + 1\n    k = j\n    if k:\n        g()", True),
    ("for i in x:\n    k = j\n    j = i + 1\n    if k:\n        g()", True),
    ("for i in x:\n    if n:\n        g()", False),
    ("for i in x:\n    g(i)", False),
    ("for i in x:\n    g(i // 2)", True),
    ("while i < 3:\n    g(i)", True),
    ("for i in x:\n    g(i)\nif i > 1: pass", True),
    ("for i in x:\n    g(i)\ni = 3\nif i > 1: pass", False),
    ("for i in x:\n    g(i)\nfor i in x:\n    if i: pass", False),
])  # fmt: skip
def test_what_a_loop_decides_in_a_round_or_after_it(body, decides, tmp_path):
    loop = loop_of(body, tmp_path)
    code = function_of("def f(n, x):\n    " + body.replace("\n", "\n    ") + "\n", tmp_path)
    assert (unseen(((code, -1),), 0, "i", NOTHING, loop) is not None) is decides


SCALE = [1] * 5 + [5] * 9


def helper(n):
    return 2 if n > 4 else 1


def count(x):
    n, h = 0, x[0]
    for r in x:
        h = h + r.tanh()
        n += 1
    return h, n


def listed(x):
    return [r.tanh() for r in x]


def in_a_table(x):
    h, n = count(x)
    return h * SCALE[n]


def in_a_function(x):
    h, n = count(x)
    return h * helper(n)


def in_a_test_of_what_is_made_of_it(x):
    n, h = 0, x[0]
    for r in x:
        h = h + r.tanh()
        n += 1
    m = n + 1
    if m > 4:
        h = h * 2
    return h.sin()


def after_another_call(x):
    n, h = 0, x[0]
    for r in x:
        h = h + r.tanh()
        n += 1
    return h.sin() * SCALE[n]


def the_last_index(x):
    h = x[0]
    for i in range(len(x)):
        h = h + x[i].tanh()
    return h * SCALE[i]


def the_length_of_a_list(x):
    made = listed(x)
    return torch.stack(made).sum(0) * helper(len(made))


def an_empty_rest(x):
    made = []
    for r in x:
        made.append(r.tanh())
    h = torch.stack(made).sum(0)
    return h if made[4:] else h * 2


class Method(nn.Module):
    def scale(self, n):
        return 2 if n > 4 else 1

    def forward(self, x):
        h, n = count(x)
        return h.sin() * self.scale(n)


@pytest.mark.parametrize("model", [
    in_a_table, in_a_function, in_a_test_of_what_is_made_of_it, after_another_call, the_last_index,
    the_length_of_a_list, an_empty_rest, Method(),
], ids=lambda m: getattr(m, "__name__", "a method"))  # fmt: skip
def test_what_a_count_decides_unseen_is_not_frozen_into_a_graph(model):
    graph = flexir.capture(model, (torch.rand(2, 3),), also=[(torch.rand(3, 3),)])
    for rows in (2, 3, 7):
        x = torch.rand(rows, 3)
        try:
            assert equal(graph(x), model(x)), rows
        except flexir.Diverged:
            assert rows == 7


def test_a_count_that_reaches_a_call_or_an_output_is_live():
    def model(x):
        made = listed(x)
        h, n = count(x)
        return h * n + len(made[0]), n

    graph = flexir.capture(model, (torch.rand(2, 3),), also=[(torch.rand(3, 3),)])
    x = torch.rand(7, 3)
    assert not graph.variants and equal(graph(x), model(x)) and graph(x)[1] == 7


def test_what_is_set_again_is_not_read_after_it():
    def straight(n):
        here()  # noqa: F821
        n = 0
        return f(n)  # noqa: F821

    def left_before(x, n):
        for _ in x:
            here()  # noqa: F821
            if x:
                break
            n = 0
        return f(n)  # noqa: F821

    def sometimes(x, n):
        here()  # noqa: F821
        if x:
            n = 0
        return f(n)  # noqa: F821

    for made, seen in ((straight, None), (left_before, "f(n)"), (sometimes, "f(n)")):
        code = made.__code__
        own = parsed.function_of(code)
        (call,) = (n for n in ast.walk(own) if isinstance(n, ast.Call) and n.func.id == "here")
        at = next(2 * i for i, s in enumerate(parsed.spans(code)) if s[0] == call.lineno)
        kinds = {code: {n: "users" for n in ast.walk(own) if isinstance(n, ast.Call)}}
        assert unseen(((code, at),), 0, "n", Known((), kinds, {})) == seen


def test_none_is_asked_of_what_never_is():
    def model(n):
        if n is None:
            return 1

    stack = ((model.__code__, -1),)
    assert unseen(stack, 0, "n", NOTHING) == "n is None"
    assert unseen(stack, 0, "n", NOTHING, is_none=False) is None


def test_what_was_evaluated_for_good_is_not_read_any_more(tmp_path):
    def at_the_last_call(text):
        code = function_of(f"def f(n, x):\n{text}", tmp_path)
        at = max(
            2 * k for k, one in enumerate(parsed.spans(code)) if one[0] == text.count("\n") + 1
        )
        return unseen(((code, at),), 0, "n", NOTHING)

    assert at_the_last_call("    if n: pass\n    return g(x)\n") is None
    assert at_the_last_call("    y = [n[i] > 1 for i in x]\n    return g(x)\n") is None
    assert at_the_last_call("    def h(): return n > 1\n    return g(x)\n")
    assert at_the_last_call("    y = (n > i for i in x)\n    return g(x)\n")
    assert at_the_last_call("    for _ in x:\n        if n: pass\n        g(x)\n")
