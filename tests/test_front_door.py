"""The front door: functions beside methods, one signature each; the types say what a verb takes."""

import inspect
import re
import subprocess
import sys
import typing

import pytest
import torch

import flexir
from flexir.conversion.convert import Result


def parameters(function):
    found = [(p.name, p.default, p.kind) for p in inspect.signature(function).parameters.values()]
    return found[1:]


@pytest.mark.parametrize("verb", ["save", "draw", "golden"])
def test_a_method_has_the_parameters_of_the_function(verb):
    assert parameters(getattr(flexir.Graph, verb)) == parameters(getattr(flexir, verb))


@pytest.mark.parametrize("verb", ["save", "draw"])
def test_a_result_has_them_but_for_the_status_it_knows(verb):
    of_graph = [p for p in parameters(getattr(flexir.Graph, verb)) if p[0] != "status"]
    assert parameters(getattr(Result, verb)) == of_graph


def test_no_public_function_takes_options_of_any_kind():
    for name in dir(flexir):
        thing = getattr(flexir, name)
        if inspect.isfunction(thing):
            for p in inspect.signature(thing).parameters.values():
                assert p.kind is not p.VAR_KEYWORD, (name, p)


def test_every_status_of_a_result_is_one_of_those_its_type_lists():
    from flexir.conversion.claims import Status

    def f(x):
        y = x.sin().contiguous().gelu() if hasattr(x, "gelu") else x.sin().contiguous()
        return torch.relu(y).exp() if y.sum() > -1e9 else y

    ir = flexir.Target("some")

    @ir.op("sin")
    def sin(ctx, input):
        return "made"

    @ir.op("relu")
    def relu(ctx, input):
        raise flexir.Unsupported("no")

    status = flexir.convert(f, (torch.ones(2),), ir).status.values()
    assert {"handled", "passed", "refused", "placeholder", "escape"} <= set(status)
    assert set(status) <= set(typing.get_args(Status))


def test_a_graph_is_converted_by_its_target_and_a_model_on_inputs():
    ir, x = flexir.Target("either"), torch.ones(2)
    graph = flexir.capture(torch.relu, (x,))
    made = [flexir.convert(graph, ir), flexir.convert(graph, target=ir),
            flexir.convert(torch.relu, (x,), ir),
            flexir.convert(torch.relu, x, target=ir)]  # fmt: skip
    assert [r.report.placeholders for r in made] == [1, 1, 1, 1]


def test_examples_make_sizes_live_in_a_conversion():
    ir = flexir.Target("live")
    result = flexir.convert(torch.relu, (torch.ones(2),), ir, also=[torch.ones(3)])
    assert result.graph(torch.ones(5)).shape == (5,)


USER = """
import torch, flexir
from typing import Any

graph = flexir.capture(torch.relu, (torch.ones(1),))
ir = flexir.Target("typed")
reveal_type(flexir.convert(graph, ir))
reveal_type(flexir.convert(torch.relu, (torch.ones(1),), ir))
reveal_type(flexir.compare(graph, {}))
reveal_type(flexir.compare("a", "b"))
reveal_type(graph.draw("x.html"))
reveal_type(flexir.verify(graph, torch.relu, (torch.ones(1),)).verdict)


@ir.op("relu")
def relu(ctx: flexir.Context[list[str]], input: Any) -> str:
    reveal_type(ctx.out)
    raise flexir.UnsupportedError("no")


flexir.save(graph, "x", weight="copy")
"""


def test_a_type_checker_knows_what_verbs_return_and_refuses_unknown_options(tmp_path, root):
    pytest.importorskip("mypy")
    (tmp_path / "user.py").write_text(USER)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent",
         "--ignore-missing-imports", "--cache-dir", str(tmp_path / "cache"), "user.py"],
        cwd=tmp_path, capture_output=True, text=True, env={"MYPYPATH": str(root / "src")},
    )  # fmt: skip
    found = re.findall(r'Revealed type is "([^"]+)"', done.stdout)
    names = [re.sub(r"[a-z_]+\.", "", one) for one in found]
    assert names[:5] == ["Result", "Result", "Comparison", "list[str]", "str"], done.stdout
    assert "Any" not in names[5]
    assert names[6] == "list[str]", done.stdout
    assert done.stdout.count("error:") == 1, done.stdout
    assert 'Unexpected keyword argument "weight"' in done.stdout, done.stdout


def test_what_a_call_does_besides_cannot_be_changed():
    node = flexir.capture(torch.relu, (torch.ones(1),)).nodes[0]
    with pytest.raises(AttributeError):
        node.effects.random = True
    assert node.effects._replace(random=True).random and not node.effects.random
