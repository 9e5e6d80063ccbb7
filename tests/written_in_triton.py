"""Kernels of an accelerator, which torch does not see run."""

import triton
import triton.language as tl


@triton.jit
def _double(data, count, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    within = at < count
    tl.store(data + at, tl.load(data + at, mask=within) * 2, mask=within)


def doubled(tensor):
    """Doubles what a tensor holds."""
    _double[(triton.cdiv(tensor.numel(), 64),)](tensor, tensor.numel(), BLOCK=64)
