"""By halves: what is handled runs on the engine, the rest in torch; outputs are the model's."""

import pytest
import torch
from torch import nn

import flexir
from bench.hybrid import target_of


def places(hybrid):
    return [(r.place, [n.op for n in r.nodes]) for r in hybrid.report.regions]


def halved(model, args, ops, **options):
    with torch.no_grad():
        return flexir.hybrid(flexir.convert(model, args, target_of(ops)), **options)


def test_calls_of_a_kind_are_gathered_into_as_few_regions_as_data_flow_allows():
    def model(x):
        a, b = x.sin(), x.relu()  # two chains that do not meet before the end
        return a.relu().cos() + b.exp().relu()

    x = torch.randn(4)
    half = halved(model, (x,), ["sin", "cos", "exp"])
    assert places(half) == [
        ("engine", ["sin"]), ("torch", ["relu", "relu"]), ("engine", ["cos", "exp"]),
        ("torch", ["relu", "add"]),
    ]  # fmt: skip
    other = torch.randn(4)
    assert torch.equal(half(other), model(other))


def test_the_report_says_regions_bytes_and_time():
    half = halved(lambda x: x.sin().relu(), (torch.randn(4),), ["sin"])
    assert half.report.bytes == 32  # four floats in, four out
    assert "not run yet" in str(half.report)
    half(torch.randn(4))
    assert "not run yet" not in str(half.report) and half.report.regions[0].seconds > 0
    assert "1 of 2 calls in 1 regions on the engine, 32 bytes" in str(half.report).splitlines()[-1]


def test_the_report_counts_the_calls_of_every_region_and_the_bytes_of_those_on_the_engine():
    half = halved(lambda x: x.sin().sin().relu(), (torch.randn(4),), ["sin"])
    engine, rest, _ = str(half.report).splitlines()
    assert engine.split()[:2] == ["1", "engine"] and "2 calls" in engine and "sin ×2" in engine
    assert "32 B across" in engine
    assert rest.split()[:2] == ["2", "torch"] and "1 calls" in rest and "relu" in rest
    assert "across" not in rest and engine.index("not run yet") == rest.index("not run yet")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)

    def forward(self, x, mask=None):
        h = self.norm(self.a(x)).relu()
        h[:, 0] = 1.0
        if h.sum() > -1e9:  # a condition
            h = nn.functional.dropout(self.b(h) + self.a(x), 0.5)
        return {"h": h, "twice": (h, self.a.weight * 1.0), "x": x, "n": 3}


@pytest.mark.parametrize("keep", [0, 1], ids=["even", "odd"])
def test_writes_conditions_draws_and_structures_stay_the_models(keep):
    model, x = Net(), torch.randn(2, 4)
    graph = flexir.capture(model, (x,))
    kinds = sorted({n.op for n in graph if not n.effects.escape and not n.effects.random})
    half = halved(graph, (), kinds[keep::2])
    y = torch.randn(2, 4)
    expected, made = graph(y), half(y)
    assert made["n"] == 3 and made["x"] is y and made["twice"][0] is made["h"]
    assert torch.equal(made["h"], expected["h"])
    assert torch.equal(made["twice"][1], expected["twice"][1])


def test_a_module_taken_whole_is_one_call_of_a_region():
    ir = flexir.Target("whole", out=list)

    @ir.module(nn.Linear)
    def linear(ctx, module, input):
        ctx.out.append(module)
        return "made"

    @ir.run
    def run(result, tensors):
        (module,) = result.output
        return module(tensors[0]).detach().numpy()

    model, x = nn.Sequential(nn.Linear(3, 3), nn.ReLU()), torch.randn(2, 3)
    half = flexir.hybrid(flexir.convert(model, (x,), ir))
    assert places(half) == [("engine", ["Linear"]), ("torch", ["relu"])]
    assert torch.equal(half(x), model(x))


def test_what_a_handler_takes_in_the_whole_but_not_in_a_region_runs_in_torch():
    ir = target_of(["relu"])

    @ir.op("mul")
    def mul(ctx, input, other):
        if ctx.graph.name != "f":
            raise flexir.Unsupported("only here")
        return ctx.node

    def f(x):
        return (x * 2).relu()

    x = torch.randn(3)
    graph = flexir.capture(f, (x,))
    result = flexir.convert(graph, (), ir)
    assert result.report.complete
    graph.name = "other"  # so that the regions are of another name
    half = flexir.hybrid(result)
    assert places(half) == [("torch", ["mul"]), ("engine", ["relu"])]
    assert torch.equal(half(x), f(x))


def test_a_target_without_an_engine_says_what_it_needs():
    result = flexir.convert(torch.relu, (torch.ones(1),), flexir.Target("none"))
    with pytest.raises(flexir.errors.TargetError, match="@ir.run"):
        flexir.hybrid(result)
    half = flexir.hybrid(result, run=lambda result, tensors: tensors)
    assert places(half) == [("torch", ["relu"])]


def test_an_engine_that_returns_another_type_is_named_with_the_call():
    ir = target_of(["sin"])
    ir.hooks["run"] = lambda result, tensors: [tensors[0].double()]
    half = flexir.hybrid(flexir.convert(lambda x: x.sin(), (torch.ones(2),), ir))
    with pytest.raises(flexir.errors.HandlerError, match=r"float64 for %1.*test_hybrid.py"):
        half(torch.ones(2))
