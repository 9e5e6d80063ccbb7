"""Loops and early ends of unmodified Python, captured by example, at lengths and paths unseen.

python3 dev.py bench loops

One line for each: how many examples were shown, whether they became one graph, and what became of
inputs that were not shown: right, refused by name, wrong (must not occur).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import flexir
from bench.answers import outcome


class Cells(nn.Module):
    """An LSTM cell, step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(3, 5)

    def forward(self, x: torch.Tensor) -> Any:
        h = c = torch.zeros(x.shape[0], 5)
        outs = []
        for t in range(x.shape[1]):
            h, c = self.cell(x[:, t], (h, c))
            outs.append(h)
        return torch.stack(outs, 1), c


class Greedy(nn.Module):
    """Greedy decoding until the end is said, or enough."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(12, 8), nn.Linear(8, 12)

    def forward(self, ids: torch.Tensor) -> Any:
        while ids.shape[0] < 40:
            h = self.embedding(ids).mean(0) + self.embedding(ids[-1])
            following = self.head(h).argmax(-1, keepdim=True)
            ids = torch.cat([ids, following])
            if following.item() < 3:
                break
        return ids


class EarlyExit(nn.Module):
    """Layers until one is sure."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(6, 6) for _ in range(3)])
        self.heads = nn.ModuleList([nn.Linear(6, 2) for _ in range(3)])

    def forward(self, x: torch.Tensor) -> Any:
        for layer, head in zip(self.layers, self.heads):
            x = layer(x).tanh()
            made = head(x).softmax(-1)
            if made.max() > 0.62:
                return made
        return made


class AdaptiveDepth(nn.Module):
    """One layer again and again until nothing moves."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> Any:
        before = x
        x = self.layer(x).tanh()
        while (x - before).abs().max() > 0.05:
            before = x
            x = self.layer(x).tanh()
        return x


class Experts(nn.Module):
    """A mixture of experts that skips those that nothing is routed to."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(6, 3)
        self.experts = nn.ModuleList([nn.Linear(6, 6) for _ in range(3)])

    def forward(self, x: torch.Tensor) -> Any:
        chosen = self.gate(x).argmax(-1)
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            hit = (chosen == number).nonzero().flatten()
            if hit.numel() > 0:
                out = out.index_add(0, hit, expert(x[hit]))
        return out


class Scan(nn.Module):
    """The slow path of a state space model: a state decays and is read at each step."""

    def __init__(self) -> None:
        super().__init__()
        self.decay, self.step = nn.Parameter(torch.randn(4)), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> Any:
        state = None
        outs = []
        delta = nn.functional.softplus(self.step(x))
        for t in range(x.shape[1]):
            gain = torch.exp(-delta[:, t] * self.decay.exp())
            state = delta[:, t] * x[:, t] if state is None else gain * state + delta[:, t] * x[:, t]
            outs.append(state.sum(-1))
        return torch.stack(outs, 1), sum(outs)


def _vectors(n: int, scale: float = 1.0) -> list[torch.Tensor]:
    return [torch.randn(6) * scale for _ in range(n)]


CASES: list[tuple[type[nn.Module], Callable[[], list[torch.Tensor]], int]] = [
    (Cells, lambda: [torch.randn(2, n, 3) for n in (3, 5, 1, 2, 8, 13)], 2),
    (Scan, lambda: [torch.randn(2, n, 4) for n in (3, 5, 2, 4, 8, 13)], 2),
    (Greedy, lambda: [torch.randint(12, (n,)) for n in (2, 3, 5, 4, 2, 6, 1, 7, 9, 3, 8, 4)], 6),
    (EarlyExit, lambda: _vectors(20, 2.0), 8),
    (AdaptiveDepth, lambda: [v * k for k, v in enumerate(_vectors(14, 0.5))], 6),
    (Experts, lambda: [torch.randn(n, 6) for n in (1, 2, 1, 4, 1, 3, 2, 5, 7, 1, 2, 9)], 7),
]  # fmt: skip


def main() -> None:
    """Print a line for each."""
    print(f"{'model':14} {'shown':>5} {'graph':9} {'unseen':>6} {'right':>5} {'refused':>7} wrong")
    for model_class, draw, many in CASES:
        torch.manual_seed(0)
        model = model_class().eval()
        drawn = draw()
        with torch.no_grad():
            shown, fresh = drawn[:many], drawn[many:]
            graph = flexir.capture(model, (shown[0],), also=[(x,) for x in shown[1:]])
            kind = "variants" if graph.variants else "one"
            found = Counter(outcome(graph, model, flexir.Inputs(x)) for x in fresh)
        print(f"{model_class.__name__:14} {many:5} {kind:9} {len(fresh):6} {found['right']:5} "
              f"{found['refused']:7} {found['wrong']}")  # fmt: skip


if __name__ == "__main__":
    main()
