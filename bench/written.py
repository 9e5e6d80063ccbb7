"""Random programs that write parts of tensors in rounds and branches; is an answer ever wrong?

python3 dev.py bench written [programs] [seed] [examples] [ways]

They cut tensors into parts, write those or the whole, put them into a list, give variables
something else, and break out of loops that count, go over rows, or stand in each other. Examples
have one to four rows, other inputs up to six. Prints how many of those are right, refused or wrong.
With ``ways``: programs of one loop and many conditions (:mod:`bench.ways`).
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
from bench.examples import compiled
from bench.ways import Ways

RAISES = (RuntimeError, IndexError, TypeError, ZeroDivisionError)  # what a program does not take


class Writer:
    """Writes one program: ``x`` is the input, ``o`` a tensor to write, ``n`` a number."""

    columns = 0.6  # of the programs: inputs of two dimensions

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.tensors = ["o"]
        self.rounds: list[str] = []
        self.many = 0

    def example(self, x: torch.Tensor, draw: random.Random) -> torch.Tensor:
        """An example made of a random input: that."""
        return x

    def program(self) -> str:
        lines = ["def model(x):", "    o = x.clone()", "    n = 0", "    r = []"]
        for _ in range(self.draw.randint(3, 6)):
            lines += ["    " + line for line in self.statement(0)]
        return "\n".join([*lines, f"    return r, n, {', '.join(self.tensors)}"]) + "\n"

    def name(self, kind: str) -> str:
        self.many += 1
        return f"{kind}{self.many}"

    def tensor(self) -> str:
        return self.draw.choice(self.tensors)

    def place(self) -> str:
        """A number that is to be the place of a row."""
        now = [*self.rounds * 3, *(f"{one} - 1" for one in self.rounds)]
        return self.draw.choice(["0", "-1", "x.shape[0] - 1", "n % x.shape[0]", *now])

    def part(self) -> str:
        t, i = self.tensor(), self.place()
        return self.draw.choice([
            f"{t}[:2]", f"{t}[-2:]", f"{t}[1:]", f"{t}[:{i}]", f"{t}[{i}:]", f"{t}[{i}]",
            f"{t}[::2]", f"{t}[: x.shape[0] // 2 + 1]", f"{t}[{t} > 0.2]", f"{t}.view(-1)",
            f"{t}.flip(0)", f"{t}.unsqueeze(0)", f"{t}.narrow(0, 0, min(2, {t}.shape[0]))",
        ])  # fmt: skip

    def condition(self) -> str:
        t, other = self.tensor(), self.tensor()
        asked = [
            f"{t}.sum() > 0.3", "x.sum() > 0", f"{t}.mean() > {other}.max() / 2",
            "x.shape[0] > 2", "n > 1", "n % 2 == 0", "bool((x > 0.8).any())",
        ]  # fmt: skip
        for one in self.rounds:
            asked += [f"x[{one}] > 0", f"{one} % 2 == 0", f"{one} > 0", f"{t}[{one}].sum() > 0.1"]
        return self.draw.choice(asked)

    def write(self) -> str:
        t, other, i, j = self.tensor(), self.tensor(), self.place(), self.place()
        return self.draw.choice([
            f"{t}.add_(1)", f"{t}.mul_(0.5)", f"{t}.clamp_(min=0)", f"{t}.copy_({t} * 0.5)",
            f"{t}[{i}] = 0.25", f"{t}[{i}] += 1", f"{t}[:2] += {other}.sum()",
            f"{t}[{i}] = x[{j}]", f"{self.part()}.neg_()", f"{t}[{i}:] *= 2", f"{t}[:{i}] -= 1",
            f"{t}[{i}] += {t}[{j}]",
        ])  # fmt: skip

    def inside(self, depth: int, most: int = 2) -> list[str]:
        """A block of statements; what they make cannot be read after it."""
        known, many = len(self.tensors), self.draw.randint(1, most)
        lines = ["    " + line for _ in range(many) for line in self.statement(depth + 1)]
        del self.tensors[known:]
        return lines

    def statement(self, depth: int) -> list[str]:
        kind, draw = self.draw.random(), self.draw
        if kind < 0.25:
            return [self.write()]
        if kind < 0.4:
            return [self.given(depth)]
        if kind < 0.5:
            return [f"r.append({self.tensor()}{draw.choice([' * 1', ''])})"]
        if kind < 0.57:
            more = ["n += 1", "n += x.shape[0]", "n = 0", f"n += int({self.tensor()}.sum() > 0)"]
            return [draw.choice(more)]
        if kind < 0.8 and depth < 3:
            lines = [f"if {self.condition()}:", *self.inside(depth)]
            return [*lines, "else:", *self.inside(depth)] if draw.random() < 0.5 else lines
        return self.loop(depth) if depth < 2 else [self.write()]

    def given(self, depth: int) -> str:
        """A variable gets a tensor: one of its own, or one that has another."""
        if not depth or self.draw.random() < 0.4:
            name, part = self.name("v"), self.part()
            self.tensors.append(name)
            return f"{name} = {part}"
        t, other = self.tensor(), self.tensor()
        made = [self.part(), f"{t} * 2", f"{t} + {other}.sum()", f"{t}.clone()", other]
        return f"{t} = {self.draw.choice(made)}"

    def loop(self, depth: int) -> list[str]:
        known, numbers = len(self.tensors), len(self.rounds)
        if self.draw.random() < 0.65:
            name = self.name("i")
            many = self.draw.choice(["x.shape[0]", "x.shape[0]", "len(o)", "x.shape[0] - 1", "2"])
            lines = [f"for {name} in range({many}):"]
            self.rounds.append(name)
        else:
            name = self.name("w")
            lines = [f"for {name} in {self.draw.choice(['x.unbind()', 'o', self.tensor()])}:"]
            self.tensors.append(name)
        lines += self.inside(depth, 3)
        if self.draw.random() < 0.2:
            lines += [f"    if {self.condition()}:", "        break"]
        del self.tensors[known:], self.rounds[numbers:]
        return lines


def outcomes(writer: Writer | Ways, seed: int, examples: int = 3, fresh: int = 14) -> Counter[str]:
    """How many inputs of one program are right, refused or wrong; nothing if it does not run."""
    model: Callable[[torch.Tensor], Any] = compiled(
        writer.program(), f"<{type(writer).__name__} {seed}>"
    )
    draw = random.Random(-1 - seed)
    torch.manual_seed(seed)
    columns = draw.random() < writer.columns

    def input(most: int) -> torch.Tensor:
        shape = (draw.randint(1, most), draw.randint(1, 3))
        return torch.randn(shape[: 2 if columns else 1])

    def runs(x: torch.Tensor) -> bool:
        try:
            model(x.clone())
        except RAISES:
            return False
        return True

    found: Counter[str] = Counter()
    drawn = (writer.example(input(4), draw) for _ in range(10 * examples))
    shown = list(filter(runs, drawn))[:examples]
    if len(shown) < examples:
        return found
    graph = flexir.capture(model, shown[0].clone(), also=[x.clone() for x in shown[1:]])
    found["merged" if not graph.variants else "in variants"] = 1
    for x in (*shown, *filter(runs, (input(6) for _ in range(fresh)))):
        found[outcome(graph, model, flexir.Inputs(x))] += 1
    return found


def main(arguments: list[str]) -> None:
    numbers = [int(word) for word in arguments if word != "ways"]
    programs, seed, examples = (*numbers, *(300, 0, 3)[len(numbers) :])
    writer = Ways if "ways" in arguments else Writer
    found: Counter[str] = Counter()
    for number in range(seed, seed + programs):
        print(f"{number - seed + 1}/{programs}", end="\r", file=sys.stderr, flush=True)
        one = outcomes(writer(number), number, examples)
        found += one
        if one["wrong"]:
            print(f"wrong: {one['wrong']} inputs of\n{writer(number).program()}", flush=True)
    print(f"{programs} programs, {examples} examples each: {found['merged']} one graph, "
          f"{found['in variants']} in variants; inputs, examples among them: {found['right']} "
          f"right, {found['refused']} refused, {found['wrong']} wrong")  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
