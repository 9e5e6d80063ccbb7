"""What dtype a call computes in, and constants as NumPy arrays.

Pure functions of types and tensors. NumPy is never imported here: torch makes the arrays, if it is
installed.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterable
from typing import Any

import torch

from ..errors import Error, Unsupported
from ..graph.nodes import TensorType

Number = bool | int | float | complex
_CATEGORY = {bool: 0, int: 1, float: 2, complex: 3}


def promoted(operands: Iterable[TensorType | Number]) -> torch.dtype:
    """The dtype in which torch computes with operands of these types and these Python numbers.

    Tensors with dimensions decide, then tensors without, then numbers; a later kind only counts if
    it is of a higher category (bool, whole, floating, complex). That is the rule of
    ``torch.result_type``, for any number of operands (``TensorIterator`` in ATen, c10's
    ``promoteTypes``).

    Raises:
        Error: there are no operands.
    """
    given = list(operands)
    types = [one for one in given if isinstance(one, TensorType)]
    kinds: list[Any] = []
    for rank in (1, 0):
        dtypes = [one.dtype for one in types if bool(one.shape) == bool(rank)]
        if dtypes:
            one_dtype = functools.reduce(torch.promote_types, dtypes)
            kinds.append(torch.empty([1] * rank, dtype=one_dtype, device="meta"))
    numbers = [one for one in given if not isinstance(one, TensorType)]
    if numbers:
        kinds.append(max(numbers, key=lambda one: _CATEGORY[type(one)]))
    if not kinds:
        raise Error("there is no dtype of no operands")
    found = torch.result_type(kinds[0], kinds[-1])
    if len(kinds) == 3:
        both = torch.empty([1], dtype=torch.result_type(*kinds[:2]), device="meta")
        found = torch.result_type(both, kinds[2])
    return found


def array(tensor: torch.Tensor) -> Any:
    """A tensor as a NumPy array over the same memory, without a gradient.

    Copied only where it must be: from another device, or where elements are conjugated or negated
    lazily. bfloat16 and the kinds of float8, which NumPy lacks, have the dtypes of ``ml_dtypes``.

    Raises:
        Unsupported: it has no elements of its own (meta), or not in rows (sparse, quantized,
            nested).
        Error: its dtype needs ``ml_dtypes``, which is not installed.
    """
    tensor = tensor.detach()
    if tensor.device.type == "meta":
        raise Unsupported("a weight on the meta device has no elements")
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_nested:
        raise Unsupported(f"a weight of layout {tensor.layout} and {tensor.dtype} is no array")
    tensor = tensor.cpu().resolve_conj().resolve_neg()
    name = str(tensor.dtype).removeprefix("torch.")
    if not name.startswith(("bfloat", "float8")):
        return tensor.numpy()
    try:
        dtype = getattr(importlib.import_module("ml_dtypes"), name)
    except ImportError as error:
        raise Error(f"NumPy has no {name}: pip install ml_dtypes") from error
    bits = torch.int16 if tensor.element_size() == 2 else torch.uint8
    return tensor.view(bits).numpy().view(dtype)
