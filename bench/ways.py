"""Random programs of one loop whose rounds go many ways, for ``bench written``.

Conditions stand after each other and in each other, mostly without ``else``; under them variables
are set, exchanged, counted and made parts of other tensors, and parts are written.
"""

from __future__ import annotations

import random

import torch


class Ways:
    """Writes one program: ``x`` has one dimension, ``t`` is an element of it."""

    columns = 0.0
    _TENSORS = ("a", "b", "c", "w[0]", "o[0]", "p[0]", "t", "o[i]", "p[i]", "o[-1]", "w.sum()")
    _NUMBERS = ("n", "k", "len(m)", "i", "1", "2")

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)

    def example(self, x: torch.Tensor, draw: random.Random) -> torch.Tensor:
        """An example, often of one sign but for its last element: ways gone last alone."""
        if draw.random() < 0.5:
            return x
        x = x.abs() * draw.choice([1, -1])
        if draw.random() < 0.7:
            x[-1] *= -1
        return x

    def program(self) -> str:
        draw = self.draw
        view = draw.choice(["o[:1]", "o", "o[-1:]", "p", "o.view(-1)", "p[:2]", "x", "p", "p"])
        lines = ["a, b, c = x[0], x[0] * 1, x.sum()", "o, p = x.clone(), x * 0",
                 "n, k, m = 0, 1, []", f"w = {view}"]  # fmt: skip
        if draw.random() < 0.7:
            lines += ["for i, t in enumerate(x):"]
        else:
            lines += ["for i in range(x.shape[0]):", "    t = x[i]"]
        lines += [f"    {line}" for _ in range(draw.randint(2, 5)) for line in self.statement(1)]
        if draw.random() < 0.3:
            lines += [f"    c = c + {self.tensor()} * {self.number()}"]
        if draw.random() < 0.3:
            again = [f"    {line}" for line in self.statement(2)]
            lines += ["for i in range(x.shape[0]):", "    t = x[i]", *again]
        given = draw.sample(["a", "b", "c", "o", "p", "n", "k", "m", "w"], draw.randint(1, 4))
        lines += [f"return {', '.join(given)}"]
        return "\n".join(["def model(x):", *(f"    {line}" for line in lines)]) + "\n"

    def tensor(self) -> str:
        return self.draw.choice(self._TENSORS)

    def number(self) -> str:
        return self.draw.choice(self._NUMBERS)

    def condition(self) -> str:
        draw = self.draw
        asked = draw.choice([
            f"t > {draw.choice(['0', '0.3', '-0.3', 'a', 'b'])}", f"{self.number()} > 1",
            f"{self.tensor()} > {self.tensor()}", f"0 < {self.tensor()} < 1",
            f"{self.tensor()} > {self.number()}",
        ])  # fmt: skip
        if draw.random() < 0.25:
            asked = f"{asked} and {self.condition()}"
        return f"not ({asked})" if draw.random() < 0.08 else asked

    def simple(self) -> str:
        draw, name, whole = self.draw, self.draw.choice("abc"), self.draw.choice("op")
        other, made = draw.choice([*self._TENSORS, *self._NUMBERS]), self.tensor()
        return draw.choice([
            f"{name} = {self.tensor()}", f"{name} = {self.tensor()} {draw.choice('+-*')} {other}",
            f"{draw.choice('nk')} {draw.choice(['+= 1', '= i', '= n + 1', '+= k', '= 0'])}",
            f"{whole}[{draw.choice(['0', 'i', '-1'])}] {draw.choice(['=', '+=', '-='])} {made}",
            f"{draw.choice('opw')}.{draw.choice(['mul_(0.5)', 'add_(1)', 'neg_()'])}",
            f"m.append({self.tensor()} * 1)", "a, b = b, a",
            f"w = {draw.choice(['o[:1]', 'p', 'o', 'o[i:]', 'p[:1]'])}",
        ])  # fmt: skip

    def statement(self, depth: int) -> list[str]:
        if depth > 3 or self.draw.random() < 0.65:
            return [self.simple()]
        many = self.draw.choice([1, 1, 2])
        inside = [line for _ in range(many) for line in self.statement(depth + 1)]
        lines = [f"if {self.condition()}:", *(f"    {line}" for line in inside)]
        if self.draw.random() < 0.15:
            lines += ["else:", *(f"    {line}" for line in self.statement(depth + 1))]
        return lines
