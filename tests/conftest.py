"""Shared by all tests: the repository root on the path (for ``zoo``), one thread, a clean torch."""

import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
torch.set_num_threads(1)


def notes_of(error: BaseException) -> str:
    """Message and notes of an error; before Python 3.11 notes are part of the message."""
    return "\n".join([str(error), *getattr(error, "__notes__", ())])


@pytest.fixture
def root() -> Path:
    return ROOT


@pytest.fixture(autouse=True)
def torch_is_left_as_it_was():
    """No mode, hook or switch of a capture outlives a test."""
    torch.manual_seed(0)
    hooks = torch.nn.modules.module
    yield
    assert torch._C._len_torch_function_stack() == 0
    assert torch._C._len_torch_dispatch_stack() == 0
    assert not hooks._global_forward_hooks
    assert not hooks._global_forward_pre_hooks
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() is torch.float32
