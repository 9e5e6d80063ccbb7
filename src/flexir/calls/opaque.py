"""``@opaque`` makes any Python function one call of the graph.

Owns the decorator alone; that such a call is recorded is the function mode's matter, as for any.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

from torch.overrides import handle_torch_function

F = TypeVar("F", bound=Callable[..., object])


def opaque(function: F) -> F:
    """Record calls of ``function`` as one op named after it.

    For code no watcher can see through: NumPy inside, a C++ extension, your own kernel. Outside a
    capture the function is called as it is. Its arguments keep their names, so a handler reads
    ``@ir.op(function)`` / ``def handler(ctx, <its arguments>)``.

    Args:
        function: takes and returns tensors, in any nesting of containers, beside other things.

    Returns:
        the function to call in the place of ``function``, with its name and signature.

    Example:
        >>> @opaque
        ... def double(x):
        ...     return x * 2
    """
    import torch

    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        if torch._C._len_torch_function_stack():
            return handle_torch_function(call, (), *args, **kwargs)
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]
