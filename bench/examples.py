"""Random programs with branches, loops and size arithmetic, captured by example.

python3 dev.py bench examples [programs] [seed] [examples] [wild]

Each program is shown a few inputs and then asked for fresh ones. "merged": one graph takes all of
the examples, without variants. A fresh input is right, refused by name, wrong, or torch
raises on the way; wrong is printed with its program, and must not occur. ``wild`` programs keep
more in plain variables (flags, numbers, functions, tensors or None) than anybody should.
"""

from __future__ import annotations

import linecache
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch

import flexir
from flexir.graph.choice import every, is_choice, is_loop
from flexir.recording.proof import equal

EXAMPLES, FRESH = 5, 8


class Writer:
    """Writes one program: ``x`` is [n, 3], ``h`` a vector of 3, ``made`` a list of vectors."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.lines: list[str] = []
        self.names = 0

    def program(self) -> str:
        self.lines = ["def model(x):", "    h = x[0] * 0.5", "    made = [h]", "    n = 0"]
        for _ in range(self.draw.randint(1, 4)):
            self.statement(1, "h", None)
        ending = self.draw.choice(
            ["h", "h, x", "torch.stack(made)", "h + torch.cat(made)[:3]", "h, len(made)", "h * n"]
        )
        self.lines.append(f"    return {ending}")
        return "\n".join(self.lines) + "\n"

    def put(self, depth: int, line: str) -> None:
        self.lines.append("    " * depth + line)

    def name(self) -> str:
        self.names += 1
        return f"v{self.names}"

    def statement(self, depth: int, row: str, index: str | None) -> None:
        kinds: list[tuple[Callable[..., None], int]] = [
            (self.straight, 6), (self.sizes, 3), (self.collect, 2), (self.count, 1),
        ]  # fmt: skip
        if depth < 4:
            kinds += [(self.branch, 4)]
        if depth < 3:
            kinds += [(self.over, 5), (self.until, 2), (self.listed, 1)]
        chosen = self.draw.choices([k for k, _ in kinds], [w for _, w in kinds])[0]
        chosen(depth, row, index)

    def block(self, depth: int, row: str, index: str | None) -> None:
        for _ in range(self.draw.randint(1, 3)):
            self.statement(depth, row, index)

    def straight(self, depth: int, row: str, index: str | None) -> None:
        lines = [
            f"h = h + {row}.tanh()", "h = h * 0.5", "h = (h - 1).relu()", f"h = {row} - h.sin()",
            "x = x + h", "x = x * 1.5 - 0.1", "h = h.flip(0)",
        ]  # fmt: skip
        if index:
            lines += [f"h = h + x[{index}]", f"h = h * x[{index}, 0]", f"h = h + {index}",
                      f"x = x.clone(); x[{index}] = h"]  # fmt: skip
        self.put(depth, self.draw.choice(lines))

    def sizes(self, depth: int, row: str, index: str | None) -> None:
        self.put(depth, self.draw.choice([
            "h = h * x.shape[0]", "h = h + x.sum(0) / x.shape[0]", "x = x.view(-1, 3) * 0.9",
            "h = h + x.reshape(x.shape[0] * 3)[:3]", "h = h + x[x.shape[0] // 2]",
            "h = h / (len(x) + 1)",
        ]))  # fmt: skip

    def collect(self, depth: int, row: str, index: str | None) -> None:
        self.put(depth, "made.append(h)")

    def count(self, depth: int, row: str, index: str | None) -> None:
        self.put(depth, self.draw.choice(["n += 1", "h = h * n", "n = n + x.shape[0]"]))

    def branch(self, depth: int, row: str, index: str | None) -> None:
        tests = ["h.sum() > 0.5", f"{row}.max() > 0.8", "x.mean() > 0.4", "x.shape[0] > 3",
                 "x.shape[0] % 2 == 0", "h[0] < h[1]"]  # fmt: skip
        if index and self.draw.random() < 0.2:
            tests = [f"{index} > 1", f"{index} == x.shape[0] - 1", "n > 1"]
        self.put(depth, f"if {self.draw.choice(tests)}:")
        self.block(depth + 1, row, index)
        if self.draw.random() < 0.5:
            self.put(depth, "else:")
            self.block(depth + 1, row, index)

    def over(self, depth: int, row: str, index: str | None) -> None:
        i, r = self.name(), self.name()
        head, row, index = self.draw.choice([
            (f"for {r} in x:", r, None), (f"for {i} in range(x.shape[0]):", f"x[{i}]", i),
            (f"for {i} in range(len(x) - 1, -1, -1):", f"x[{i}]", i),
            (f"for {i} in range(1, x.size(0)):", f"x[{i}]", i),
            (f"for {i}, {r} in enumerate(x):", r, i), ("for _ in range(3):", "x[0]", None),
            (f"for {r} in x.unbind(0)[1:]:", r, None),
        ])  # fmt: skip
        self.put(depth, head)
        self.block(depth + 1, row, index)
        if self.draw.random() < 0.25:
            self.put(depth + 1, f"if h.sum() > {self.draw.choice([1, 2, 4])}:")
            self.put(depth + 2, self.draw.choice(["break", "continue"]))
            self.block(depth + 1, row, index)

    def until(self, depth: int, row: str, index: str | None) -> None:
        self.put(depth, self.draw.choice(["while h.norm() > 1:", "while h.abs().max() > 2:"]))
        self.straight(depth + 1, row, index)
        self.put(depth + 1, "h = h / 2 - h.sin() * 0.1")

    def listed(self, depth: int, row: str, index: str | None) -> None:
        one = self.name()
        self.put(depth, self.draw.choice([
            f"h = sum([{one}.exp() for {one} in x])",
            f"x = torch.stack([{one} * 2 for {one} in x])",
            f"for {one} in made: h = (h + {one}).sin()",
        ]))  # fmt: skip


class Wild(Writer):
    """Writes a program with more plain variables, which branches and rounds set and read."""

    HEAD = ("k, q, s, at = 2, 3, 1.0, 0", "flag, keep, kept, act = False, h, None, torch.sin",
            "got, d = [1], {'k': 1}")  # fmt: skip
    SETS = ("k = 3", "k = k + 1", "k = x.shape[0]", "k = len(x) - 1", "k = k * 2", "q = k + 1",
            "q = q if h[0] > 0.2 else k", "s = s * 0.5", "s = 2.0", "flag = True", "at = k",
            "flag = not flag", "keep = h", "keep = keep * 2", "kept = h", "kept = None",
            "act = torch.cos", "got.append(k)", "d['k'] = k", "k = 2 if h[1] > 0.3 else 5",
            "n = n + k")  # fmt: skip
    READS = ("h = h * k", "h = h * q / 4", "h = h * s", "h = h + keep", "h = act(h)",
             "h = scaled(h, k)", "h = h + x[k % x.shape[0]]", "h = h * T[k % 5]", "h = h * got[-1]",
             "h = h * d['k']", "h = h.sin() if flag else h", "h = h if kept is None else h + kept",
             "for _ in range(k % 4): h = h * 0.9", "h = h * len(got)", "h = h + x[min(at, 1)]",
             "x = x[:k] if k > 1 else x")  # fmt: skip

    def program(self) -> str:
        first, second, *rest = super().program().splitlines()
        head = ["def scaled(h, number): return h * number", "T = [1.0, 0.5, 2.0, 0.1, 3.0]"]
        made = [*head, first, second, *(f"    {line}" for line in self.HEAD), *rest]
        return "\n".join(made) + "\n"

    def statement(self, depth: int, row: str, index: str | None) -> None:
        if self.draw.random() < 0.55:
            super().statement(depth, row, index)
        elif self.draw.random() < 0.5:
            self.put(depth, self.draw.choice([*self.SETS, *([f"at = {index}"] * 3 * bool(index))]))
        else:
            self.put(depth, self.draw.choice(self.READS))


def program(seed: int, writer: type[Writer] = Writer) -> tuple[str, Callable[..., Any]]:
    """The source of one program, and the function."""
    source = writer(seed).program()
    return source, compiled(source, f"<program {seed}>")


def compiled(source: str, name: str) -> Callable[..., Any]:
    """The function ``model`` of a source, which can be read under a name that no file has."""
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    space: dict[str, Any] = {"torch": torch}
    exec(compile(source, name, "exec"), space)
    function: Callable[..., Any] = space["model"]
    return function


def runs(model: Callable[..., Any], x: torch.Tensor) -> bool:
    """Whether a program takes an input, in a while."""
    steps = 0

    class Impatient(torch.overrides.TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            nonlocal steps
            steps += 1
            if steps > 400:
                raise RuntimeError("too long")
            return func(*args, **(kwargs or {}))

    try:
        with Impatient():
            model(x)
    except (RuntimeError, IndexError, TypeError):
        return False
    return True


def tried(
    seed: int, examples: int = EXAMPLES, writer: type[Writer] = Writer
) -> tuple[str, Counter[str]]:
    """One program: how its examples merge, and what becomes of fresh inputs."""
    source, model = program(seed, writer)
    torch.manual_seed(seed)
    sizes = random.Random(seed)
    drawn = [torch.rand(sizes.randint(2, 6), 3) * 1.4 - 0.2 for _ in range(3 * examples)]
    shown = [x for x in drawn if runs(model, x)][:examples]
    if len(shown) < examples:
        return "does not run", Counter()
    graph = flexir.capture(model, (shown[0],), also=[(x,) for x in shown[1:]])
    found: Counter[str] = Counter()
    fresh = [torch.rand(sizes.randint(1, 9), 3) * 1.4 - 0.2 for _ in range(FRESH)]
    for x in (*shown, *(x for x in fresh if runs(model, x))):
        try:
            right = equal(graph(x.clone()), model(x.clone()))
        except flexir.Diverged:
            found["refused"] += 1
            continue
        except (RuntimeError, IndexError, TypeError):
            found["raised"] += 1  # where the model does not: refused, but not by name
            continue
        found["right" if right else "wrong"] += 1
        if not right:
            print(f"WRONG seed {seed}, {len(x)} rows\n{source}")
    blocks = "".join(sorted({node.op for node in every(graph.nodes)
                             if is_choice(node) or is_loop(node)}))  # fmt: skip
    return ("variants" if graph.variants else f"merged {blocks or 'straight'}"), found


def main(
    programs: int = 300, seed: int = 0, examples: int = EXAMPLES, writer: type[Writer] = Writer
) -> None:
    """Print the share that merged, and what became of fresh inputs."""
    kinds: Counter[str] = Counter()
    fresh: Counter[str] = Counter()
    start = time.perf_counter()
    for one in range(seed, seed + programs):
        kind, found = tried(one, examples, writer)
        kinds[kind] += 1
        fresh += found
    ran = sum(count for kind, count in kinds.items() if kind != "does not run")
    merged = sum(count for kind, count in kinds.items() if kind.startswith("merged"))
    for kind, count in sorted(kinds.items()):
        print(f"{kind:20} {count}")
    print(f"merged without variants: {merged} of {ran} ({100 * merged / max(ran, 1):.1f} %)")
    print("inputs, examples included: " + ", ".join(f"{n} {k}" for k, n in sorted(fresh.items())))
    print(f"{time.perf_counter() - start:.0f} s")
    print("wrong: 0" if not fresh["wrong"] else f"WRONG: {fresh['wrong']}")


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "wild"]
    wanted = Wild if "wild" in sys.argv else Writer
    main(*map(int, words), **{"writer": wanted})
