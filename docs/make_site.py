"""The rendered site: README, tutorial, decisions, measurements, and the API from docstrings.

python3 dev.py docs      (needs mkdocs-material and mkdocstrings-python)

The site has the files of the repository under their own paths, so that a link is the same there
and in an editor. Nothing is fetched; warnings, dead links among them, are errors.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import flexir
from flexir import passes

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / ".cache" / "site"
PAGES = ("README.md", "README_zh.md", "DESIGN.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE")
FOLDERS = ("docs", "examples")
LINKED = ("src/flexir/files/ir/schema.proto",)  # what pages refer to besides
# Rooms with names of their own that users import, and what they are for.
ROOMS = {
    "flexir": "The front door",
    "flexir.passes": "Graphs from graphs",
    "flexir.fleet": "Many models",
    "flexir.files.draw": "Pictures and pages",
    "flexir.graph.nodes": "What a graph is made of",
    "flexir.conversion.report": "What is missing",
    "flexir.errors": "Errors",
}


def names_of(room: str) -> list[str]:
    """The public names of a room."""
    if room == "flexir":
        names = sorted({*dir(flexir)} - {"errors", "fleet", "passes"})
        others = set(ROOMS) - {room}  # what has a page of its own is there
        return [n for n in names if getattr(getattr(flexir, n), "__module__", "") not in others]
    if room == "flexir.passes":
        return sorted(passes.__all__)
    return []


def _path(room: str, name: str) -> str:
    """Where a name is defined: the renderer takes ``flexir.load`` for the module of that name."""
    thing = getattr(sys.modules[room], name)
    where = getattr(thing, "__module__", None)
    return f"{where}.{thing.__qualname__}" if hasattr(thing, "__qualname__") else f"{room}.{name}"


def api(folder: Path) -> None:
    """A page per room with what its docstrings say."""
    folder.mkdir()
    for room, title in ROOMS.items():
        names = names_of(room)
        lines = [f"# {title}: `{room}`", ""]
        if names:
            lines += [f"::: {room}\n    options:\n      members: false\n"]
            lines += [f"::: {_path(room, name)}\n" for name in names]
        else:
            lines += [f"::: {room}\n"]
        (folder / f"{room}.md").write_text("\n".join(lines))


def main() -> None:
    """Lay the files out and build; the site is ``site/index.html``."""
    tree = WORK / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    for name in PAGES:
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, tree / name)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in LINKED:
        (tree / name).parent.mkdir(parents=True)
        shutil.copy(ROOT / name, tree / name)
    api(tree / "api")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--clean"]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    made = subprocess.run(
        [*command, "-f", str(ROOT / "mkdocs.yml")], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if made.returncode:
        print(*(line for line in made.stdout.splitlines() if not line.startswith("INFO")), sep="\n")
        sys.exit(made.returncode)
    print(ROOT / "site" / "index.html")


if __name__ == "__main__":
    main()
