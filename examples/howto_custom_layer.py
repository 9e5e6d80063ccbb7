"""A layer of your own with NumPy inside: keep it whole, by class or as an opaque function.

python howto_custom_layer.py
"""

import numpy as np
import torch

import flexir


class SoftArgMax(torch.nn.Module):
    """Expected index along the last axis, computed by NumPy: no tracer sees through this."""

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(expected_index(x.numpy(), self.beta))


def expected_index(x: np.ndarray, beta: float) -> np.ndarray:
    weight = np.exp(beta * (x - x.max(-1, keepdims=True)))
    weight /= weight.sum(-1, keepdims=True)
    return (weight * np.arange(x.shape[-1])).sum(-1).astype(x.dtype)


@flexir.opaque
def soft_argmax(x: torch.Tensor, beta: float = 1.0) -> torch.Tensor:
    """The same as a function; ``opaque`` makes it one op of the graph."""
    return torch.from_numpy(expected_index(x.numpy(), beta))


class Head(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Hardtanh()
        self.argmax = SoftArgMax(beta=10.0)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.scale(x)
        return self.argmax(x), soft_argmax(x, beta=10.0)


ir = flexir.Target("mine")


@ir.op("hardtanh")
def hardtanh(ctx, input, min_val, max_val):
    return f"clip({input}, {min_val:g}, {max_val:g})"


@ir.module(SoftArgMax)
def soft_argmax_layer(ctx, module, x):
    return f"softargmax({x}, beta={module.beta:g})"


@ir.op(soft_argmax)
def soft_argmax_op(ctx, x, beta):
    return f"softargmax({x}, beta={beta:g})"


@ir.input
def graph_input(ctx, name, type):
    return name


def main() -> None:
    model, x = Head(), torch.rand(2, 5)
    graph = flexir.capture(model, (x,))
    print(graph)

    print("\nThrough the handlers:")
    result = flexir.convert(graph, target=ir)
    for output in result.outputs:
        print(" ", output)

    # The opaque op replays on any input. Inside the module the watcher saw NumPy take the
    # values away and a tensor come back from nowhere: the graph says so instead of freezing it.
    print("\nWhat the capture cannot vouch for:")
    print(graph.audit)
    try:
        graph(torch.rand(2, 5))
    except flexir.Diverged as error:
        print(f"\nReplay on another input is refused:\n  {error}")


if __name__ == "__main__":
    main()
