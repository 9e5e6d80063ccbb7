"""The source of a function is read as it is now, and believed only where it is the function's."""

import importlib.util
import os
import sys

import pytest
import torch

import flexir
from flexir.recording.parsed import function_of

BEFORE = """
def model(x):
    total = x[0] * 0
    for row in x:
        if row.sum() > 0:
            total = total + row
    return total
"""
AFTER = """
NUMBERS = [1, 2]


def other(x):
    return x


def model(x):
    last = x[0] * 0
    total = last
    for row in x:
        if row.sum() > 0:
            last = row
        else:
            total = total + last
    return total, last
"""


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes the source of a module and, if it is to be loaded, gives the module."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    seconds = iter(range(10**9, 2 * 10**9, 100))

    def write(text, loaded=True):
        file = tmp_path / "changing.py"
        file.write_text(text)
        os.utime(file, (now := next(seconds), now))
        if not loaded:
            return None
        spec = importlib.util.spec_from_file_location("changing", file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return write


def rows(*signs):
    return torch.tensor([[s * (i + 1.0), s] for i, s in enumerate(signs)])


SHOWN = [rows(1, -1, -1, 1), rows(-1, 1, 1, -1, -1), rows(1, 1, -1)]
FRESH = [rows(1, -1), rows(-1, -1, 1, 1, -1, 1), rows(1, 1, 1, -1, 1, -1)]


def answers(model, graph):
    found = []
    for x in FRESH:
        try:
            made = graph(x)
        except flexir.Diverged:
            found.append("refused")
        else:
            torch.testing.assert_close(made, model(x), rtol=0, atol=0)
            found.append("right")
    return found


def captured(model):
    return flexir.capture(model, (SHOWN[0],), also=[(x,) for x in SHOWN[1:]])


def test_a_file_that_is_changed_and_loaded_again(written):
    for text in (BEFORE, AFTER, BEFORE):
        model = written(text).model
        assert answers(model, captured(model)) == ["right"] * 3


@pytest.mark.skipif(sys.version_info < (3, 11), reason="code does not say where names stand")
def test_a_file_that_is_changed_and_not_loaded_again(written):
    model = written(BEFORE).model
    assert function_of(model.__code__) is not None
    other = written(AFTER).model
    written(BEFORE, loaded=False)
    assert function_of(other.__code__) is None
    answers(other, captured(other))  # right or refused
    assert captured(model)(FRESH[0]) is not None
