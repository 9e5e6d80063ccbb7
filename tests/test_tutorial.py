"""The tutorial is run from its text, file by file and command by command."""

import os
import re
import shlex
import subprocess
import sys

import pytest

pytest.importorskip("google.protobuf")
pytest.importorskip("safetensors")
pytest.importorskip("pygraphviz")

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)


def shell(command, folder):
    """Run a line as a user would, with this Python; (exit code, all output)."""
    words = shlex.split(command)
    tools = {"flexir": [sys.executable, "-W", "ignore", "-m", "flexir"], "python": [sys.executable]}
    done = subprocess.run(
        [*tools.get(words[0], [words[0]]), *words[1:]], cwd=folder, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def follow(text, folder):
    """Write the files, run the commands, compare what is shown with what was printed."""
    printed = ""
    for kind, body in BLOCK.findall(text):
        head, _, rest = body.partition("\n")
        if kind == "python" and (match := re.match(r"# (\w+\.py)(, added)?$", head)):
            with (folder / match[1]).open("a" if match[2] else "w") as file:
                file.write("\n\n" + rest if match[2] else rest)
        elif kind == "bash":
            printed = ""
            for command in body.splitlines():
                code, output = shell(command, folder)
                assert code == 0, f"{command}\n{output}"
                printed += output
        elif kind == "text":
            lines = [line.rstrip() for line in printed.splitlines()]
            for line in body.splitlines():
                assert line.rstrip() in lines, f"{line!r} is not in\n{printed}"


def test_the_tutorial_does_what_it_says(root, tmp_path):
    follow((root / "docs/tutorial.md").read_text(), tmp_path)
    assert (tmp_path / "red.png").stat().st_size > 5000
    assert (tmp_path / "net.html").exists() and (tmp_path / "todo/test_handlers.py").exists()
    from flexir.cli import EXAMPLES

    lines = [line for line in EXAMPLES.splitlines() if line.startswith("  flexir ")]
    for line in lines:
        code, output = shell(line.partition("#")[0], tmp_path)
        assert code == 0, f"{line}\n{output}"
    assert len(lines) >= 5


def test_both_languages_have_the_same_code(root):
    texts = [(root / "docs" / name).read_text() for name in ("tutorial.md", "tutorial_zh.md")]
    assert BLOCK.findall(texts[0]) == BLOCK.findall(texts[1])
    heads = [re.findall(r"^#+ ", text, re.M) for text in texts]
    assert heads[0] == heads[1]


def test_a_newcomer_needs_ten_steps_to_the_first_green_picture(root):
    text = (root / "docs/tutorial.md").read_text().partition("green.png\n```")[0] + "green.png\n```"
    steps = 0
    for kind, body in BLOCK.findall(text):
        steps += len(body.splitlines()) if kind in ("sh", "bash") else kind == "python"
    assert steps <= 10


def test_the_idea_in_150_lines_runs(root):
    path = root / "docs/in_150_lines.py"
    assert len(path.read_text().splitlines()) <= 150
    code, output = shell(f"python {path}", root)
    assert code == 0, output
    assert "replay is bit-equal" in output and "flatten: no handler" in output
