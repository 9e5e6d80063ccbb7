"""Loops of examples as ONNX Loop nodes, run by onnxruntime at rounds that no example showed."""

import pytest
import torch
from torch import nn

import flexir

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx_ir")

from flexir.targets import onnx as target


def shown(model, *examples):
    """One file of these examples, right at each of them."""
    with torch.no_grad():
        result = target.convert(model, examples[0], also=examples[1:], strict=True)
    target.check(result.output)
    assert "Loop" in [node.op_type for node in result.output.graph]
    for args in examples:
        right(result, model, *args)
    return result


def right(result, model, *args):
    with torch.no_grad():
        expected = model(*args)
    made = target.run(result.output, *args)
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5)


def of_lengths(*lengths, width=3):
    return [(torch.rand(n, width),) for n in lengths]


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(3, 4)

    def forward(self, x):
        h = c = torch.zeros(x.shape[0], 4)
        outs = []
        for t in range(x.size(1)):
            h, c = self.cell(x[:, t], (h, c))
            outs.append(h)
        return torch.stack(outs, dim=1), (h, c)


def test_a_recurrent_net_at_lengths_and_batches_never_shown():
    model = Recurrent()
    result = shown(model, *[(torch.rand(b, n, 3),) for b, n in ((2, 3), (2, 5), (4, 2))])
    for batch, length in ((3, 1), (1, 9), (5, 30)):
        right(result, model, torch.rand(batch, length, 3))


def test_weights_of_a_body_are_in_the_file_once():
    result = shown(Recurrent(), *[(torch.rand(2, n, 3),) for n in (3, 5)])
    names = {name for name in result.output.graph.initializers if name.startswith("cell")}
    assert names == {"cell.weight_ih", "cell.weight_hh", "cell.bias_ih", "cell.bias_hh"}


def test_what_is_collected_by_rows_and_comprehensions():
    def model(x):
        made = [row.relu() * 2 for row in x]
        for row in x[1:]:
            made.append(row.exp())
        return torch.cat(made), torch.stack(made, -1), made[-1]

    result = shown(model, *of_lengths(2, 4, 3))
    for n in (2, 5, 9):
        right(result, model, torch.rand(n, 3))


def test_reads_and_writes_at_the_index_backwards():
    def model(x):
        out, s = torch.zeros_like(x), torch.zeros(3)
        for i in range(len(x) - 1, -1, -1):
            s = s * 0.5 + x[i]
            out[i] = s * 2
            out[-1 - i, 1:] += 0.5
        return out

    result = shown(model, *of_lengths(2, 4, 3))
    for n in (1, 3, 9):
        right(result, model, torch.rand(n, 3))


def test_a_loop_in_a_loop_and_a_branch_in_it():
    def model(x):
        out = []
        for i in range(x.shape[0]):
            acc = torch.zeros(())
            for j in range(x.shape[1]):
                acc = (acc + x[i, j]).tanh() if acc < 0.9 else acc * 0.5
            out.append(acc)
        return torch.stack(out)

    result = shown(model, *[(torch.rand(*size),) for size in ((2, 3), (3, 2), (4, 5), (5, 9))])
    for size in ((1, 7), (6, 2), (2, 30)):
        right(result, model, torch.rand(*size))


def test_what_only_some_rounds_collect():
    def model(x):
        h, kept, other = torch.zeros(3), [torch.zeros(3)], []
        for row in x:
            if row.sum() > 1.5:
                h = h + row
                kept.append(h)
                if h.sum() > 3:
                    other.append(row * 2)
            else:
                h = h * 0.9
        return h, torch.stack(kept)

    torch.manual_seed(0)
    result = shown(model, *of_lengths(3, 5, 6, 9))
    for n in (1, 4, 20):
        right(result, model, torch.rand(n, 3))


def test_until_a_condition_holds():
    def model(x):
        while x.sum() < 50:
            x = x * 2
        return x

    result = shown(model, *[(torch.ones(3) * k,) for k in (0.1, 2.0, 5.0)])
    for k in (1.0, 0.01):
        right(result, model, torch.ones(3) * k)


def test_greedy_decoding_until_the_last_token():
    torch.manual_seed(1)
    embed, head = nn.Embedding(11, 5), nn.Linear(5, 11)

    def model(ids):
        while True:
            token = head(embed(ids).cumsum(0)[-1].sin()).argmax()
            ids = torch.cat([ids, token[None]])
            if token == 3 or ids.shape[0] > 9:
                break
        return ids

    prompts = [(torch.tensor([i]),) for i in range(11)]
    result = shown(model, *prompts[:5])
    for prompt in prompts[5:]:
        right(result, model, *prompt)


def test_ends_that_no_example_showed_are_refused_by_the_file():
    def model(x):
        for _ in range(6):
            x = x * 1.5
            if x.sum() > 20:
                break
        return x

    result = shown(model, *[(torch.ones(3) * k,) for k in (2.0, 5.0)])
    right(result, model, torch.ones(3))
    with pytest.raises(flexir.Diverged, match="no example showed an end after the last round, at "):
        target.run(result.output, torch.ones(3) * 0.01)


def test_fewer_rounds_than_examples_showed_are_refused_by_the_file():
    def model(x):
        h = torch.ones(3)
        for i in range(x.shape[0] - 1):
            h = h + x[i]
        return h.exp()

    result = shown(model, *of_lengths(2, 4))
    with pytest.raises(flexir.Diverged, match="no example showed fewer than 1 rounds"):
        target.run(result.output, torch.rand(1, 3))
    with_none = shown(model, *of_lengths(2, 4, 1))
    right(with_none, model, torch.rand(1, 3))


def test_a_list_is_refused_by_what_takes_no_list():
    model = lambda x: torch.block_diag(*[row[None] * 2 for row in x])
    with torch.no_grad():
        graph = flexir.capture(model, (torch.rand(2, 3),), also=[(torch.rand(4, 3),)])
    report = target.convert(graph).report
    assert not report.complete


def test_a_loop_runs_on_the_engine_and_what_is_missing_in_torch():
    def model(x):
        h, made = torch.zeros_like(x[0]), []
        for row in x:
            h = (h + row).tanh()
            made.append(h)
        return torch.lgamma(torch.stack(made).abs() + 1) * 2

    shown = of_lengths(2, 4)
    with torch.no_grad():
        half = flexir.hybrid(target.convert(model, shown[0], also=shown[1:]))
        for n in (2, 7):
            x = torch.rand(n, 3)
            torch.testing.assert_close(half(x), model(x))
    assert "2 regions on the engine" in str(half.report)
