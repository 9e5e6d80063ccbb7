"""Complex numbers as pairs of real ones: all of a graph or none of it, and what torch computes."""

import pytest
import torch
from torch import nn

import flexir
from flexir import passes

X = torch.randn(3, 4, 10, generator=torch.Generator().manual_seed(0))
WEIGHT = torch.randn(4, 5, 6, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))


def fourier_layer(x):
    modes = torch.fft.rfftn(x, dim=(-1,), norm="forward")
    out = torch.zeros(3, 5, 6, dtype=torch.complex64)
    out[:, :, :6] = torch.einsum("bik,iok->bok", modes, WEIGHT)
    return torch.fft.irfft(out, n=10, norm="forward")


def rotated(x):
    turns = torch.polar(torch.ones(5), torch.arange(5.0))
    return torch.view_as_real(torch.view_as_complex(x.view(3, 4, 5, 2)) * turns).flatten(2)


PROGRAMS = {
    "rfft": lambda x: torch.view_as_real(torch.fft.rfft(x)),
    "fft2": lambda x: torch.view_as_real(torch.fft.fft2(x)),
    "cut": lambda x: torch.fft.ifft(x, 7, 1).abs(),
    "padded": lambda x: torch.fft.ifftn(torch.fft.fftn(x, (5, 12), (0, 2)), norm="ortho").real,
    "times i": lambda x: torch.fft.irfft(torch.fft.rfft(x) * 2j),
    "odd": lambda x: torch.fft.irfft(torch.fft.rfft(x), n=9, norm="ortho"),
    "there and back": lambda x: torch.fft.irfft2(torch.fft.rfft2(x)),
    "rotated": rotated,
    "shifted": lambda x: torch.fft.ifftshift(torch.fft.fftshift(torch.fft.fft(x)) / 2, dim=1).real,
    "layer": fourier_layer,
    "conjugate": lambda x: (torch.fft.fft(x).conj() * torch.fft.fft(x[:1])).imag + 1,
    "product": lambda x: (torch.fft.fft(x) @ torch.fft.fft(x).mT).real,
    "joined": lambda x: torch.cat([torch.fft.fft(x), x * WEIGHT[0, 0, 0]], 1).imag,
    "viewed": lambda x: torch.fft.fft(x).view(12, 10)[:, None].expand(12, 2, 10).real,
    "with real": lambda x: (torch.fft.fft(x) - x + torch.fft.fft(x).sum(0)).abs(),
    "chosen": lambda x: torch.where(x > 0, torch.fft.fft(x), x + 1j).imag,
    "tiny": lambda x: (torch.fft.fft(x) * 1e-25).abs() * 1e25,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_pairs_compute_what_complex_numbers_do(name):
    function = PROGRAMS[name]
    graph = flexir.capture(function, (X,))
    small = passes.real_pairs(graph)
    values = [v for node in small for v in (*node.inputs, *node.outputs) if not v.is_number]
    assert not any(value.type.dtype.is_complex for value in values), small
    other = X.flip(0) * 2
    torch.testing.assert_close(small(other), graph(other), rtol=1e-4, atol=1e-5)
    assert passes.real_pairs(small) is small


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + 1,
        lambda x: torch.fft.fft(x),  # comes out
        lambda x: torch.fft.fft(x).angle(),  # its sign hangs on that of a zero
        lambda x: torch.fft.fft(x).mul_(2j).real,
        lambda x: torch.fft.fft(x).sum(dtype=torch.complex128).abs(),
        lambda x: (1 / (torch.fft.fft(x) + 9)).real,
        lambda x: torch.fft.rfft(x, 5000).abs(),
    ],
)
def test_a_graph_without_a_rule_for_all_of_it_stays_as_it_is(function):
    graph = flexir.capture(function, (X,))
    assert passes.real_pairs(graph) is graph


class Mixer(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, dtype=torch.complex64))

    def forward(self, spectrum):
        return spectrum * self.weight


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.mixer, self.head = Mixer(), nn.Linear(10, 2)

    def forward(self, x):
        return self.head(torch.fft.irfft(self.mixer(torch.fft.rfft(x)), n=10))


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_engines_without_complex_numbers_run_them(engine):
    target = pytest.importorskip(f"flexir.targets.{engine}", exc_type=ImportError)
    model = Net().eval()
    with torch.no_grad():
        result = target.convert(model, (X,), strict=True)
        made = target.run(result.output, X)
        torch.testing.assert_close(made, model(X), rtol=1e-4, atol=1e-5)
    named = {v.name for v in result.graph.constants}
    assert {"head.weight", "mixer.weight.re", "mixer.weight.im"} <= named


def test_a_hypotenuse_comes_apart_without_squares_that_overflow():
    from flexir.passes.recipes.arithmetic import hypot

    inf = float("inf")
    a = torch.tensor([3.0, 0.0, 1e30, 1e-30, inf, -inf, -3.0])
    b = torch.tensor([4.0, 0.0, 1e30, 1e-30, inf, 1.0, 0.0])
    torch.testing.assert_close(hypot(a, b), torch.hypot(a, b))
