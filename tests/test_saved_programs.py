"""Graphs with branches and variants, and Programs, on disk: whole, shared, and not trusted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import types

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import flexir

pytest.importorskip("google.protobuf")
pytest.importorskip("safetensors")
from test_branches import _program as program_of
from test_branches import branches_of
from test_loops import sums
from test_program import Cached, Streamer, generate, recorded

from bench.fuzz_ir import seal
from flexir.files.ir import manifest, schema
from flexir.recording.proof import equal


def branching(x):
    y = x * 2 if x.sum() > 0 else x.exp() - 1
    if y[0] > 3:
        y = y + 1 if y.sum() > 5 else y.sin()
    return y * x.shape[0]


def branched():
    rows = [[1.0, 1.0], [-1.0, -1.0], [5.0, -9.0], [5.0, 9.0, 3.0], [-5.0, 9.0, 3.0]]
    first, *rest = [(torch.tensor(row),) for row in rows]
    return flexir.capture(branching, first, also=rest)


def outcome(graph, x):
    try:
        return graph(x.clone())
    except flexir.Diverged:
        return "diverged"


def same_bytes(one, other):
    assert sorted(os.listdir(one)) == sorted(os.listdir(other))
    return all((one / f).read_bytes() == (other / f).read_bytes() for f in os.listdir(one))


def minimum_reader(folder):
    return json.loads((folder / "manifest.json").read_text())["minimum_reader"]


# --- branches


def test_a_loaded_branch_takes_the_ways_the_saved_one_takes(tmp_path):
    graph = branched()
    assert len(branches_of(graph)) == 2 and not graph.variants
    graph.save(tmp_path / "a")
    loaded = flexir.load(tmp_path / "a")
    assert loaded.text() == graph.text() and len(branches_of(loaded)) == 2
    loaded.save(tmp_path / "b")
    assert same_bytes(tmp_path / "a", tmp_path / "b")
    torch.manual_seed(0)
    made = [outcome(graph, 4 * torch.randn(n % 3 + 1)) for n in range(30)]
    torch.manual_seed(0)
    again = [outcome(loaded, 4 * torch.randn(n % 3 + 1)) for n in range(30)]
    assert equal(made, again)
    assert sum(isinstance(one, torch.Tensor) for one in made) > 9


def test_a_branch_within_a_branch_within_a_module(tmp_path):
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.other = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x):
            if x.sum() > 0:
                return self.body(x) if x[0] > 1 else self.other(x)
            return x

    model = nn.Sequential(Block(), nn.ReLU())
    rows = [torch.tensor(row) for row in ([2.0, 2.0], [0.5, 1.0], [-1.0, -1.0])]
    with torch.no_grad():
        graph = flexir.capture(model, (rows[0],), also=[(row,) for row in rows[1:]])
        graph.save(tmp_path / "net")
        loaded = flexir.load(tmp_path / "net")
        assert loaded.text() == graph.text()
        for row in (*rows, torch.tensor([3.0, 1.0]), torch.tensor([0.1, 0.1])):
            assert torch.equal(loaded(row), model(row))


def test_a_loaded_branch_gives_the_graph_of_one_path(tmp_path):
    branched().save(tmp_path / "net")
    x = torch.tensor([-2.0, 1.0])
    static = flexir.load(tmp_path / "net").at((x,))
    assert not branches_of(static) and torch.equal(static(x), branching(x))


def test_readers_of_before_refuse_branches_and_read_the_rest(tmp_path, monkeypatch):
    branched().save(tmp_path / "branched")
    flexir.capture(torch.relu, (torch.ones(2),)).save(tmp_path / "straight")
    assert minimum_reader(tmp_path / "branched") == 5
    assert minimum_reader(tmp_path / "straight") == 1
    monkeypatch.setattr(manifest, "VERSION", 3)
    flexir.load(tmp_path / "straight")
    with pytest.raises(flexir.FormatError, match="Install a newer"):
        flexir.load(tmp_path / "branched")


# --- loops


def test_a_loaded_loop_runs_as_often_as_the_saved_one(tmp_path):
    graph = sums(ends=("condition", "count"), least=2)
    graph.save(tmp_path / "a")
    loaded = flexir.load(tmp_path / "a")
    assert loaded.text() == graph.text()
    loaded.save(tmp_path / "b")
    assert same_bytes(tmp_path / "a", tmp_path / "b")
    for n in (2, 7):
        x = torch.rand(n, 3)
        assert equal(loaded(x), graph(x))
    with pytest.raises(flexir.Diverged, match="no example showed so few"):
        loaded(torch.rand(1, 3))


def _without_length(m):
    listed = next(t for t in m.types if t.list)
    listed.ClearField("shape"), listed.ClearField("names")


LOOP_EDITS = {
    "ends: ": lambda m: the_branch(m).ends.append("exhaustion"),
    "'loop' has one": lambda m: the_branch(m).blocks.add(),
    "other parameters or outputs": lambda m: the_branch(m).blocks[0].outputs.pop(),
    "has count, carried, inputs": lambda m: the_branch(m).arg_names.reverse(),
    "a list without a length": _without_length,
}


@pytest.mark.parametrize("words", LOOP_EDITS)
def test_an_unsound_loop_with_fitting_checksums_is_refused(words, tmp_path):
    sums().save(tmp_path / "net")
    change(tmp_path / "net", LOOP_EDITS[words])
    with pytest.raises(flexir.FormatError, match=words):
        flexir.load(tmp_path / "net")


# --- variants


class Varied(nn.Module):
    """No graph holds both ways: they meet with tensors of other ranks."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(64, 64)

    def forward(self, x):
        return self.body(x) * 2 if x.dim() == 1 else self.body(x[0]).unsqueeze(0).exp()


def test_variants_share_the_weights(tmp_path):
    model = Varied()
    examples = [(torch.rand(64),), (torch.rand(3, 64),)]
    with torch.no_grad():
        graph = flexir.capture(model, examples[0], also=examples[1:])
        assert len(graph.variants) == 1
        graph.save(tmp_path / "both")
        flexir.capture(model, examples[0]).save(tmp_path / "one")
        loaded = flexir.load(tmp_path / "both")
        assert loaded.text() == graph.text() and "\nor graph Varied(" in loaded.text()
        for (x,) in (*examples, (torch.rand(2, 64),)):
            assert equal(outcome(loaded, x), outcome(graph, x))
        sizes = [
            (tmp_path / n / "weights-00001.safetensors").stat().st_size for n in ("both", "one")
        ]
        assert sizes[0] == sizes[1]
        loaded.save(tmp_path / "again")
    assert same_bytes(tmp_path / "both", tmp_path / "again")
    assert minimum_reader(tmp_path / "both") == 5


# --- Programs


def stored(folder):
    return sum(f.stat().st_size for f in folder.glob("*.safetensors"))


def test_a_loaded_program_answers_for_a_model_without_weights(tmp_path):
    torch.manual_seed(0)
    net = Cached().eval()
    with torch.no_grad():
        with flexir.record(net) as program:
            generate(net, torch.tensor([[1, 2, 3]]), 4)
            generate(net, torch.tensor([[5, 2, 3, 1, 1]]), 2)
        flexir.save(program, tmp_path / "net")
        loaded = flexir.load(tmp_path / "net")
        assert isinstance(loaded, flexir.Program) and list(loaded) == ["prefill", "decode"]
        assert loaded.text() == program.text()
        ids = torch.tensor([[4, 4, 1, 9, 0, 2, 7]])
        wanted, empty = generate(net, ids, 12), Cached().to("meta")
        with loaded.answering(empty):
            assert torch.equal(generate(empty, ids, 12), wanted)
    loaded.save(tmp_path / "again")
    assert same_bytes(tmp_path / "net", tmp_path / "again")


def test_entry_points_store_their_weights_once(tmp_path):
    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(200, 200)

        def forward(self, x):
            return self.body(x)

        def twice(self, x):
            return self.body(self.body(x))

    net, x = Wide(), torch.rand(1, 200)
    entries = {"a": (x,), "b": (net.twice, (x,)), "c": (torch.rand(2, 200),)}
    flexir.program(net, entries).save(tmp_path / "three")
    flexir.program(net, {"a": (x,)}).save(tmp_path / "one")
    assert stored(tmp_path / "three") <= 1.01 * stored(tmp_path / "one")
    loaded = flexir.load(tmp_path / "three")
    weights = [{v.name: t for v, t in g.constants.items()}["body.weight"] for g in loaded.values()]
    assert weights[0] is weights[1] is weights[2]


def test_state_goes_on_from_where_each_run_began(tmp_path):
    torch.manual_seed(0)
    program = recorded(Streamer().eval())
    program.save(tmp_path / "net")
    loaded = flexir.load(tmp_path / "net")
    one, other = program.start(), loaded.start()
    for entry in ("peek", "step", "step", "peek", "reset", "peek", "step"):
        args = {"step": (torch.rand(2, 4),), "peek": (), "reset": (torch.rand(4),)}[entry]
        assert torch.equal(one[entry](*args), other[entry](*args)), entry
    assert torch.equal(one.state["memory"], other.state["memory"])
    assert all(torch.equal(program[n].constants[v], tensor) for n in ("step", "peek")
               for v in program[n].constants
               for w, tensor in loaded[n].constants.items() if w.name == v.name)  # fmt: skip


def test_what_one_entry_point_returns_the_other_takes_without_the_models_classes(tmp_path):
    made = types.ModuleType("of_the_model")
    exec("class Cache:\n    def __init__(self, t): self.seen = t", vars(made))
    sys.modules["of_the_model"] = made

    class Net(nn.Module):
        def forward(self, x, cache=None):
            return x + 1, made.Cache(x if cache is None else cache.seen + x)

    net, x = Net(), torch.rand(3)
    try:
        with flexir.record(net) as program:
            _, cache = net(x)
            net(x, cache)
        program.save(tmp_path / "net")
    finally:
        del sys.modules["of_the_model"]
    loaded = flexir.load(tmp_path / "net")
    _, cache = loaded["prefill"](x)
    assert type(cache).__name__ == "Cache" and type(cache) is not made.Cache
    _, cache = loaded["decode"](x, cache)
    assert torch.equal(cache.seen, x + x)


def test_a_program_by_reference_copies_nothing(tmp_path):
    from safetensors.torch import save_file

    net, x = nn.Linear(30, 30), torch.rand(2, 30)
    save_file(dict(net.state_dict()), tmp_path / "net.safetensors")
    with torch.no_grad():
        program = flexir.program(net, {"a": (x,), "b": (x[:1],)})
    flexir.save(program, tmp_path / "net", weights=f"reference:{tmp_path}/*.safetensors")
    assert stored(tmp_path / "net") == 0
    loaded = flexir.load(tmp_path / "net", weights=tmp_path)
    assert torch.equal(loaded["b"](x[:1]), program["b"](x[:1]))
    with pytest.raises(flexir.FormatError, match=r"is not in this directory, but in .*net\.safet"):
        flexir.load(tmp_path / "net")["a"](x)


def test_the_meta_device_needs_no_data_in_a_program(tmp_path):
    net = nn.Linear(3, 3, device="meta")
    x = torch.rand(2, 3, device="meta")
    flexir.program(net, {"a": (x,), "b": (x[:1],)}).save(tmp_path / "net")
    assert flexir.load(tmp_path / "net")["a"](x).shape == (2, 3)


# --- every program, whatever its ways


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=4), st.integers(0, 10**6), st.booleans())
def test_random_programs_come_back_as_they_were(tmp_path_factory, choices, seed, several):
    model = program_of(choices)
    generator = torch.Generator().manual_seed(seed)

    def draw():
        size = int(torch.randint(2, 6, (), generator=generator))
        return (2 * torch.randn(size, generator=generator),)

    folder = tmp_path_factory.mktemp("random") / "net"
    first, *also = [draw() for _ in range(4)]
    graph = flexir.capture(model, first, also=also)
    saved = flexir.Program("random", {"a": graph, "b": flexir.capture(model, draw())})
    flexir.save(saved if several else graph, folder)
    loaded = flexir.load(folder)
    assert loaded.text() == (saved if several else graph).text()
    pairs = [(saved[n], loaded[n]) for n in saved] if several else [(graph, loaded)]
    for one, other in pairs:
        for x in (first, *also, draw(), draw()):
            assert equal(outcome(one, *x), outcome(other, *x))


# --- nothing is trusted


def change(folder, edit, kind="graph"):
    message = schema.MESSAGES[kind]()
    message.ParseFromString((folder / f"{kind}.pb").read_bytes())
    edit(message)
    (folder / f"{kind}.pb").write_bytes(message.SerializeToString())
    seal(folder)


def the_branch(m):
    return next(node for node in m.nodes if len(node.blocks))


def the_inside(m, block=0):
    number = next(i for i, node in enumerate(m.nodes, 1) if len(node.blocks))
    return [n for n in m.nodes if n.parent_plus1 == number and n.block == block]


def _outside(m):
    """A block reads what stands around it."""
    inside = the_inside(m)[0]
    around = next(i for i, d in enumerate(m.data) if d.WhichOneof("kind") == "value"
                  and d.value == m.nodes[0].outputs[0])  # fmt: skip
    inside.arg_data[0] = around


def _leak(m):
    """What a block makes is read outside."""
    m.data.add().value = the_inside(m)[0].outputs[0]
    m.outputs = len(m.data) - 1


EDITS = {
    "no module or block still open": lambda m: setattr(the_inside(m)[0], "block", 7),
    "'if' has two, 'loop' has one": lambda m: the_branch(m).blocks.add(),
    "blocks: 2 of": lambda m: setattr(the_branch(m), "op", m.nodes[0].op),
    "blocks.parameters: refers to": lambda m: the_branch(m).blocks[0].parameters.append(10**6),
    "refers to data": lambda m: the_branch(m).blocks[1].outputs.append(10**6),
    "other parameters or outputs": lambda m: the_branch(m).blocks[1].outputs.append(0),
    "other parameters": lambda m: the_branch(m).blocks[0].ClearField("parameters"),
    "used before it is made": _outside,
    "is a result of the graph but nothing makes it": _leak,
    "two values are named": lambda m: setattr(m.values[the_branch(m).blocks[1].parameters[0]],
                                              "name", m.values[0].name),
    "but has a producer": lambda m: the_branch(m).blocks[0].parameters.__setitem__(
        0, the_inside(m)[0].outputs[0]),
    "in a block of": lambda m: the_branch(m).blocks[0].outputs.__setitem__(
        0, m.nodes[0].arg_data[0] if m.data[m.nodes[0].arg_data[0]].WhichOneof("kind") == "none"
        else next(i for i, d in enumerate(m.data) if d.WhichOneof("kind") == "integer")),
    "the condition is no number": lambda m: the_branch(m).arg_data.__setitem__(
        0, m.nodes[0].arg_data[0]),
    "a call with blocks has condition, inputs": lambda m: the_branch(m).arg_data.__setitem__(
        1, the_branch(m).arg_data[0]),
    "no kind of number": lambda m: setattr(
        next(t for t in m.types if t.number), "number", "complex"),
    "variants or weight_files of its own": lambda m: m.variants.add().variants.add(),
}  # fmt: skip


@pytest.mark.parametrize("words", EDITS)
def test_an_unsound_branch_with_fitting_checksums_is_refused(words, tmp_path):
    branched().save(tmp_path / "net")
    change(tmp_path / "net", EDITS[words])
    with pytest.raises(flexir.FormatError, match=words.strip()):
        flexir.load(tmp_path / "net")


def test_blocks_nested_without_end_are_refused(tmp_path):
    branched().save(tmp_path / "net")

    def edit(m):
        branch = the_branch(m)
        for _ in range(400):
            copy = m.nodes.add()
            copy.CopyFrom(branch)
            copy.parent_plus1, copy.block = len(m.nodes) - 1, 1

    change(tmp_path / "net", edit)
    with pytest.raises(flexir.FormatError):
        flexir.load(tmp_path / "net")


PROGRAM_EDITS = {
    "it is there twice": lambda m: m.entries.append(m.entries[0]),
    "those of the whole program": lambda m: m.entries[0].graph.weight_files.append("x"),
    "weights files": lambda m: setattr(m.entries[1].graph.constants[0].parts[0], "file", 9),
    "is one thing in": lambda m: m.entries[1].graph.constants[0].parts[0].CopyFrom(
        m.entries[1].graph.constants[1].parts[0]),
}  # fmt: skip


@pytest.mark.parametrize("words", PROGRAM_EDITS)
def test_an_unsound_program_is_refused(words, tmp_path):
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Parameter(torch.rand(3)), nn.Parameter(torch.rand(3))

        def forward(self, x):
            return x * self.a + self.b

    flexir.program(Pair(), {"one": (torch.rand(3),), "two": (torch.rand(2, 3),)}).save(
        tmp_path / "net"
    )
    change(tmp_path / "net", PROGRAM_EDITS[words], "program")
    with pytest.raises(flexir.FormatError, match=words):
        flexir.load(tmp_path / "net")


def test_a_directory_holds_a_graph_or_a_program(tmp_path):
    net, x = nn.Linear(3, 3), torch.rand(2, 3)
    flexir.capture(net, (x,)).save(tmp_path / "graph")
    flexir.program(net, {"a": (x,)}).save(tmp_path / "program")
    content = json.loads((tmp_path / "program" / "manifest.json").read_text())
    for name in ("graph.pb", "graph.txt"):
        shutil.copy(tmp_path / "graph" / name, tmp_path / "program" / name)
        content["files"][name] = {"size": 0, "sha256": ""}
    (tmp_path / "program" / "manifest.json").write_text(json.dumps(content))
    seal(tmp_path / "program")
    with pytest.raises(flexir.FormatError, match=r"graph\.pb and graph\.txt \(or program\.pb"):
        flexir.load(tmp_path / "program")


def test_the_cpp_reader_refuses_what_it_does_not_know(tmp_path, root):
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler here")
    program = tmp_path / "read_flexir"
    source = root / "examples" / "read_flexir.cpp"
    subprocess.run([compiler, "-std=c++17", "-O1", str(source), "-o", str(program)], check=True)
    branched().save(tmp_path / "branched")
    flexir.program(nn.Linear(3, 3), {"a": (torch.rand(2, 3),)}).save(tmp_path / "program")
    for name in ("branched", "program"):
        done = subprocess.run([program, tmp_path / name], capture_output=True, text=True)
        assert done.returncode == 1 and "needs a reader of version 5" in done.stderr, done.stderr


# --- what else takes Programs and branches


class Doubles(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(3, 3)

    def forward(self, x):
        return self.body(x)

    def twice(self, x):
        return self.body(x) * 2

    def thrice(self, x):
        return self.body(x) * 3


def doubles():
    torch.manual_seed(0)
    net = Doubles()
    return net, flexir.program(
        net, {"once": (torch.rand(2, 3),), "twice": (net.twice, (torch.rand(2, 3),))}
    )


def test_differences_of_programs_are_named_by_entry_point(tmp_path):
    net, program = doubles()
    program.save(tmp_path / "net")
    assert not flexir.diff(tmp_path / "net", program)
    with torch.no_grad():
        net.body.bias += 1
    x = torch.rand(2, 3)
    other = flexir.program(net, {"once": (x,), "twice": (net.thrice, (x,))})
    found = flexir.diff(tmp_path / "net", other)
    assert list(found.modules) == ["entry twice: "] and "other=3" in str(found)
    assert len(found.weights) == 1 and "body.bias" in found.weights[0]
    less = flexir.Program("Doubles", {"once": program["once"]})
    assert flexir.diff(program, less).interface == ["- entry twice: 2 calls"]
    with pytest.raises(flexir.Error, match="a Program with a Program"):
        flexir.diff(program, program["once"])


def test_differences_inside_blocks_are_seen():
    def capture(scale):
        def model(x):
            return x * 2 if x.sum() > 0 else x.exp() * scale

        return flexir.capture(model, (torch.ones(2),), also=[(-torch.ones(2),)])

    assert not flexir.diff(capture(3), capture(3))
    found = str(flexir.diff(capture(3), capture(4)))
    assert "- else: mul(" in found and "other=4" in found


def test_differences_in_what_blocks_give_are_seen():
    def capture(many):
        def model(x):
            n = 1 if x.sum() > 0 else many
            return x.exp(), n

        return flexir.capture(model, (torch.ones(2),), also=[(-torch.ones(2),)])

    assert not flexir.diff(capture(3), capture(3)) and not capture(3).variants
    found = str(flexir.diff(capture(3), capture(4)))
    assert "- else: gives (3,)" in found and "+ else: gives (4,)" in found


def test_every_entry_point_is_converted_over_one_set_of_weights(tmp_path):
    net, program = doubles()
    seen = []
    ir = flexir.Target("lists", out=list)

    @ir.op("linear")
    def linear(ctx, input, weight, bias):
        seen.append(ctx.weight(weight).tensor.data_ptr())
        return torch.nn.functional.linear(input, net.body.weight, net.body.bias)

    @ir.op("mul")
    def mul(ctx, input, other):
        return input * other

    @ir.input
    def input(ctx, name, type):
        return torch.ones(2, 3)

    @ir.run
    def run(result, tensors):
        return [t for t in torch.utils._pytree.tree_leaves(result.outputs)]

    results = flexir.convert(program, ir)
    assert list(results) == ["once", "twice"] and results.complete and len(set(seen)) == 1
    x = torch.ones(2, 3)
    assert torch.equal(results.run("twice", x), net.twice(x))
    with pytest.raises(KeyError, match="no entry point 'thrice'"):
        results["thrice"]
    results.save(tmp_path / "net")
    loaded = flexir.load(tmp_path / "net")
    statuses = {loaded["twice"].status[node][0] for node in loaded["twice"]}
    assert statuses == {"handled"}
    with pytest.raises(flexir.TargetError, match="out is given by entry point: once, twice"):
        flexir.convert(program, ir, out=[])
    with pytest.raises(flexir.UnsupportedError) as caught:
        flexir.convert(program, flexir.Target("none", out=list), strict=True)
    assert "in the entry point 'once'" in str(getattr(caught.value, "__notes__", caught.value))


def test_what_takes_one_graph_says_how_to_name_an_entry_point(tmp_path):
    net, program = doubles()
    x = (torch.rand(2, 3),)
    words = r"takes one graph, and this Program has 2: give program\['once'\] or program\['twice'\]"
    calls = [
        lambda: flexir.draw(program, tmp_path / "net.html"),
        lambda: flexir.golden(program, tmp_path / "golden", x),
        lambda: flexir.verify(program, net, x),
        lambda: flexir.compare(program, {}, x),
        lambda: flexir.check_handlers(flexir.describe, program, x),
    ]
    for call in calls:
        with pytest.raises(flexir.Error, match=words):
            call()


def test_golden_values_of_blocks_and_rounds(tmp_path):
    from safetensors.torch import load_file

    graph = branched()
    flexir.golden(graph, tmp_path / "if", (torch.tensor([5.0, 9.0, 3.0]),))
    kept = load_file(tmp_path / "if" / "values.safetensors")
    inside = {v.name for n in branches_of(graph) for v in n.target.then.nodes[-1].outputs}
    assert inside & kept.keys()
    flexir.golden(sums(), tmp_path / "loop", (torch.rand(3, 3),))
    kept = load_file(tmp_path / "loop" / "values.safetensors")
    assert {"5", "5#2", "5#3"} <= kept.keys() and torch.equal(kept["7"][1], kept["5#2"])
    assert not flexir.compare(tmp_path / "loop", tmp_path / "loop")


@pytest.mark.parametrize("graph", [branched, sums])
def test_blocks_are_drawn(graph, tmp_path):
    made = graph()
    made.draw(tmp_path / "net.dot")
    text = (tmp_path / "net.dot").read_text()
    words = ["if: then", "if: else"] if made.name == "branching" else ["loop: body"]
    assert all(f'label="{word}"' in text for word in words)
    made.draw(tmp_path / "net.html", graphviz=False)
    page = (tmp_path / "net.html").read_text()
    assert all(word in page for word in words)


def test_the_command_names_entry_points(tmp_path, capsys):
    from flexir.cli import main

    _, program = doubles()
    path = str(tmp_path / "net")
    program.save(path)
    assert main(["show", path]) == 0 and "twice = graph twice(" in capsys.readouterr().out
    assert main(["ops", f"{path}:twice"]) == 0 and "mul" in capsys.readouterr().out
    assert main(["ops", path]) == 2
    assert f"give one of {path}:once, {path}:twice" in capsys.readouterr().err
    assert main(["ops", f"{path}:thrice"]) == 2 and "'thrice'" in capsys.readouterr().err
    assert main(["diff", path, path]) == 0 and "no difference" in capsys.readouterr().out
    assert main(["diff", f"{path}:once", f"{path}:twice"]) == 0
    assert "mul" in capsys.readouterr().out
    words = [f"{path}:once", f"{path}:twice", path]
    assert main(["plan", *words, "--cache", str(tmp_path / "cache"), "--jobs", "1"]) == 0
    assert "is a Program; give one of" in capsys.readouterr().out
