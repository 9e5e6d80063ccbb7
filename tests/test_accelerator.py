"""What holds on the CPU holds on an accelerator; run where there is one."""

import copy

import pytest
import torch
from torch import nn

import flexir
from flexir.recording.proof import equal

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator")
D = "cuda"


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5),
    ).to(D)  # fmt: skip


def test_a_network_is_replayed_bit_for_bit():
    model, x = net().eval(), torch.randn(2, 3, 8, 8, device=D)
    graph = flexir.capture(model, (x,))
    assert flexir.verify(graph, model, (x,)).verdict == "exact"
    assert all(v.type.device.type == "cuda" for v in graph.output_values)


def test_two_sizes_are_shown_and_the_third_is_right():
    model = net().eval()
    a, b, c = (torch.randn(n, 3, h, 8, device=D) for n, h in ((2, 8), (3, 9), (5, 11)))
    graph = flexir.capture(model, (a,), also=[(b,)])
    assert torch.equal(graph(c), model(c))


class Training(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(self.norm(x)) + torch.randn_like(x)


def test_numbers_drawn_go_on_from_call_to_call():
    model, x = Training().to(D), torch.randn(6, 4, device=D)
    torch.manual_seed(3)
    graph = flexir.capture(copy.deepcopy(model), (x,))
    torch.manual_seed(3)
    run, expected = graph.start(), [model(x), model(x)]
    after = torch.cuda.get_rng_state()
    made = [run(x), run(x)]
    assert equal(made, expected)
    assert not torch.equal(made[0], made[1])
    assert torch.equal(torch.cuda.get_rng_state(), after)  # a replay draws aside
    assert flexir.verify(graph, copy.deepcopy(model), (x,))


def test_drawing_with_several_examples():
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)).to(D)
    a, b, c = (torch.randn(n, 4, device=D) for n in (2, 3, 5))
    graph = flexir.capture(model, (a,), also=[(b,)])
    assert flexir.verify(graph, model, (c,), perturb=False)


class Seeded(nn.Module):
    def forward(self, x):
        torch.cuda.manual_seed(1)
        return x + torch.rand(2, device=x.device)


def test_a_seed_in_the_model_is_replayed_and_said():
    model, x = Seeded(), torch.zeros(2, device=D)
    graph = flexir.capture(model, (x,))
    assert torch.equal(graph(x), model(x))
    assert torch.equal(graph(x), model(x))


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.g = torch.Generator(D).manual_seed(7)

    def forward(self, x):
        return x + torch.rand(2, device=x.device, generator=self.g)


def test_a_generator_of_the_model():
    model, x = Own(), torch.zeros(2, device=D)
    graph = flexir.capture(model, (x,))
    model.g.manual_seed(7)
    run = graph.start()
    assert equal([run(x), run(x)], [model(x), model(x)])


def test_what_is_frozen_is_found_on_other_inputs():
    kept = torch.rand(4, device=D)
    graph = flexir.capture(lambda x: x + kept, (kept.clone(),))
    assert flexir.verify(graph, lambda x: x + x, (kept.clone(),)).verdict == "wrong"
    words = torch.arange(4, device=D)  # where they are indices, wrong ones end the process
    check = flexir.verify(graph_of(words), lambda x: x * 2, (words,))
    assert check.perturbed == "nothing in them to change"


def graph_of(words):
    return flexir.capture(lambda x: x * 2, (words,))


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(8, 8)

    def forward(self, x):
        with torch.autocast("cuda", torch.float16):
            y = self.lin(x)
            z = torch.softmax(y @ y.transpose(0, 1), -1)
        return y.float(), z


def test_autocast_and_halves():
    model, x = Mixed().to(D), torch.randn(4, 8, device=D)
    graph = flexir.capture(model, (x,))
    assert flexir.verify(graph, model, (x,)).verdict == "exact"
    model, x = Mixed().to(D, torch.bfloat16), torch.randn(4, 8, device=D, dtype=torch.bfloat16)
    assert flexir.verify(flexir.capture(model, (x,)), model, (x,)).verdict == "exact"


class Paths(nn.Module):
    def forward(self, x):
        for _ in range(x.shape[0]):
            if x.sum() > 0:
                x = x - 1
            else:
                x = x * 2 + 3
        return x


def test_conditions_on_what_the_accelerator_computes():
    model = Paths()
    shown = [torch.full((n,), float(v), device=D) for n, v in ((2, 4), (3, -1), (4, 1))]
    graph = flexir.capture(model, (shown[0],), also=[(x,) for x in shown[1:]])
    right = 0
    for n in range(1, 7):
        x = torch.linspace(-1, 2, n, device=D)
        try:
            assert torch.equal(graph(x), model(x))
            right += 1
        except flexir.Diverged:
            pass
    assert right


class Both(nn.Module):
    def forward(self, x):
        a = x.cpu().mul_(2)
        x[0] += a.sum().item()
        a[1:] += 1
        return a.to(x.device) + x, x.view(-1)[::2].add_(1)


def test_memory_of_two_devices():
    model = Both()
    inputs = [torch.randn(3, 4, device=D) for _ in range(2)]
    graph = flexir.capture(model, (inputs[0].clone(),))
    mine, theirs = inputs[0].clone(), inputs[0].clone()
    assert equal(graph(mine), model(theirs))
    with pytest.raises(flexir.Diverged):
        graph(inputs[1].clone())


def test_a_kernel_that_nobody_sees_is_noticed():
    pytest.importorskip("triton")
    from tests.written_in_triton import doubled  # triton reads a kernel's source from its file

    def model(x):
        y = x + 1
        doubled(y)
        return y * 3

    x = torch.randn(64, device=D)
    graph = flexir.capture(model, (x,))
    fresh = torch.randn(64, device=D)
    try:
        made = graph(fresh)
    except flexir.Diverged:
        return
    assert torch.equal(made, model(fresh)) or graph.audit.problems


def test_a_graph_of_kernels_is_not_taken_for_nothing():
    static = torch.zeros(8, device=D)
    out = torch.zeros(8, device=D)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            out.copy_(static * 2)
    torch.cuda.synchronize()
    kernels = torch.cuda.CUDAGraph()
    with torch.cuda.graph(kernels):
        out.copy_(static * 2 + 1)

    def model(x):
        static.copy_(x)
        kernels.replay()
        return out + 1

    graph = flexir.capture(model, (torch.randn(8, device=D),))
    assert any("CUDAGraph.replay()" in one for one in graph.audit.problems)


def test_streams_and_events_do_not_matter():
    other = torch.cuda.Stream()

    def model(x):
        other.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(other):
            y = x * 2
        torch.cuda.current_stream().wait_stream(other)
        torch.cuda.synchronize()
        return y + 1

    x, fresh = torch.randn(8, device=D), torch.randn(8, device=D)
    graph = flexir.capture(model, (x,))
    assert torch.equal(graph(fresh), model(fresh))


def test_what_is_compiled_inside():
    inner = torch.compile(lambda x: torch.sin(x) * 2, dynamic=False)

    def model(x):
        return inner(x + 1) - 1

    x, fresh = torch.randn(8, device=D), torch.randn(8, device=D)
    graph = flexir.capture(model, (x,))
    assert torch.allclose(graph(fresh), model(fresh))


def test_attention_in_halves():
    model = nn.MultiheadAttention(32, 4, batch_first=True).to(D, torch.float16).eval()
    x = torch.randn(2, 9, 32, device=D, dtype=torch.float16)
    graph = flexir.capture(model, (x, x, x))
    assert flexir.verify(graph, model, (x, x, x), perturb=False)


def test_peak_of_memory():
    torch.manual_seed(0)
    model = nn.Sequential(*[nn.Sequential(nn.Linear(1024, 1024), nn.ReLU()) for _ in range(20)])
    model, x = model.to(D), torch.randn(4096, 1024, device=D)
    with torch.no_grad():
        model(x)
        torch.cuda.reset_peak_memory_stats()
        model(x)
        alone = torch.cuda.max_memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        graph = flexir.capture(model, (x,))
        peak = torch.cuda.max_memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        graph(x)
        again = torch.cuda.max_memory_allocated()
    assert peak <= 1.05 * alone
    assert again <= 1.05 * alone


def test_saved_and_loaded(tmp_path):
    model, x = net().eval(), torch.randn(2, 3, 8, 8, device=D)
    graph = flexir.capture(model, (x,))
    flexir.save(graph, tmp_path / "net")
    again = flexir.load(tmp_path / "net")
    assert torch.equal(again(x), model(x))
