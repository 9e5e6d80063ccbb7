"""Worked targets for real engines, each behind an extra and on flexir's public API alone.

Owns no representation of its own and no mechanism: what a target needs and cannot say with
``import flexir`` is a gap in the library. Each is a module with the same functions::

    result = flexir.targets.onnx.convert(model, args, kwargs)  # a Result: .output, .report
    outputs = flexir.targets.onnx.run(result.output, *args)  # in torch's structure
    flexir.targets.onnx.save(result.output, "net.onnx")

How to write one: ``docs/targets.md``.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ..errors import Error

if TYPE_CHECKING:
    from . import jax, ncnn, onnx, openvino

__all__ = ["jax", "ncnn", "onnx", "openvino"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return importlib.import_module(f".{name}", __name__)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith(__name__):
            raise
        raise Error(
            f"the target {name!r} needs {error.name}: pip install flextorchir[{name}]"
        ) from error
