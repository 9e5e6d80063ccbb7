"""Each rule of complex numbers as pairs of real ones, against torch's own complex numbers."""

import itertools

import pytest
import torch
from torch import fft

import flexir
from flexir import passes

X = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0))
C = torch.randn(2, 5, 6, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))


def agrees(*functions):
    """Whether there is a rule for all of these; what the pairs compute is what they do."""
    graph = flexir.capture(lambda x: [function(x) for function in functions], (X,))
    small = passes.real_pairs(graph)
    if small is graph:
        return False
    values = [v for node in small for v in (*node.inputs, *node.outputs) if not v.is_number]
    assert not any(value.type.dtype.is_complex for value in values), small
    for number, (made, wanted) in enumerate(zip(small(X * 2), graph(X * 2), strict=True)):
        torch.testing.assert_close(made, wanted, rtol=1e-4, atol=1e-5, msg=str(number))
    return True


def both(z):
    return torch.stack([z.real, z.imag])


NORMS = (None, "backward", "forward", "ortho")
WHOLE = ((fft.fft, fft.ifft), (fft.fft2, fft.ifft2), (fft.fftn, fft.ifftn))


def test_transforms_of_every_norm():
    assert agrees(
        *(lambda x, f=f, norm=norm: both(f(x, norm=norm)) for f, _ in WHOLE for norm in NORMS),
        *(lambda x, f=f, norm=norm: both(f(x * C, norm=norm)) for _, f in WHOLE for norm in NORMS),
    )


LENGTHS = (None, 0), (None, 1), (3, 1), (9, 1), (4, -2), (7, 2), (6, -1), (1, 0)


def test_one_dimension_of_another_length():
    assert agrees(
        *(lambda x, n=n, dim=dim: both(fft.fft(x * C, n, dim)) for n, dim in LENGTHS),
        *(lambda x, n=n, dim=dim: both(fft.ifft(x, n, dim)) for n, dim in LENGTHS),
        *(lambda x, n=n, dim=dim: both(fft.rfft(x, n, dim)) for n, dim in LENGTHS),
    )


HALVES = ((None, -1, None), (9, -1, None), (8, 1, "ortho"), (5, 0, "forward"), (4, -1, None),
          (12, 2, "backward"), (1, -1, None), (2, -1, None), (3, 1, None))  # fmt: skip


def test_half_a_spectrum_stands_for_the_whole():
    assert agrees(
        *(lambda x, how=how: fft.irfft(fft.rfft(x, dim=how[1]), *how) for how in HALVES),
        *(lambda x, how=how: fft.irfft(x * C, *how) for how in HALVES),
    )


def test_several_dimensions_of_other_lengths():
    shapes, dims = [(4, 7), (6, 3), None], [(0, 1), (2, 0), (-2, -1)]
    every = list(itertools.product(shapes, dims, (None, "ortho")))
    assert agrees(*(lambda x, how=how: fft.rfftn(x, *how).imag for how in every))
    assert agrees(*(lambda x, how=how: fft.irfftn(x * C, *how) for how in every))
    assert agrees(*(lambda x, how=how: fft.ifftn(x * C, *how).imag for how in every))


PARTS = {
    "reshape": lambda x: (x * C).reshape(10, 6).imag,
    "transpose": lambda x: (x * C).transpose(0, 2).real.contiguous(),
    "split": lambda x: (x * C).split(2, 1)[2].imag,
    "chunk": lambda x: (x * C).chunk(2)[1].imag,
    "unbind": lambda x: (x * C).unbind(2)[3].imag,
    "neg": lambda x: (-(x * C)).imag,
    "mean": lambda x: (x * C).mean(1).imag,
    "cumsum": lambda x: (x * C).cumsum(2).imag,
    "roll": lambda x: (x * C).roll(1, 2).imag,
    "getitem": lambda x: (x * C)[:, 1:3, None].imag,
    "view": lambda x: (x * C).view(2, 30).imag,
    "view_as": lambda x: (x * C).view_as(torch.zeros(2, 30)).imag,
    "view after transpose": lambda x: (x * C).transpose(0, 1).view(5, 2, 6, 1).imag,
    "conj": lambda x: (x * C).conj().imag,
    "abs": lambda x: (x * C).abs(),
    "complex": lambda x: torch.complex(x, x + 1).imag,
    "polar": lambda x: torch.view_as_real(torch.polar(x.abs(), x)),
    "zeros": lambda x: (torch.zeros(2, 5, 6, dtype=torch.complex64) + x * C).imag,
    "zeros_like": lambda x: (torch.zeros_like(C) + x * C).real + torch.zeros_like(x * C).imag,
    "new_zeros": lambda x: (x * C).new_zeros(2, 6).real + x[:, 0],
    "stack": lambda x: torch.stack([x * C, C], 1).imag,
    "cat with real": lambda x: torch.cat([x, x * C], 1).imag,
    "sub": lambda x: (x - x * C).imag,
    "sub from": lambda x: (x * C - x).imag + (x * C - x).real,
    "add a number": lambda x: (x * C + 2).real + (x * C + 3j).imag,
    "where": lambda x: torch.where(x > 0, x * C, C).imag,
    "divided": lambda x: (x * C / (x.abs() + 1)).imag + (x * C / 4).real,
}


def test_both_parts():
    assert agrees(*PARTS.values())


PRODUCTS = {
    "of two": lambda x: torch.view_as_real((x * C) * (x + C)),
    "with a real one": lambda x: torch.view_as_real((x + C) * x + x * (x + C)),
    "with a number": lambda x: torch.view_as_real((x + C) * 3 + 0.5 * (x + C)),
    "with a complex number": lambda x: torch.view_as_real((x + C) * (2 + 3j)),
    "matmul": lambda x: torch.view_as_real((x + C) @ (x * C).mT),
    "bmm": lambda x: torch.view_as_real(torch.bmm(x + C, (x * C).mT)),
    "mm": lambda x: torch.view_as_real(torch.mm((x + C)[0], (x * C)[1].mT)),
    "outer": lambda x: torch.view_as_real(torch.outer((x + C)[0, 0], (x * C)[1, 1])),
    "tensordot": lambda x: torch.view_as_real(torch.tensordot(x + C, (x * C)[0], 2)),
    "einsum": lambda x: torch.view_as_real(torch.einsum("bij,bkj->bik", x + C, x * C)),
    "einsum of a list": lambda x: torch.einsum("bij,bij->b", [x + C, x * C]).imag,
}


def test_products():
    assert agrees(*PRODUCTS.values())


@pytest.mark.parametrize("number", [2 + 3j, 3j])
def test_a_real_tensor_times_a_complex_number(number):
    assert agrees(lambda x: both(x * number), lambda x: both(number * x))


def written(x):
    out = torch.zeros(2, 5, 6, dtype=torch.complex64)
    out[:, 1:3] = (x * C)[:, 1:3]
    out[0, 0] = x[0, 0]
    return torch.view_as_real(out)


def test_what_is_written_into_a_complex_tensor():
    assert agrees(written)


@pytest.mark.parametrize("function", [
    lambda x: torch.einsum("bij,bij,bij->b", x + C, x * C, C).imag,
    lambda x: (x / (x + C)).imag, lambda x: torch.add(x * C, C, alpha=2).imag,
    lambda x: (2 / (x + C)).imag, lambda x: torch.matmul(x + C, C.mT).angle(),
])  # fmt: skip
def test_what_has_no_rule(function):
    assert not agrees(function)
