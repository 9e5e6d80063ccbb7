"""Random programs of views and writes, captured by example; is an answer ever wrong?

python3 dev.py bench views [programs] [seed] [examples]

Each makes parts of tensors and parts of those (cut at literals, at sizes and at what tensors say),
and writes some of them in place. Examples have one to three rows and columns, so that parts are
often all that there is; other inputs have up to five. One example is asked for its own size alone.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch

import flexir
from bench.answers import outcome

Program = Callable[[torch.Tensor], Any]
Part = Callable[[torch.Tensor, int, torch.Tensor], torch.Tensor]


def _of(x: torch.Tensor, many: int) -> torch.Tensor:
    """A tensor of one whole number below ``many``, which the elements of the input decide."""
    return x.sum().mul(7).long() % many


# Of a tensor, by one of its dimensions; the last argument is the input.
PARTS: list[Part] = [
    lambda t, d, x: t[:2],
    lambda t, d, x: t[-2:],
    lambda t, d, x: t[:, :2] if t.dim() > 1 else t[1:],
    lambda t, d, x: t.narrow(d, 0, min(2, t.shape[d])),
    lambda t, d, x: t[0],
    lambda t, d, x: t[-1],
    lambda t, d, x: t.transpose(0, d),
    lambda t, d, x: t.chunk(2, d)[0],
    lambda t, d, x: t.split(2, d)[0],
    lambda t, d, x: t.reshape(-1)[:3],
    lambda t, d, x: t.unsqueeze(d),
    lambda t, d, x: t[::2],
    lambda t, d, x: t.detach(),
    lambda t, d, x: t.diagonal() if t.dim() > 1 else t,
    lambda t, d, x: t[1 : t.shape[0]],
    lambda t, d, x: t[: t.shape[0] // 2 + 1],
    lambda t, d, x: t[_of(x, len(t))],
    lambda t, d, x: t[: _of(x, len(t) + 1)],
    lambda t, d, x: t[_of(x, len(t)) :],
    lambda t, d, x: t[..., _of(x, t.shape[-1])],
    lambda t, d, x: t.narrow(d, _of(x, t.shape[d]), 1),
    lambda t, d, x: t.select(d, _of(x, t.shape[d])),
]


def _first_to_seven(t: torch.Tensor) -> None:
    t[0] = t[0] * 0 + 7


def _first_row_more(t: torch.Tensor) -> None:
    t[:1] += 2


WRITES: list[Callable[[torch.Tensor], object]] = [
    lambda t: t.add_(1),
    lambda t: t.mul_(2),
    lambda t: t.zero_(),
    lambda t: t.copy_(t.detach() * 0.5),
    lambda t: t.masked_fill_(t > 1, 3.0),
    lambda t: torch.add(t, 1, out=t),
    _first_to_seven,
    _first_row_more,
]


def program(seed: int) -> Program:
    """One of them; the same for the same seed."""
    draw = random.Random(seed)
    kinds = ("part", "part", "part", "write", "write", "read", "new")
    steps = [(draw.choice(kinds), draw.random(), draw.random(), draw.random())
             for _ in range(draw.randint(2, 7))]  # fmt: skip

    def run(x: torch.Tensor) -> list[torch.Tensor]:
        held, read = [x.clone()], []
        for kind, one, other, third in steps:
            t = held[int(one * len(held))]
            if kind == "read":
                read.append(t * 1)
            elif kind == "new":
                held.append(t * 3)
            elif kind == "write":
                WRITES[int(third * len(WRITES))](t)
            elif t.dim():
                held.append(PARTS[int(third * len(PARTS))](t, int(other * t.dim()), x))
        return [*(t * 1 for t in held), *read]

    return run


def outcomes(seed: int, examples: int = 2, fresh: int = 14) -> Counter[str]:
    """How many inputs of one program are right, refused or wrong; nothing if it does not run."""
    model, draw = program(seed), random.Random(-1 - seed)
    torch.manual_seed(seed)
    shown = [torch.rand(draw.randint(1, 3), draw.randint(1, 3)) for _ in range(examples)]
    found: Counter[str] = Counter()
    try:
        for x in shown:
            model(x)
    except (RuntimeError, IndexError):
        return found
    graph = flexir.capture(model, shown[0], also=shown[1:])
    for _ in range(fresh):
        shape = (draw.randint(1, 5), draw.randint(1, 5)) if examples > 1 else shown[0].shape
        x = torch.rand(shape)
        try:
            model(x.clone())
        except (RuntimeError, IndexError):
            continue
        found[outcome(graph, model, flexir.Inputs(x))] += 1
    return found


def main(arguments: list[str]) -> None:
    programs, seed, examples = (*map(int, arguments), *(300, 0, 2)[len(arguments) :])
    found: Counter[str] = Counter()
    for number in range(seed, seed + programs):
        one = outcomes(number, examples)
        found += one
        if one["wrong"]:
            print(f"wrong: program {number}, {one['wrong']} inputs", flush=True)
    print(f"{programs} programs, {examples} examples each: {found['right']} inputs right, "
          f"{found['refused']} refused, {found['wrong']} wrong")  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
