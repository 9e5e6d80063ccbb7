#!/usr/bin/env python3
"""Everything a developer runs: ``python3 dev.py demo | test | check | fix | sweep | bench``.

Standard library only. Makes ``.venv`` from ``constraints.txt`` the first time, and again when
that file changes.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
# Their wheels ask for a CUDA build of torch or for packages nothing here uses.
WITHOUT_DEPENDENCIES = ("torchvision", "timm", "transformers")


def install() -> None:
    """Make the virtual environment if it is not there or no longer what the files say."""
    wanted = hashlib.sha256(
        (ROOT / "constraints.txt").read_bytes() + (ROOT / "pyproject.toml").read_bytes()
    ).hexdigest()
    stamp = VENV / "flexir-stamp"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("making .venv (once; a minute or two) ...", file=sys.stderr, flush=True)
    if not PYTHON.exists():
        venv.create(VENV, with_pip=True)
    pins = [
        line.strip()
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line.strip() and not line.startswith("#")
    ]
    alone = [pin for pin in pins if pin.split("==")[0] in WITHOUT_DEPENDENCIES]
    rest = [pin for pin in pins if pin not in alone]
    pip("install", *rest)
    pip("install", "--no-deps", *alone)
    pip("install", "--no-deps", "--no-build-isolation", "-e", str(ROOT))
    stamp.write_text(wanted)


def pip(*arguments: str) -> None:
    run(PYTHON, "-m", "pip", "--disable-pip-version-check", "-q", *arguments)


def run(*command: object, cwd: Path = ROOT) -> None:
    """Run a command; leave with its exit code if it fails."""
    code = subprocess.run([str(part) for part in command], cwd=cwd).returncode
    if code:
        sys.exit(code)


def demo(*arguments: str) -> None:
    """Convert ResNet-50 twice: one op missing, then none."""
    run(PYTHON, "example_resnet50.py", *arguments, cwd=ROOT / "examples")


def test(*arguments: str) -> None:
    """Run the tests."""
    workers = [] if any(a.startswith("-n") for a in arguments) else ["-n", "2"]
    run(PYTHON, "-m", "pytest", *workers, *arguments)


def check(*arguments: str) -> None:
    """Lint, type-check, hold the layers, then run the tests."""
    run(PYTHON, "-m", "ruff", "check", ".")
    run(PYTHON, "-m", "ruff", "format", "--check", ".")
    run(PYTHON, "-m", "mypy")
    run(PYTHON.with_name("lint-imports"), "--no-cache")
    test(*arguments)


def fix(*arguments: str) -> None:
    """Format and mend what the linter can."""
    run(PYTHON, "-m", "ruff", "check", "--fix", ".", *arguments)
    run(PYTHON, "-m", "ruff", "format", ".")


def sweep(*arguments: str) -> None:
    """Whole suites, [opdb torchvision timm transformers libraries saved sizes ..]; targets ..."""
    if arguments[:1] == ("targets",):
        run(PYTHON, "-m", "zoo.targets", *arguments[1:])
    else:
        run(PYTHON, "-m", "zoo.sweep", *arguments)


def bench(*arguments: str) -> None:
    """Measure: bench [speed | parts | memory | peers | ir | rewrites | mutants | state | ...]"""
    what, *rest = arguments or ("speed",)
    if not (ROOT / "bench" / f"{what}.py").exists():
        sys.exit(f"there is no bench {what!r}; {(bench.__doc__ or '').splitlines()[0]}")
    run(PYTHON, "-m", f"bench.{what}", *rest)


VERBS = {f.__name__: f for f in (demo, test, check, fix, sweep, bench)}


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in VERBS:
        print(__doc__.strip(), file=sys.stderr)
        for name, verb in VERBS.items():
            print(f"  {name:6} {(verb.__doc__ or '').splitlines()[0]}", file=sys.stderr)
        sys.exit(2)
    install()
    VERBS[sys.argv[1]](*sys.argv[2:])


if __name__ == "__main__":
    main()
