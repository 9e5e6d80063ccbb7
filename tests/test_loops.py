"""Loops by example: one graph for every number of rounds; what nobody showed is refused."""

from __future__ import annotations

import pytest
import torch

import flexir
from flexir.calls.signatures import LOOP
from flexir.graph import numbers
from flexir.graph.choice import Block, Loop, every, is_loop
from flexir.graph.graph import Graph
from flexir.graph.nodes import Dim, ListType, Node, NumberType, TensorType, Value
from flexir.recording.examples import equal
from flexir.recording.trace import signature_of

F32 = torch.float32
CPU = torch.device("cpu")


def _call(func, args, type, name):
    node = Node(func.__name__, func, args, signature=signature_of(func, tuple(args)))
    node.outputs = (node_value := Value(name, type, node),)
    node.result = node_value
    return node, node_value


def sums(ends=("count",), least=0):
    """A graph made by hand: the running sums of the rows of x."""
    n = Dim(2, "N")
    x = Value("x", TensorType(F32, (n, 3), CPU))
    size, count = _call(numbers.size, {"input": x, "dim": 0}, NumberType(int, 2), "1")
    zeros, start = _call(torch.zeros_like, {"input": x}, TensorType(F32, (n, 3), CPU), "2")
    row_type = TensorType(F32, (3,), CPU)
    first, zero = _call(torch.select, {"input": start, "dim": 0, "index": 0}, row_type, "3")
    index, h = Value("i", NumberType(int, 0)), Value("h", row_type)
    inner = Value("xs", x.type)
    select, row = _call(torch.select, {"input": inner, "dim": 0, "index": index}, row_type, "4")
    add, made = _call(torch.add, {"input": h, "other": row}, row_type, "5")
    body = Block((index, h, inner), [select, add], (True, made, made))
    loop = Node(
        "loop", Loop(body, ends, least),
        {"count": count, "carried": (zero,), "inputs": (x,)}, signature=LOOP,
    )  # fmt: skip
    last, all_of_them = Value("6", row_type, loop), Value("7", ListType(n, row_type), loop)
    loop.outputs = loop.result = (last, all_of_them)
    stack, stacked = _call(torch.stack, {"tensors": all_of_them}, x.type, "8")
    nodes = [size, zeros, first, loop, stack]
    return Graph("sums", [("x", 1)], {"x": x}, (last, stacked), nodes).check()


def test_a_loop_runs_as_often_as_its_count_says():
    graph = sums()
    for n in (1, 2, 7):
        x = torch.randint(9, (n, 3)).float()  # sums in any order are equal
        last, all_of_them = graph(x)
        assert torch.equal(all_of_them, torch.stack([x[: k + 1].sum(0) for k in range(n)]))
        assert torch.equal(last, all_of_them[-1])


def test_a_loop_prints_its_body():
    text = str(sums())
    assert "list[N] of f32[3] = loop(" in text and "carried=(%3,)" in text
    assert "body (%i: int, %h: f32[3], %xs: f32[N,3]):" in text
    assert "return (True, %5, %5)" in text


def test_a_loop_at_one_size_is_unrolled():
    static = sums().at((torch.rand(3, 3),))
    assert [node.op for node in static].count("add") == 3 and "loop" not in str(static)
    x = torch.rand(3, 3)
    assert torch.equal(static(x)[0], sums()(x)[0])
    with pytest.raises(flexir.Diverged):
        static(torch.rand(4, 3))


def test_an_end_that_no_example_showed_is_refused():
    with pytest.raises(flexir.Diverged, match="ran through after 2 rounds; no example showed"):
        sums(ends=("condition",))(torch.rand(2, 3))
    with pytest.raises(flexir.Diverged, match="2 rounds on these inputs"):
        sums(least=3)(torch.rand(2, 3))


def right(graph, model, *inputs):
    return equal(graph(*(x.clone() for x in inputs)), model(*inputs))


def loops_of(graph):
    return [node for node in every(graph.nodes) if is_loop(node)]


def shown(model, *examples):
    """The graph of these examples, which has loops and no variants."""
    graph = flexir.capture(model, examples[0], also=examples[1:])
    assert loops_of(graph) and not graph.variants and not graph.frozen
    for one in examples:
        assert right(graph, model, *one)
    return graph


def of_lengths(*lengths, width=3):
    return [(torch.rand(n, width),) for n in lengths]


def test_a_carried_value_and_what_is_collected():
    def model(x):
        h = torch.zeros_like(x[0])
        outs = []
        for t in range(x.shape[0]):
            h = torch.tanh(h + x[t])
            outs.append(h)
        return torch.stack(outs), h

    graph = shown(model, *of_lengths(2, 4))
    for n in (1, 3, 9):
        assert right(graph, model, torch.rand(n, 3))


def test_rows_of_a_tensor_and_of_a_comprehension():
    def model(x):
        made = [row.relu() * 2 for row in x]
        for row in x[1:]:
            made.append(row.exp())
        return torch.cat(made)

    graph = shown(model, *of_lengths(2, 4, 3))
    for n in (2, 3, 9):
        assert right(graph, model, torch.rand(n, 3))


def test_modules_in_a_loop():
    torch.manual_seed(0)
    cell = torch.nn.LSTMCell(3, 4)

    class Recurrent(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = cell

        def forward(self, x):
            h = c = torch.zeros(x.shape[0], 4)
            outs = []
            for t in range(x.size(1)):
                h, c = self.cell(x[:, t], (h, c))
                outs.append(h)
            return torch.stack(outs, dim=1), (h, c)

    model = Recurrent()
    with torch.no_grad():
        graph = shown(model, *[(torch.rand(b, n, 3),) for b, n in ((2, 3), (2, 5), (4, 2))])
        for b, n in ((3, 1), (1, 9)):
            assert right(graph, model, torch.rand(b, n, 3))


def test_reads_and_writes_at_the_index_backwards():
    def model(x):
        out, s = torch.zeros_like(x), torch.zeros(3)
        for i in range(len(x) - 1, -1, -1):
            s = s * 0.5 + x[i]
            out[i] = s * 2
        return out

    graph = shown(model, *of_lengths(2, 4, 3))
    for n in (1, 3, 9):
        assert right(graph, model, torch.rand(n, 3))


def test_a_loop_in_a_loop():
    def model(x):
        out = []
        for i in range(x.shape[0]):
            acc = torch.zeros(())
            for j in range(x.shape[1]):
                acc = (acc + x[i, j]).tanh()
            out.append(acc)
        return torch.stack(out)

    graph = shown(model, *[(torch.rand(*size),) for size in ((2, 3), (3, 2), (4, 5))])
    for size in ((1, 7), (6, 2), (1, 1)):
        assert right(graph, model, torch.rand(*size))


def test_a_branch_in_a_loop():
    def model(x):
        h, kept = torch.zeros(3), [torch.zeros(3)]
        for row in x:
            if row.sum() > 1.5:
                h = h + row
                kept.append(h)
            else:
                h = h * 0.9
        return h, torch.stack(kept)

    torch.manual_seed(0)
    graph = shown(model, *of_lengths(3, 5, 6))
    for n in (1, 4, 9):
        assert right(graph, model, torch.rand(n, 3))


def test_a_loop_that_ends_early():
    def model(x):
        for _ in range(10):
            x = x * 1.5
            if x.sum() > 20:
                break
            x = x + 0.1
        return x * 2

    graph = shown(model, *[(torch.ones(3) * k,) for k in (0.02, 2.0, 5.0)])
    for k in (0.001, 0.5, 1.0, 20.0):
        assert right(graph, model, torch.ones(3) * k)


def test_an_end_that_was_not_shown_is_refused():
    def model(x):
        for _ in range(6):
            x = x * 1.5
            if x.sum() > 20:
                break
        return x

    graph = shown(model, *[(torch.ones(3) * k,) for k in (2.0, 5.0)])
    assert right(graph, model, torch.ones(3))
    with pytest.raises(flexir.Diverged, match="ran through after 6 rounds; no example showed"):
        graph(torch.ones(3) * 0.01)


def test_greedy_decoding_until_the_last_token():
    torch.manual_seed(1)
    embed, head = torch.nn.Embedding(11, 5), torch.nn.Linear(5, 11)

    def model(ids):
        while True:
            logits = head(embed(ids).cumsum(0)[-1].sin())
            token = logits.argmax()
            ids = torch.cat([ids, token[None]])
            if token == 3 or ids.shape[0] > 9:
                break
        return ids

    prompts = [(torch.tensor([i]),) for i in range(11)]
    with torch.no_grad():
        graph = shown(model, *prompts[:5])
        for prompt in prompts[5:]:
            assert right(graph, model, *prompt)


def test_no_round_in_one_example():
    def model(x):
        h = torch.ones(3)
        for i in range(x.shape[0] - 1):
            h = h + x[i]
        return h.exp()

    graph = shown(model, *of_lengths(2, 4, 1))
    for n in (1, 3, 9):
        assert right(graph, model, torch.rand(n, 3))
    shown_some = shown(model, *of_lengths(2, 4))
    with pytest.raises(flexir.Diverged, match="0 rounds on these inputs; no example showed so few"):
        shown_some(torch.rand(1, 3))


def test_a_test_on_the_number_of_the_round_is_never_silently_wrong():
    def model(x):
        for i in range(x.shape[0]):
            x = x + 1 if i < 3 else x * 2
        return x

    graph = flexir.capture(model, (torch.rand(2, 3),), also=[(torch.rand(3, 3),)])
    with pytest.raises(flexir.Diverged):
        graph(torch.rand(7, 3))


def test_a_loop_over_modules_stays_unrolled():
    torch.manual_seed(0)
    net = torch.nn.ModuleList(torch.nn.Linear(3, 3) for _ in range(4))

    def model(x, n):
        for one in net[: int(n)]:
            x = one(x).relu()
        return x

    x = torch.rand(2, 3)
    examples = [(x, torch.tensor(n)) for n in (2, 3)]
    with torch.no_grad():
        graph = flexir.capture(model, examples[0], also=examples[1:])
        assert not loops_of(graph)
        for one in examples:
            assert right(graph, model, *one)
        with pytest.raises(flexir.Diverged):
            graph(x, torch.tensor(4))


def test_a_loop_at_the_sizes_of_an_input_is_unrolled_and_exact():
    def model(x):
        h = x[:1] * 2
        for row in x.split(1):
            if row.sum() > 1.5:
                h = h + row
        return [h, *x.split(1)]

    torch.manual_seed(0)
    graph = shown(model, *of_lengths(2, 5, 6))
    x = torch.rand(4, 3)
    static = graph.at((x,))
    assert not loops_of(static) and right(static, model, x)


def test_a_graph_with_loops_and_lists_comes_back_from_disk(tmp_path):
    def model(x):
        made = [x[0]]
        for row in x.split(1):
            if row.sum() > 1.5:
                made.append(row[0] * 2)
        total = torch.zeros(3)
        for one in made:
            total = total.sin() + one
        return torch.stack(made), total, made

    torch.manual_seed(0)
    graph = shown(model, *of_lengths(3, 5, 6, 2))
    graph.save(tmp_path / "net.flexir")
    loaded = flexir.load(tmp_path / "net.flexir")
    assert loaded.text() == graph.text()
    for n in (2, 4, 9):
        x = torch.rand(n, 3)
        assert right(graph, model, x) and right(loaded, model, x)


READINGS = ["h * n", "h * (2 if n == 1 else 3)", "torch.stack(made).sum(0)",
            "torch.stack([*made]).sum(0)", "sum(made) * 2"]  # fmt: skip


@pytest.mark.parametrize("reading", READINGS)
def test_what_only_some_rounds_count_or_collect_is_right_or_refused(reading, tmp_path):
    source = f"""
import torch

def model(x):
    h, n, made = x[0] * 0, 0, [x[0]]
    for row in x:
        h = h.tanh()
        if row.sum() > 1.5:
            n += 1
            made.append(row * 2)
    return {reading}
"""
    (tmp_path / "net.py").write_text(source)
    space = {}
    exec(compile(source, str(tmp_path / "net.py"), "exec"), space)
    model = space["model"]
    low, high = torch.full((1, 3), 0.1), torch.full((1, 3), 0.9)
    examples = [torch.cat(rows) for rows in ((low, high), (high, low, high), (high, low, low, low))]
    graph = flexir.capture(model, (examples[0],), also=[(x,) for x in examples[1:]])
    for x in examples:
        assert right(graph, model, x)
    for rows in ((high, high), (high, high, high, low), (low, low), (low, high, low, low)):
        try:
            assert right(graph, model, torch.cat(rows))
        except flexir.Diverged:
            assert reading != "torch.stack(made).sum(0)"
