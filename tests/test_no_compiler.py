"""Meta functions are called without torch's compiler, and nothing tells of it afterwards."""

import subprocess
import sys

import pytest

from flexir.recording.no_compiler import no_compiler

EXAMPLES = """
import sys
import torch
import flexir

layers = torch.nn.Linear(8, 4), torch.nn.BatchNorm1d(5), torch.nn.ReLU(), torch.nn.Softmax(-1)
model = torch.nn.Sequential(*layers).eval()
with torch.no_grad():
    graph = flexir.capture(model, torch.randn(2, 5, 8), also=[torch.randn(3, 5, 8)])
    x = torch.randn(4, 5, 8)
    assert torch.equal(graph(x), model(x))
assert "torch._dynamo" not in sys.modules and "_dynamo" not in vars(torch)
"""

AFTERWARDS = """
import sys
import torch
from flexir.recording.no_compiler import no_compiler

with no_compiler():
    stands = sys.modules["torch._dynamo"]
    torch.sqrt(torch.ones(2, device="meta"))
    asked = stands.asked[:]
    assert all(vars(one)["__dynamo_disable"] is one for one in asked)
assert not any("__dynamo_disable" in vars(one) for one in asked)
assert sys.modules.get("torch._dynamo") is not stands
compiled = torch.compile(lambda x: x + 1, backend="eager")
assert torch.equal(compiled(torch.ones(2)), torch.full((2,), 2.0))
torch.sqrt(torch.ones(2, device="meta"))
assert all(vars(one)["__dynamo_disable"] is not one for one in asked)
with no_compiler():
    assert sys.modules["torch._dynamo"] is not stands
"""

COMPILED_INSIDE = """
import torch
import flexir

def model(x):
    return torch.compile(torch.relu, backend="eager")(x) * x.shape[0]

graph = flexir.capture(model, torch.randn(2, 3), also=[torch.randn(4, 3)])
x = torch.randn(5, 3)
assert torch.equal(graph(x), model(x))
assert type(sum).__name__ == type(len).__name__ == "builtin_function_or_method"
"""

ASKED_MORE = """
import sys
import torch
from flexir.recording.no_compiler import no_compiler

with no_compiler():
    import torch._dynamo
    import torch._dynamo.config
    assert torch._dynamo.is_compiling() is False
    assert callable(torch._dynamo.disable(recursive=False))
assert hasattr(sys.modules["torch._dynamo"], "optimize")
"""


PROGRAMS = {"also": EXAMPLES, "after": AFTERWARDS, "more": ASKED_MORE, "inside": COMPILED_INSIDE}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_in_a_process_of_its_own(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_where_it_is_imported_it_stays():
    import torch._dynamo as real

    with no_compiler():
        assert sys.modules["torch._dynamo"] is real
    assert sys.modules["torch._dynamo"] is real
