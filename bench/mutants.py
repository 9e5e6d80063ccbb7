"""Would the tests notice? ``python3 dev.py bench mutants [--count 300] [--seed 0] [--only FILE]``.

A seeded sample of small changes to the core (an ``<`` for an ``<=``, a statement left out, a
condition turned round, ...), one at a time; the fast tests that run the changed line are run until
one fails. Changes are made to the syntax tree while a module is imported, in a forked process: no
file is touched, and torch is imported once. What only changes a message, a docstring or an
annotation is no mutant. Tools made for this (mutmut, cosmic-ray) start an interpreter for every
mutant, which with torch takes as long as the tests.

Results are kept in ``.cache/mutants.jsonl`` and a stopped run goes on. Survivors that change
nothing a user could notice stand with a reason in ``mutants_explained.json`` beside this file.
"""

from __future__ import annotations

import argparse
import ast
import collections
import contextlib
import copy
import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "src/flexir"
ROOMS = ("graph", "calls", "recording", "passes", "conversion", "checks")
CACHE = ROOT / ".cache"
EXPLAINED = Path(__file__).parent / "mutants_explained.json"
# What takes so many times as long as the tests took before, and a minute more, hangs.
PATIENCE = 5
# Tests that start processes of their own would see the unchanged files; these run whole suites.
SLOW = {"test_architecture", "test_cli", "test_examples", "test_fleet", "test_models", "test_page",
        "test_readme", "test_tutorial"}  # fmt: skip

_SWAPS = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE,
    ast.GtE: ast.Gt, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult, ast.Mod: ast.Add, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


def changes(node):
    """Ways to change one node: (what, the changed node)."""
    new = copy.deepcopy(node)
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _SWAPS:
        new.ops[0] = _SWAPS[type(node.ops[0])]()
        yield "other comparison", new
    elif isinstance(node, (ast.BinOp, ast.BoolOp)) and type(node.op) in _SWAPS:
        new.op = _SWAPS[type(node.op)]()
        yield "other operator", new
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "no `not`", new.operand
    elif isinstance(node, (ast.If, ast.While, ast.IfExp)):
        new.test = ast.UnaryOp(ast.Not(), new.test)
        yield "condition turned round", new
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        new.value = not node.value
        yield "other constant", new
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        new.value = node.value + 1
        yield "other constant", new
    elif isinstance(node, ast.Return) and node.value is not None:
        if not (isinstance(node.value, ast.Constant) and node.value.value is None):
            new.value = ast.Constant(None)
            yield "returns None", new
    elif isinstance(node, (ast.Assign, ast.AugAssign)) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ):
        yield "left out", ast.Pass()
    if isinstance(node, ast.Call) and node.keywords:
        new = copy.deepcopy(node)
        new.keywords.pop()
        yield "last keyword dropped", new


class Places(ast.NodeTransformer):
    """Walks a module's tree in a fixed order; lists every change, or makes the one of a number."""

    def __init__(self, wanted: int | None = None) -> None:
        self.wanted, self.found = wanted, []

    def visit(self, node):
        if isinstance(node, (ast.Raise, ast.JoinedStr, ast.Assert)):
            return node  # messages
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return node
        for what, changed in changes(node):
            number = len(self.found)
            self.found.append((node.lineno, what))
            if number == self.wanted:
                for part in ast.walk(changed):
                    ast.copy_location(part, node)
                return changed
        return self.generic_visit(node)

    def visit_parts(self, node, names):
        for name in names:
            part = getattr(node, name)
            if isinstance(part, list):
                setattr(node, name, [self.visit(one) for one in part])
            elif part is not None:
                setattr(node, name, self.visit(part))
        return node

    def generic_visit(self, node):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):  # neither annotations nor decorators
            return self.visit_parts(node, ["body"])
        if isinstance(node, ast.AnnAssign):
            return self.visit_parts(node, ["value"])
        return super().generic_visit(node)


class Mutated(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    """Imports one module of the package with one change."""

    def __init__(self, name: str, path: Path, number: int) -> None:
        super().__init__(name, str(path))
        self.number = number

    def find_spec(self, fullname, path=None, target=None):
        if fullname == self.name:
            return importlib.util.spec_from_file_location(fullname, self.path, loader=self)
        return None

    def get_code(self, fullname):
        tree = ast.parse(Path(self.path).read_text())
        return compile(Places(self.number).visit(tree), self.path, "exec", dont_inherit=True)


def core() -> list[Path]:
    """The files that are mutated."""
    return [p for room in ROOMS for p in sorted((CORE / room).glob("*.py")) if p.stem[0] != "_"]


def sample(count: int, seed: int, only: str | None) -> list[dict]:
    """The mutants of a run."""
    every = []
    for path in core():
        if only not in (None, path.name, path.stem):
            continue
        places = Places()
        places.visit(ast.parse(path.read_text()))
        lines = path.read_text().splitlines()
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        every += [
            {"file": str(path.relative_to(CORE)), "number": number, "line": line, "what": what,
             "text": lines[line - 1].strip(), "digest": digest}
            for number, (line, what) in enumerate(places.found)
        ]  # fmt: skip
    return random.Random(seed).sample(every, min(count, len(every)))


# --- which tests run a line -----------------------------------------------------------------------


def coverage() -> tuple[dict, dict]:
    """File name -> line -> tests that run it, the quickest first, and seconds by test.

    Kept until a file changes.
    """
    files = [*core(), *sorted((ROOT / "tests").glob("*.py"))]
    key = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    kept = CACHE / "mutants_coverage.json"
    if kept.exists() and (found := json.loads(kept.read_text()))["key"] == key:
        return found["lines"], found["seconds"]
    print("which tests run which lines ...", file=sys.stderr, flush=True)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        made = Traced()
        with contextlib.redirect_stdout(open(os.devnull, "w")):
            run_tests(["--maxfail=1000", *(str(p) for p in fast_tests())], [made])
        with open(writer, "w") as out:
            json.dump([made.lines(), made.seconds], out)
        os._exit(0)
    os.close(writer)
    with open(reader) as found:
        lines, seconds = json.load(found)
    os.waitpid(child, 0)
    CACHE.mkdir(exist_ok=True)
    kept.write_text(json.dumps({"key": key, "lines": lines, "seconds": seconds}))
    return lines, seconds


class Traced:
    """A pytest plug-in that notes which lines of the core every test runs."""

    def __init__(self) -> None:
        self.ran: dict[str, dict[int, list[str]]] = collections.defaultdict(dict)
        self.seconds: dict[str, float] = {}
        self.now: set[tuple[str, int]] = set()
        self.core = {str(path): str(path.relative_to(CORE)) for path in core()}

    def enter(self, frame, event, arg):
        name = frame.f_code.co_filename
        if name not in self.core:
            return None
        now, short = self.now, self.core[name]
        now.add((short, frame.f_lineno))

        def line(frame, event, arg):
            now.add((short, frame.f_lineno))
            return line

        return line

    def pytest_runtest_setup(self, item):
        self.now, self.start = set(), time.monotonic()
        sys.settrace(self.enter)

    def pytest_runtest_teardown(self, item):
        sys.settrace(None)
        self.seconds[item.nodeid] = time.monotonic() - self.start
        for file, line in self.now:
            self.ran[file].setdefault(line, []).append(item.nodeid)

    def lines(self):
        for lines in self.ran.values():
            for tests in lines.values():
                tests.sort(key=self.seconds.__getitem__)
        return self.ran


def fast_tests() -> list[Path]:
    return [p for p in sorted((ROOT / "tests").glob("test_*.py")) if p.stem not in SLOW]


def run_tests(arguments: list[str], plugins: list | None = None) -> int:
    import pytest

    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header"]
    return int(pytest.main([*options, *arguments], plugins=plugins))


# --- one mutant -----------------------------------------------------------------------------------


def tests_of(mutant: dict, lines: dict) -> list[str]:
    """The tests that run its line; all fast ones where the line runs at import."""
    found = lines.get(mutant["file"], {}).get(str(mutant["line"]))
    if found is not None:
        return found
    tree = ast.parse((CORE / mutant["file"]).read_text())
    inside = any(
        node.lineno <= mutant["line"] <= (node.end_lineno or 0)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    )
    return [] if inside else [str(path) for path in fast_tests()]


def start(mutant: dict, tests: list[str], seconds: float) -> int:
    """Run the tests against a mutant in a process of its own; its process id."""
    child = os.fork()
    if child:
        return child
    os.setpgrp()
    signal.alarm(60 + int(PATIENCE * seconds))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    import torch

    torch.set_num_threads(1)
    path = CORE / mutant["file"]
    name = "flexir." + mutant["file"].removesuffix(".py").replace(os.sep, ".")
    sys.meta_path.insert(0, Mutated(name, path, mutant["number"]))
    os._exit(run_tests(tests))


def outcome(status: int) -> str:
    if os.WIFSIGNALED(status):
        return "killed" if os.WTERMSIG(status) != signal.SIGALRM else "timed out"
    return "survived" if os.WEXITSTATUS(status) == 0 else "killed"


def run(mutants: list[dict], jobs: int) -> list[dict]:
    """Every mutant with its outcome, those of an earlier run as they were."""
    import numpy  # noqa: F401
    import pytest  # noqa: F401
    import torch  # noqa: F401

    lines, seconds = coverage()
    suite = hashlib.sha256(b"".join(p.read_bytes() for p in fast_tests())).hexdigest()[:12]
    kept = CACHE / "mutants.jsonl"
    known = {}
    if kept.exists():
        for text in kept.read_text().splitlines():
            row = json.loads(text)
            if row["outcome"] != "survived" or row["suite"] == suite:
                known[row["file"], row["digest"], row["number"]] = row
    done, waiting, running = [], [], {}
    for mutant in mutants:
        row = known.get((mutant["file"], mutant["digest"], mutant["number"]))
        (done.append(row) if row else waiting.append(mutant))
    with kept.open("a") as log:
        while waiting or running:
            while waiting and len(running) < jobs:
                mutant = waiting.pop()
                tests = tests_of(mutant, lines)
                mutant["tests"], mutant["suite"] = len(tests), suite
                took = sum(seconds.get(test, 60.0) for test in tests)
                running[start(mutant, tests, took) if tests else 0] = mutant
            if 0 in running:
                pid, status = 0, 0
            else:
                pid, status = os.wait()
            mutant = running.pop(pid)
            mutant["outcome"] = outcome(status) if pid else "survived"
            log.write(json.dumps(mutant) + "\n")
            log.flush()
            done.append(mutant)
            print(f"\r{len(done)}/{len(mutants)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", metavar="FILE", help="mutate one file of the core")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT / "src"))
    done = run(sample(options.count, options.seed, options.only), options.jobs)
    explained = json.loads(EXPLAINED.read_text()) if EXPLAINED.exists() else {}
    counts = collections.Counter(row["outcome"] for row in done)
    left = [row for row in done if row["outcome"] == "survived"]
    for row in sorted(left, key=lambda row: (row["file"], row["line"])):
        why = explained.get(f"{row['file']}: {row['text']}: {row['what']}")
        tests = f"{row['tests']} tests" if row["tests"] else "no test runs it"
        print(f"{row['file']}:{row['line']}  {row['what']}  ({why or tests})\n    {row['text']}")
    caught = counts["killed"] + counts["timed out"]
    print(f"seed {options.seed}: {caught} of {len(done)} killed ({caught / len(done):.0%}), "
          f"{counts['timed out']} of them by time; {len(left)} survived")  # fmt: skip


if __name__ == "__main__":
    main()
