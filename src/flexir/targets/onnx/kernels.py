"""Which element types the kernels of onnxruntime's CPU provider take, op by op.

Knows nothing of graphs. What is here is held to the installed onnxruntime by a test.
"""

from __future__ import annotations

import torch

from flexir import Unsupported

_LETTERS = {
    "f": torch.float32, "d": torch.float64, "l": torch.int64, "i": torch.int32, "b": torch.bool,
    "h": torch.float16, "s": torch.int16, "c": torch.int8, "u": torch.uint8,
}  # fmt: skip
# Element types that onnxruntime's CPU kernels take; ops that are not here take all of them.
_KERNELS = {
    kind: types
    for types, kinds in {
        "b": "And Not Or Xor",
        "f": "Celu",
        "fdh": "BatchNormalization Ceil Cos Exp Floor Gemm GridSample IsNaN "
        "LayerNormalization Log LogSoftmax Reciprocal Round Sigmoid Sin Softmax "
        "Sqrt Tanh",
        "fdhcu": "MaxPool",
        "fdihc": "Relu",
        "fdlibh": "Trilu",
        "fdlibhcu": "Pad ReduceMax ReduceMin",
        "fdlibhscu": "Compress Equal Expand Tile",
        "fdli": "Einsum",
        "fdlih": "CumSum MatMul Pow ReduceL1 ReduceL2 ReduceLogSumExp ReduceMean ReduceProd "
        "ReduceSum",
        "fdlihcu": "ArgMax ArgMin Clip Max Min Where",
        "fdlihsc": "Neg",
        "fdlihscu": "Abs Add Div Greater GreaterOrEqual Less LessOrEqual Mod Mul Sign Sub TopK",
        "fh": "Acos Acosh Asin Asinh Atan Atanh AveragePool Conv ConvTranspose Cosh Elu "
        "Erf Gelu HardSigmoid HardSwish InstanceNormalization LeakyRelu Mish PRelu "
        "Selu Sinh Softplus Softsign Tan",
        "fihcu": "Resize",
        "flibhu": "NonZero",
        "liscu": "BitwiseAnd BitwiseNot BitwiseOr BitwiseXor",
    }.items()
    for kind in kinds.split()
}  # fmt: skip
# Where a kernel lacks a type: those that hold all its values, nearest first.
_WIDER = {"b": "uil", "u": "ilf", "c": "ilf", "s": "ilf", "i": "l", "h": "f"}


def kernel_dtype(kind: str, dtype: torch.dtype) -> torch.dtype:
    """The dtype in which an op computes what it would in ``dtype``.

    Raises:
        Unsupported: there is none.
    """
    letter = next(name for name, known in _LETTERS.items() if known is dtype)
    taken = _KERNELS.get(kind)
    if taken is None or letter in taken:
        return dtype
    for wider in _WIDER.get(letter, ""):
        if wider in taken:
            return _LETTERS[wider]
    raise Unsupported(f"onnxruntime has no {kind} of {dtype}")
