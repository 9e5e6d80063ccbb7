"""What a torch callable is called: one meaning has one name.

Operators, methods, functions, in-place forms and torch's own synonyms share the canonical name
of the plain function. The tables hold what torch itself says nowhere a program could read it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch

# Python's operators, by the function that means the same.
OPERATORS = {
    "add": "add", "sub": "sub", "mul": "mul", "div": "div", "truediv": "div", "pow": "pow",
    "floordiv": "floor_divide", "mod": "remainder", "matmul": "matmul", "and": "bitwise_and",
    "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "bitwise_left_shift", "ge": "ge",
    "rshift": "bitwise_right_shift", "invert": "bitwise_not", "neg": "neg", "pos": "positive",
    "abs": "abs", "eq": "eq", "ne": "ne", "lt": "lt", "le": "le", "gt": "gt",
    "getitem": "getitem", "setitem": "setitem",
}  # fmt: skip

# torch's synonyms; a test compares them with the aliases PyTorch's own operator database knows.
SYNONYMS = {
    "absolute": "abs", "arccos": "acos", "arccosh": "acosh", "arcsin": "asin",
    "arcsinh": "asinh", "arctan": "atan", "arctan2": "atan2", "arctanh": "atanh",
    "clip": "clamp", "concat": "cat", "concatenate": "cat", "conj_physical": "conj",
    "divide": "div", "true_divide": "div", "fix": "trunc", "greater": "gt",
    "greater_equal": "ge", "less": "lt", "less_equal": "le", "moveaxis": "movedim",
    "multiply": "mul", "negative": "neg", "not_equal": "ne", "row_stack": "vstack",
    "subtract": "sub", "swapaxes": "transpose", "swapdims": "transpose",
    "special_digamma": "digamma", "special_erf": "erf", "special_erfc": "erfc",
    "special_erfinv": "erfinv", "special_exp2": "exp2", "special_expit": "sigmoid",
    "special_expm1": "expm1", "special_gammaln": "lgamma", "special_i0": "i0",
    "special_log1p": "log1p", "special_log_softmax": "log_softmax", "special_logit": "logit",
    "special_logsumexp": "logsumexp", "special_multigammaln": "mvlgamma",
    "special_polygamma": "polygamma", "special_psi": "digamma", "special_round": "round",
    "special_sinc": "sinc", "special_softmax": "softmax", "special_xlogy": "xlogy",
    "special_gammainc": "igamma", "special_gammaincc": "igammac",
    "det": "linalg_det", "ger": "outer", "inverse": "linalg_inv", "slogdet": "linalg_slogdet",
    "linalg_matmul": "matmul", "matrix_power": "linalg_matrix_power",
    "matrix_exp": "linalg_matrix_exp",
    "chain_matmul": "linalg_multi_dot", "orgqr": "linalg_householder_product",
    "type_as": "to", "numpy_T": "T", "matrix_H": "adjoint",
    "H": "adjoint", "mH": "adjoint", "data": "detach",
    "max_pool1d_with_indices": "max_pool1d", "max_pool2d_with_indices": "max_pool2d",
    "max_pool3d_with_indices": "max_pool3d", "upsample": "interpolate",
    "is_nonzero": "bool",
    "adaptive_max_pool1d_with_indices": "adaptive_max_pool1d",
    "adaptive_max_pool2d_with_indices": "adaptive_max_pool2d",
    "adaptive_max_pool3d_with_indices": "adaptive_max_pool3d",
    "fractional_max_pool2d_with_indices": "fractional_max_pool2d",
    "fractional_max_pool3d_with_indices": "fractional_max_pool3d",
    "_threshold": "threshold", "log_sigmoid": "logsigmoid",
}  # fmt: skip


def canonical(name: str) -> str:
    """The canonical op name for a torch function, method, operator or synonym called ``name``."""
    bare = name.strip("_") if name.startswith("__") and name.endswith("__") else None
    if bare is not None:
        for form in (bare, bare[1:] if bare[:1] in "ir" else ""):
            if form in OPERATORS:
                return OPERATORS[form]
        return bare
    if name.endswith("_") and not name.endswith("__"):
        name = name[:-1]
    return SYNONYMS.get(name, name)


def name_of(func: Callable[..., Any]) -> str:
    """The name torch itself gives a callable: ``add_``, ``__radd__``, ``linalg_det``, ``T``."""
    qualified = qualified_name(func)
    if qualified is not None:
        return qualified.split("::")[-1]
    name: str = getattr(func, "__name__", None) or type(func).__name__
    owner: Any = getattr(func, "__self__", None)
    if name in ("__get__", "__set__", "__delete__") and hasattr(owner, "__name__"):
        own: str = owner.__name__
        return own if name == "__get__" else f"{name.strip('_')}_{own}"
    return name


def qualified_name(func: Callable[..., Any]) -> str | None:
    """``aten::add`` of a callable of ``torch.ops``; None of any other."""
    if isinstance(func, torch._ops.OpOverload):
        return func._schema.name
    return func._qualified_op_name if isinstance(func, torch._ops.OpOverloadPacket) else None


def overloads(packet: Any) -> list[torch._ops.OpOverload]:
    """The overloads of an ATen op."""
    return [getattr(packet, name) for name in packet.overloads()]


def is_reversed(name: str) -> bool:
    """Whether a dunder method computes ``other op self``."""
    bare = name.strip("_")
    return name.startswith("__r") and bare not in OPERATORS and bare[1:] in OPERATORS


@lru_cache(maxsize=None)
def is_torch(func: Callable[..., Any]) -> bool:
    """Whether a callable is torch's own, so that its marks and names are torch's."""
    if isinstance(func, type(int.__add__.__get__(1))):  # a property's getter or setter
        func = func.__self__
    module = getattr(func, "__module__", None)
    if module is None:
        module = getattr(getattr(func, "__objclass__", None), "__module__", None) or "torch"
    return is_torch_module(module)


def is_torch_module(name: str | None) -> bool:
    """Whether a Python module of this name is part of torch."""
    return name is not None and name.partition(".")[0] == "torch"


def _gather(properties: str, methods: str, functions: str = "") -> frozenset[Any]:
    """The getters, methods and functions of these names that the installed torch has."""
    found: set[Any] = set()
    for name in properties.split():
        attribute = vars(torch._C.TensorBase).get(name) or vars(torch.Tensor).get(name)
        if attribute is not None and hasattr(attribute, "__get__"):
            found.add(attribute.__get__)
    for owner, names in ((torch.Tensor, methods), (torch, functions)):
        found.update(getattr(owner, name) for name in names.split() if hasattr(owner, name))
    return frozenset(found)


# Questions about a tensor that its type answers (shape, dtype, device, layout), which a replay
# compares anyway; and what only registers something or names the object.
METADATA = _gather(
    """shape dtype device layout ndim itemsize nbytes is_cpu is_cuda is_ipu is_maia is_meta
    is_mkldnn is_mps is_mtia is_nested is_quantized is_sparse is_sparse_csr is_vulkan is_xla is_xpu
    _has_symbolic_sizes_strides _python_dispatch _backward_hooks _post_accumulate_grad_hooks
    _cdata""",
    """size dim ndimension numel nelement element_size is_floating_point is_complex is_signed
    is_same_size get_device __len__ sparse_dim dense_dim __hash__ qscheme q_per_channel_axis _nnz
    is_distributed __dlpack_device__ register_hook register_post_accumulate_grad_hook retain_grad
    _is_zerotensor is_sparse_csr __reduce_ex__ _reduce_ex_internal storage_type""",
    """is_floating_point is_complex is_signed is_same_size numel get_device can_cast result_type
    promote_types is_tensor is_storage is_distributed _has_compatible_shallow_copy_type""",
) | {torch._C._set_grad_enabled}

# Questions about how a tensor lies in memory and how autograd sees it. Inputs of the same type may
# answer them otherwise, so the answers are guards.
ABOUT = _gather(
    """requires_grad is_leaf grad_fn _grad_fn names name output_nr retains_grad volatile _version
    grad_dtype""",
    """stride storage_offset is_contiguous sym_is_contiguous is_conj is_neg is_inference has_names
    is_pinned is_shared is_coalesced dim_order is_set_to _is_view _use_count""",
    "is_conj is_neg is_inference",
)

# What hands a tensor's memory itself to the caller.
MEMORY = _gather("__cuda_array_interface__", "data_ptr untyped_storage storage _typed_storage")
