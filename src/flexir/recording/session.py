"""The time in which a model is watched: modes, hooks, compilers and the collector, on and off.

However the model ends, torch and the process are left as they were. What is seen goes to a
recorder; nothing is recorded here.
"""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
from collections.abc import Iterator
from typing import Any

import torch

from ..errors import CaptureError, add_note
from ..graph.source import locate
from .compilers import eager_compilers
from .kernels import telling_kernels
from .listening import listening
from .watchers import FunctionWatch

_local = threading.local()


def running() -> Any:
    """The recorder of the capture that is running in this thread; None if none is."""
    return getattr(_local, "recorder", None)


@contextlib.contextmanager
def watching(recorder: Any) -> Iterator[None]:
    """Context manager: a recorder is told of torch calls, module calls and the ATen ops beneath.

    Raises:
        CaptureError: a capture is already running in this thread.
    """
    if running() is not None:
        raise CaptureError("a capture is already running in this thread; captures do not nest")
    hooks = torch.nn.modules.module
    with contextlib.ExitStack() as stack:
        _local.recorder = recorder
        stack.callback(setattr, _local, "recorder", None)
        stack.enter_context(eager_compilers())
        stack.enter_context(_threads_in(recorder.audit.laundered))
        stack.enter_context(telling_kernels(recorder.audit.problems))
        if recorder.witness is not None:
            stack.enter_context(recorder.witness)
        pre = hooks.register_module_forward_pre_hook(recorder.modules.enter)
        stack.callback(pre.remove)
        post = hooks.register_module_forward_hook(recorder.modules.leave, always_call=True)
        stack.callback(post.remove)
        if recorder.numbers is not None:
            stack.enter_context(listening(recorder.found.holdings.functions))
        if recorder.functions:
            stack.enter_context(FunctionWatch(recorder))
        try:
            yield
        except Exception as error:
            _note(error, recorder)
            raise


@contextlib.contextmanager
def _threads_in(told: list[str]) -> Iterator[None]:
    """Within, each thread that Python starts adds a line: modes see only the one they are set in.

    What such a thread makes is found when the model reads it; what it takes of tensors is not.
    """
    before = threading.getprofile()

    def begin(*_: Any) -> None:
        sys.setprofile(before)
        told.append(f"what the thread {threading.current_thread().name!r} did")

    threading.setprofile(begin)
    try:
        yield
    finally:
        threading.setprofile(before)


def _note(error: BaseException, recorder: Any) -> None:
    """Say in which module, and where in the user's code, the model stood."""
    text = f"while capturing {type(recorder.model).__name__}"
    traceback, module, source = error.__traceback__, None, None
    while traceback is not None:
        owner = traceback.tb_frame.f_locals.get("self")
        if id(owner) in recorder.found.paths:
            module = owner
        source = locate(traceback.tb_frame) or source
        traceback = traceback.tb_next
    if module is not None:
        text += f", in module {recorder.trace.path(module)!r} ({type(module).__name__})"
    add_note(error, f"{text}, at {source}" if source else text)


@contextlib.contextmanager
def collector_at_rest() -> Iterator[bool]:
    """Context manager: the garbage collector runs only when it is asked to.

    A graph is many small objects. Left alone they would make the collector walk the whole heap of
    the process, torch included.

    Yields:
        whether what is made within can be told by its youth from what was there before.
    """
    inside = getattr(_local, "rests", False)
    if not inside and not gc.isenabled():
        yield False
        return
    gc.disable()
    _local.rests = True
    try:
        gc.collect(
            0
        )  # what is there moves to an older generation; what is made now stays in the young one
        yield True
    finally:
        _local.rests = inside
        if not inside:
            gc.enable()
