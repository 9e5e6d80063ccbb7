"""Control flow that depends on data: one example is one path, and says so; more are a loop.

python howto_control_flow.py
"""

import torch

import flexir


class Halving(torch.nn.Module):
    """Halve until small enough; how often depends on the input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        while x.abs().max() > 1:
            x = x / 2
        return x


def main() -> None:
    model = Halving()
    graph = flexir.capture(model, (torch.full((2, 2), 3.0),))
    print(graph)

    print("\nGuards: what the recorded path depends on")
    for node in graph.guards:
        print(f"  {node.op}() was {node.result} at {node.source}")

    same_path = torch.full((2, 2), 3.5)
    print("\nAnother input, same path:", flexir.verify(graph, model, (same_path,)).verdict)

    other_path = torch.full((2, 2), 7.0)
    try:
        graph(other_path)
    except flexir.Diverged as error:
        print(f"\nAnother path is refused, not computed wrongly:\n  {error}")

    shown = [(torch.full((2, 2), value),) for value in (0.5, 1.5, 7.0)]  # 0, 1 and 3 rounds
    whole = flexir.capture(model, (torch.full((2, 2), 3.0),), also=shown)
    print("\nShown other numbers of rounds, the graph has the loop:")
    print(whole)
    far = torch.full((2, 2), 900.0)
    print("\nTen rounds, never shown:", flexir.verify(whole, model, (far,)).verdict)


if __name__ == "__main__":
    main()
