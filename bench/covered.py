"""Which tests run a line of the core, for ``bench mutants``.

Noted once for every test, and kept in ``.cache/mutants_covered.json`` until the file of the test
changes. Where a file of the core has changed since, its lines are found again by comparing the
texts: at worst a test is not asked, and a mutant counts as survived that it would have killed.
"""

from __future__ import annotations

import collections
import difflib
import hashlib
import json
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / ".cache" / "mutants_covered.json"


class Traced:
    """Runs tests and notes which lines every one runs."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files
        self.now: dict[str, set[int]] = {}

    def enter(self, frame, event, arg):
        short = self.files.get(frame.f_code.co_filename)
        if short is None:
            return None
        now = self.now.setdefault(short, set())
        now.add(frame.f_lineno)

        def line(frame, event, arg):
            now.add(frame.f_lineno)
            return line

        return line

    def run(self, item, after) -> tuple[float, dict[str, list[int]]]:
        """Seconds and lines; no lines of a test that fails, which would kill every mutant."""
        self.now = {}
        start, failed = time.monotonic(), item.session.testsfailed
        sys.settrace(self.enter)
        try:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
        finally:
            sys.settrace(None)
        if item.session.testsfailed > failed:
            print(f"{item.nodeid} fails as it is", file=sys.stderr, flush=True)
            self.now = {}
        return time.monotonic() - start, {file: sorted(now) for file, now in self.now.items()}


def digest_of(test: str) -> str:
    """What a test says: its file, and those of the others that it names."""
    text = (ROOT / test.split("::")[0]).read_bytes()
    others = [p for p in sorted((ROOT / "tests").glob("*.py")) if not p.stem.startswith("test_")]
    named = [p.read_bytes() for p in others if p.stem == "conftest" or p.stem.encode() in text]
    return hashlib.sha256(b"".join([text, *named])).hexdigest()[:12]


def coverage(session, core: list[Path], root: Path) -> tuple[dict, dict]:
    """File -> line -> tests that run it; and seconds by test."""
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {"texts": {}, "tests": {}}
    digests = {file: digest_of(file) for file in {i.nodeid.split("::")[0] for i in session.items}}
    texts = {str(path.relative_to(root)): path.read_text() for path in core}
    tests, stale = {}, []
    for item in session.items:
        row = kept["tests"].get(item.nodeid)
        if row is None or row["digest"] != digests[item.nodeid.split("::")[0]]:
            stale.append(item)
        else:
            tests[item.nodeid] = row
    for file, moved in _moved(kept["texts"], texts).items():
        for row in tests.values():
            if file in row["lines"]:
                row["lines"][file] = sorted(
                    {n for o in row["lines"][file] for n in moved.get(o, ())}
                )
    if stale:
        print(f"which lines {len(stale)} tests run ...", file=sys.stderr, flush=True)
        files = {str(path): str(path.relative_to(root)) for path in core}
        for test, took, lines in _traced(stale, files):
            digest = digests[test.split("::")[0]]
            tests[test] = {"digest": digest, "seconds": took, "lines": lines}
    KEPT.write_text(json.dumps({"texts": texts, "tests": tests}))
    found: dict[str, dict[int, list[str]]] = collections.defaultdict(dict)
    for test, row in tests.items():
        for file, lines in row["lines"].items():
            for line in lines:
                found[file].setdefault(line, []).append(test)
    return found, {test: row["seconds"] for test, row in tests.items()}


def _traced(items, files):
    """Run tests in a process of their own: mutants begin where no test has run."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 1)
        traced = Traced(files)
        with open(writer, "w") as out:
            found = []
            for item, after in zip(items, [*items[1:], None], strict=True):
                found.append((item.nodeid, *traced.run(item, after)))
            json.dump(found, out)
        os._exit(0)
    os.close(writer)
    with open(reader) as lines:
        found = json.load(lines)
    os.waitpid(child, 0)
    return found


def _moved(before: dict[str, str], now: dict[str, str]) -> dict[str, dict[int, list[int]]]:
    """Of files that changed: line -> lines that stand for it; new ones go with the one above."""
    found = {}
    for file, text in before.items():
        if file in now and now[file] != text:
            old, new = text.splitlines(), now[file].splitlines()
            moved: dict[int, list[int]] = {}
            for tag, a, b, c, d in difflib.SequenceMatcher(None, old, new, False).get_opcodes():
                if tag == "equal":
                    moved.update({a + k + 1: [c + k + 1] for k in range(b - a)})
                elif tag == "replace":
                    moved.update({k + 1: list(range(c + 1, d + 1)) for k in range(a, b)})
                elif tag == "insert" and a in moved:
                    moved[a] = [*moved[a], *range(c + 1, d + 1)]
            found[file] = moved
    return found
