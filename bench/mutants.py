"""Would the tests notice? ``python3 dev.py bench mutants [--count 300] [--seed 0] [--only FILE]``.

A seeded sample of small changes to the core (an ``<`` for an ``<=``, a statement left out, a
condition turned round, ...), one at a time; the fast tests that run the changed line are run until
one fails. What only changes a message, a docstring or an annotation is no mutant.

Changes are made to the syntax tree; no file is touched. torch is imported and the tests are
collected once, in one process; every mutant is a fork of it in which the changed code is put into
the function that is there. What runs while a module is imported (a table, a class) is changed in
a process of its own, as it is imported. Tools made for this (mutmut, cosmic-ray) start an
interpreter for every mutant, which with torch takes as long as the tests.

The tests of a mutant begin with the quickest of every file and go on so that every file gets the
same time, up to ``--cap`` seconds: what only a test beyond it would notice counts as survived.
Results are kept in ``.cache/mutants.jsonl`` and a stopped run goes on. Survivors that change
nothing a user could notice stand with a reason in ``mutants_explained.json`` beside this file.
"""

from __future__ import annotations

import argparse
import ast
import collections
import functools
import gc
import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import json
import os
import random
import signal
import sys
import types
from pathlib import Path

import numpy  # noqa: F401  # once, for all forks
import pytest
import torch

from bench import covered
from bench.changes import Places

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


# --- one mutant -----------------------------------------------------------------------------------


def tests_of(mutant: dict, lines: dict, seconds: dict, cap: float) -> list[str]:
    """The tests that run its line, every file for as long as others; all if it runs at import.

    Where no test was seen to run it, what runs it may have been kept in a cache when the tests were
    watched, so those that run other lines of its file are asked.
    """
    known = lines.get(mutant["file"], {})
    found = known.get(mutant["line"], [])
    if not found:
        found = sorted({one for tests in known.values() for one in tests})
        found = list(seconds) if runs_at_import(mutant) else found
    spent: collections.Counter[str] = collections.Counter()
    turns = []
    for test in sorted(found, key=seconds.__getitem__):
        file = test.split("::")[0]
        spent[file] += seconds[test]
        turns.append((spent[file], seconds[test], test))
    chosen, total = [], 0.0
    for _, took, test in sorted(turns):
        if total + took <= cap or not chosen:
            chosen.append(test)
            total += took
    return chosen


def module_of(file: str) -> str:
    return "flexir." + file.removesuffix(".py").replace(os.sep, ".")


def runs_at_import(mutant: dict) -> bool:
    """Whether its line is in no function, or in one that its module calls as it is imported."""
    tree = ast.parse((CORE / mutant["file"]).read_text())
    called = {
        ast.unparse(part.func)
        for one in tree.body
        if not isinstance(one, (ast.FunctionDef, ast.ClassDef))
        for part in ast.walk(one)
        if isinstance(part, ast.Call)
    }
    return all(
        isinstance(node, ast.FunctionDef) and node.name in called
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.Lambda))
        and node.lineno < mutant["line"] <= (node.end_lineno or 0)
    )


def changed_code(mutant: dict) -> dict[types.CodeType, types.CodeType] | None:
    """Code of functions -> what stands for it; None if code that runs at import is changed."""
    path = CORE / mutant["file"]
    tree = ast.parse(path.read_text())
    old = compile(tree, str(path), "exec", dont_inherit=True)
    new = compile(Places(mutant["number"]).visit(tree), str(path), "exec", dont_inherit=True)
    found: dict[types.CodeType, types.CodeType] = {}

    def pair(old, new):
        if old == new:
            return True
        function = old.co_flags & inspect.CO_OPTIMIZED
        inner = [
            [c for c in code.co_consts if isinstance(c, types.CodeType)] for code in (old, new)
        ]
        if function:
            found[old] = new
            if old.co_freevars != new.co_freevars:
                return False
        elif len(inner[0]) != len(inner[1]) or _bare(old) != _bare(new):
            return False
        return all(map(pair, *inner)) or bool(function)

    return found if pair(old, new) else None


def _bare(code):
    """Code without the functions in it."""
    return code.replace(co_consts=tuple(c for c in code.co_consts if not inspect.iscode(c)))


class Loop:
    """A pytest plug-in: the loop over tests becomes one over mutants."""

    def __init__(self, mutants: list[dict], jobs: int, cap: float) -> None:
        self.mutants, self.jobs, self.cap = mutants, jobs, cap
        self.done: list[dict] = []
        self.session: pytest.Session

    def pytest_runtestloop(self, session):
        self.session = session
        for path in core():  # also those that are imported when they are first asked for
            importlib.import_module(module_of(str(path.relative_to(CORE))))
        self.items = {item.nodeid: item for item in session.items}
        self.lines, self.seconds = covered.coverage(session, core(), CORE)
        self.functions = collections.defaultdict(list)
        self.caches = []
        for one in gc.get_objects():
            if type(one) is types.FunctionType:  # `isinstance` would ask proxies
                self.functions[one.__code__].append(one)
            elif type(one) is functools._lru_cache_wrapper:
                if str(one.__module__).startswith("flexir"):
                    self.caches.append(one)
        self.every()
        return True

    def every(self):
        suite = hashlib.sha256(b"".join(p.read_bytes() for p in fast_tests())).hexdigest()[:12]
        kept, known = CACHE / "mutants.jsonl", {}
        if kept.exists():
            for text in kept.read_text().splitlines():
                row = json.loads(text)
                if row["outcome"] != "survived" or row["suite"] == suite:
                    known[row["file"], row["digest"], row["number"]] = row
        waiting, running = [], {}
        for mutant in self.mutants:
            row = known.get((mutant["file"], mutant["digest"], mutant["number"]))
            (self.done.append(row) if row else waiting.append(mutant))
        with kept.open("a") as log:
            while waiting or running:
                while waiting and len(running) < self.jobs:
                    mutant = waiting.pop()
                    tests = tests_of(mutant, self.lines, self.seconds, self.cap)
                    mutant["tests"], mutant["suite"] = len(tests), suite
                    running[self.start(mutant, tests) if tests else 0] = mutant
                pid, status = (0, 0) if 0 in running else os.wait()
                mutant = running.pop(pid)
                mutant["outcome"] = outcome(status) if pid else "survived"
                log.write(json.dumps(mutant) + "\n")
                log.flush()
                self.done.append(mutant)
                left = sum(row["outcome"] == "survived" for row in self.done)
                shown = f"{len(self.done)}/{len(self.mutants)}, {left} survived"
                print(shown, end="\r", file=sys.stderr, flush=True)
        print(file=sys.stderr)

    def start(self, mutant: dict, tests: list[str]) -> int:
        """Run the tests against a mutant in a process of its own; its process id."""
        child = os.fork()
        if child:
            return child
        os.setpgrp()
        signal.alarm(60 + int(PATIENCE * sum(map(self.seconds.__getitem__, tests))))
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        codes = None if runs_at_import(mutant) else changed_code(mutant)
        if codes is None:
            words = [mutant["file"], str(mutant["number"]), *tests]
            os.execv(sys.executable, [sys.executable, "-m", "bench.mutants", "--one", *words])
        for code, changed in codes.items():
            for function in self.functions[code]:
                function.__code__ = changed
        for cache in self.caches:
            cache.cache_clear()
        items = [self.items[test] for test in tests]
        for item, after in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            if self.session.testsfailed:
                os._exit(1)
        os._exit(0)


def outcome(status: int) -> str:
    if os.WIFSIGNALED(status):
        return "killed" if os.WTERMSIG(status) != signal.SIGALRM else "timed out"
    return "survived" if os.WEXITSTATUS(status) == 0 else "killed"


def fast_tests() -> list[Path]:
    return [p for p in sorted((ROOT / "tests").glob("test_*.py")) if p.stem not in SLOW]


def run_tests(arguments: list[str], *plugins: object) -> int:
    options = ["-x", "-q", "-s", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header"]
    return int(pytest.main([*options, *arguments], plugins=plugins))


def one(file: str, number: str, *tests: str) -> None:
    """The tests against a mutant whose change is made as the module is imported."""
    sys.meta_path.insert(0, Mutated(module_of(file), CORE / file, int(number)))
    os._exit(run_tests([*tests]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", metavar="FILE", help="mutate one file of the core")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--cap", type=float, default=15, help="seconds of tests for a mutant")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT / "src"))
    torch.set_num_threads(1)
    if options.one:
        one(*options.one)
    CACHE.mkdir(exist_ok=True)
    loop = Loop(sample(options.count, options.seed, options.only), options.jobs, options.cap)
    run_tests([str(p) for p in fast_tests()], loop)
    show(loop.done, options.seed)


def show(done: list[dict], seed: int) -> None:
    explained = json.loads(EXPLAINED.read_text()) if EXPLAINED.exists() else {}
    counts = collections.Counter(row["outcome"] for row in done)
    left = [row for row in done if row["outcome"] == "survived"]
    harmless = 0
    for row in sorted(left, key=lambda row: (row["file"], row["line"])):
        why = explained.get(f"{row['file']}: {row['text']}: {row['what']}")
        harmless += why is not None
        tests = f"{row['tests']} tests" if row["tests"] else "no test runs it"
        print(f"{row['file']}:{row['line']}  {row['what']}  ({why or tests})\n    {row['text']}")
    caught = counts["killed"] + counts["timed out"]
    print(f"seed {seed}: {caught} of {len(done)} killed ({caught / len(done):.0%}), "
          f"{counts['timed out']} of them by time; {len(left)} survived, {harmless} of them "
          f"explained: {(caught + harmless) / len(done):.0%} killed or explained")  # fmt: skip


if __name__ == "__main__":
    main()
